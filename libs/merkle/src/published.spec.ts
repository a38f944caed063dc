import { describe, expect, it } from '@jest/globals';
import { checkConsistency, checkInclusion } from './check-proof.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { CompactRange } from './compact-range.ts';
import { cosignatureTime } from './cosignature.ts';
import { parseNote, signNote, verifiedSignatures, writeNote } from './note.ts';
import { ED25519_NOTE, noteSigner, noteVerifier, parseSignerKey, parseVerifierKey, writeSignerKey, writeVerifierKey } from './note-key.ts';
import { NODE_CRYPTOGRAPHY } from './node-crypto.ts';
import { parseAddCheckpoint, writeAddCheckpoint } from './proof-document.ts';
import { newTiles, parseTilePath, tilePath } from './tile.ts';
import { SHA256_TREE } from './tree-hasher.ts';

/*
 * What others have published: the test data of certificate-transparency's Merkle tree, and the examples in the C2SP specifications and in
 * Go's golang.org/x/mod/sumdb/note.
 */

const hex = (text: string) => Buffer.from(text, 'hex');
const utf8 = (text: string) => Buffer.from(text, 'utf8');

describe('certificate-transparency’s tree', () => {
  const LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
  const ROOTS = [
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
    '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
    'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
    '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
  ];
  const head = (size: number) => ({ size, root: hex(ROOTS[size] as string) });

  it('has these roots', () => {
    const range = CompactRange.empty();
    const roots = [range.root()];
    for (const leaf of LEAVES) {
      range.append(SHA256_TREE.leaf(hex(leaf)));
      roots.push(range.root());
    }
    expect(roots.map((root) => Buffer.from(root).toString('hex'))).toEqual(ROOTS);
  });

  it.each([
    [0, 1, []],
    [
      0,
      8,
      [
        '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
        '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
        '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
      ],
    ],
    [
      5,
      8,
      [
        'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
        'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
        'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
      ],
    ],
    [2, 3, ['fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125']],
    [
      1,
      5,
      [
        '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
        '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
        'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      ],
    ],
  ])('has leaf %i in the tree of %i by its published path', (index, size, proof) => {
    checkInclusion(SHA256_TREE.leaf(hex(LEAVES[index] as string)), index, proof.map(hex), head(size));
  });

  it.each([
    [1, 1, []],
    [
      1,
      8,
      [
        '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
        '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
        '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
      ],
    ],
    [
      6,
      8,
      [
        '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
        'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
        'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
      ],
    ],
    [
      2,
      5,
      [
        '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
        'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      ],
    ],
  ])('grew from %i to %i by its published proof', (old, size, proof) => {
    checkConsistency(head(old), head(size), proof.map(hex));
  });
});

describe('a published signed note', () => {
  it.each([
    [
      'of C2SP’s signed-note',
      'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k',
      'This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n',
    ],
    [
      'of Go’s sumdb/note',
      'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
      "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
    ],
  ])('%s is read, verified, and written again, as its key is', (_, vkey, text) => {
    const note = parseNote(utf8(text));
    const key = parseVerifierKey(vkey);
    expect(verifiedSignatures(note, [noteVerifier(key, [ED25519_NOTE])])).toEqual(note.signatures);
    expect(Buffer.from(writeNote(note)).toString()).toBe(text);
    expect(writeVerifierKey(key)).toBe(vkey);
  });

  it('of Go’s sumdb/note is made from its private key', async () => {
    const skey = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz';
    const signer = parseSignerKey(skey);
    const text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const note = await signNote({ text, signatures: [] }, [noteSigner(signer.name, NODE_CRYPTOGRAPHY.ed25519.signingKey(signer.seed))]);
    expect(Buffer.from(writeNote(note)).toString()).toBe(
      `${text}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`,
    );
    expect(writeSignerKey(signer)).toBe(skey);
  });
});

describe('C2SP’s examples', () => {
  const CHECKPOINT = `example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
`;

  it('of tlog-cosignature has this checkpoint, and was cosigned at this time', () => {
    const note = parseNote(utf8(CHECKPOINT));
    expect(parseCheckpoint(note.text)).toMatchObject({ origin: 'example.com/behind-the-sofa', size: 20852163, extensions: [] });
    expect(cosignatureTime(note.signatures[1]?.signature as Uint8Array)).toBe(1679315147);
    expect(Buffer.from(writeNote(note)).toString()).toBe(CHECKPOINT);
  });

  it('of tlog-witness is a request with this size and four hashes', () => {
    const request = `old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

${CHECKPOINT}`;
    const parsed = parseAddCheckpoint(utf8(request));
    expect([parsed.oldSize, parsed.proof.length]).toEqual([20852014, 4]);
    expect(Buffer.from(writeAddCheckpoint(parsed)).toString()).toBe(request);
  });

  it('of tlog-tiles writes index 1234067 so, and has these tiles for 70,000 records and for 256', () => {
    expect(tilePath({ level: 0, index: 1234067, width: 256 })).toBe('tile/0/x001/x234/067');
    expect(parseTilePath('tile/0/x001/x234/067')).toEqual({ level: 0, index: 1234067, width: 256 });
    const tiles = newTiles(0, 70_000).filter(({ level }) => level !== 'entries');
    expect(tiles.filter(({ width }) => width === 256)).toHaveLength(273 + 1);
    expect(tiles.filter(({ width }) => width < 256).map(tilePath)).toEqual(['tile/0/273.p/112', 'tile/1/001.p/17', 'tile/2/000.p/1']);
    expect(newTiles(0, 256).map(tilePath)).toEqual(['tile/entries/000', 'tile/0/000', 'tile/1/000.p/1']);
  });
});
