import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { writeCheckpoint } from './checkpoint.ts';
import { CompactRange } from './compact-range.ts';
import { COSIGNATURE_V1, cosigner } from './cosignature.ts';
import { writeEntryBundle } from './entry-bundle.ts';
import { proveConsistency, proveInclusion, type NodeReader } from './make-proof.ts';
import { NODE_CRYPTOGRAPHY } from './node-crypto.ts';
import { signNote, writeNote, type Note } from './note.ts';
import { ED25519_NOTE, noteSigner, writeVerifierKey } from './note-key.ts';
import { parseAddCheckpoint, parseInclusionDocument, writeAddCheckpoint, writeInclusionDocument } from './proof-document.ts';
import { flipBit } from './refusals.fixture.ts';
import { newTiles, tileNodes, tilePath } from './tile.ts';
import { tileNodeReader } from './tile-nodes.ts';
import { SHA256_TREE } from './tree-hasher.ts';

/*
 * Another implementation reads what the library writes: tools/interop-go verifies a directory by Go's golang.org/x/mod/sumdb and by
 * transparency-dev's formats. `npm run test:interop` runs this, and needs Go; `npm test` leaves it out, as it needs no more than Node.
 */

const SOURCE = fileURLToPath(new URL('../../../tools/interop-go', import.meta.url));
const ORIGIN = 'kms.example/audit/6835c2cd0f3e5a7b9c1d2e3f';
const WITNESS = 'witness.example/w1';
const logKey = NODE_CRYPTOGRAPHY.ed25519.signingKey(Buffer.alloc(32, 1));
const witnessKey = NODE_CRYPTOGRAPHY.ed25519.signingKey(Buffer.alloc(32, 2));
const signers = [noteSigner(ORIGIN, logKey), cosigner(WITNESS, witnessKey, () => 1_790_000_000)];

const folder = mkdtempSync(join(tmpdir(), 'kms-merkle-interop-'));
const program = join(folder, 'interop');
afterAll(() => rmSync(folder, { recursive: true }));

const record = (index: number) => Buffer.from(index === 1 ? '' : `{"sequence":${index},"padding":"${'x'.repeat(index % 300)}"}`);

/** A log's directory, with the nodes that it was made of. */
class LogFolder {
  readonly path: string;
  readonly notes = new Map<number, Note>();
  readonly #nodes = new Map<string, Uint8Array>();
  readonly #range = CompactRange.empty();

  constructor(name: string) {
    this.path = join(folder, name);
    this.write('log.vkey', `${writeVerifierKey({ name: ORIGIN, type: ED25519_NOTE.type, publicKey: logKey.publicKey })}\n`);
    this.write('witness.vkey', `${writeVerifierKey({ name: WITNESS, type: COSIGNATURE_V1.type, publicKey: witnessKey.publicKey })}\n`);
  }

  write(file: string, content: string | Uint8Array): void {
    mkdirSync(dirname(join(this.path, file)), { recursive: true });
    writeFileSync(join(this.path, file), content);
  }

  /** Appends records up to that size, and writes the tiles and the checkpoint that are new. */
  async grow(size: number): Promise<void> {
    const before = this.#range.size;
    for (let index = before; index < size; index += 1) {
      this.#range.append(SHA256_TREE.leaf(record(index)), (node, hash) => this.#nodes.set(`${node.level}/${node.index}`, hash));
    }
    for (const tile of newTiles(before, size)) {
      const nodes = tileNodes(tile);
      const content =
        tile.level === 'entries' ? writeEntryBundle(nodes.map(({ index }) => record(index))) : Buffer.concat(this.#hashes(nodes));
      this.write(tilePath(tile), content);
    }
    const text = writeCheckpoint({ origin: ORIGIN, size, root: this.#range.root(), extensions: [] });
    const note = await signNote({ text, signatures: [] }, signers);
    this.notes.set(size, note);
    this.write(`checkpoint/${size}`, writeNote(note));
  }

  async prove(size: number, indexes: readonly number[]): Promise<void> {
    const [reader, checkpoint] = [this.#reader(size), this.notes.get(size) as Note];
    for (const index of indexes) {
      const document = { index, proof: await proveInclusion(reader, index, size), checkpoint };
      this.write(`inclusion/${size}-${index}`, writeInclusionDocument(document));
    }
    // Go knows of no proof from the empty tree.
    for (const oldSize of [...this.notes.keys()].filter((old) => old > 0 && old <= size)) {
      const request = { oldSize, proof: await proveConsistency(reader, oldSize, size), checkpoint };
      this.write(`consistency/${oldSize}-${size}`, writeAddCheckpoint(request));
    }
  }

  /** Reads the tiles that stand in the directory. */
  #reader(size: number): NodeReader {
    return tileNodeReader({ readTiles: async (tiles) => tiles.map((tile) => readFileSync(join(this.path, tilePath(tile)))) }, size);
  }

  #hashes(nodes: readonly { level: number; index: number }[]): Uint8Array[] {
    return nodes.map(({ level, index }) => this.#nodes.get(`${level}/${index}`) as Uint8Array);
  }
}

async function writeLog(name: string, sizes: readonly number[], indexesOf: (size: number) => number[]): Promise<LogFolder> {
  const log = new LogFolder(name);
  for (const size of sizes) {
    await log.grow(size);
    await log.prove(size, size === 0 ? [] : indexesOf(size));
  }
  return log;
}

function goVerifies(path: string): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(program, [path], { encoding: 'utf8' });
}

beforeAll(() => {
  const env = { ...process.env, GOTOOLCHAIN: 'local' };
  const { error, status, stderr } = spawnSync('go', ['build', '-buildvcs=false', '-o', program, '.'], {
    cwd: SOURCE,
    env,
    encoding: 'utf8',
  });
  if (error) throw new Error('This test needs Go, 1.26 or newer, on the PATH.', { cause: error });
  if (status !== 0) throw new Error(`tools/interop-go was not built: ${stderr}`);
}, 300_000);

describe('Go verifies', () => {
  it('every record, tile, checkpoint and proof of logs of up to 64 records', async () => {
    const sizes = Array.from({ length: 65 }, (_, size) => size);
    const log = await writeLog('small', sizes, (size) => Array.from({ length: size }, (_, index) => index));
    expect(goVerifies(log.path)).toMatchObject({
      stderr: '',
      stdout: 'ok: 65 checkpoints, 64 records, 2080 inclusion proofs, 2080 consistency proofs\n',
      status: 0,
    });
  });

  it('logs that end around full tiles of three levels', async () => {
    const sizes = [1, 255, 256, 257, 512, 3_000, 65_535, 65_536, 66_000];
    const indexes = [0, 1, 254, 255, 256, 2_999, 65_535];
    const log = await writeLog('large', sizes, (size) => [...new Set([...indexes.filter((index) => index < size), size - 1])]);
    expect(goVerifies(log.path)).toMatchObject({
      stderr: '',
      stdout: 'ok: 9 checkpoints, 66000 records, 47 inclusion proofs, 45 consistency proofs\n',
      status: 0,
    });
  });
});

describe('Go refuses', () => {
  let good: LogFolder;
  beforeAll(async () => {
    good = await writeLog('good', [100, 600], (size) => [size - 1]);
    expect(goVerifies(good.path)).toMatchObject({ stderr: '', status: 0 });
  });

  const firstByte = (content: Buffer) => flipBit(content, 0);
  const lastByte = (content: Buffer) => flipBit(content, content.length * 8 - 8);
  const replaced = (from: string, to: string) => (content: Buffer) => Buffer.from(content.toString().replace(from, to));

  const otherHash = ([first, ...rest]: readonly Uint8Array[]) => [flipBit(first as Uint8Array, 0), ...rest];
  const otherInclusionHash = (content: Buffer) => {
    const document = parseInclusionDocument(content);
    return writeInclusionDocument({ ...document, proof: otherHash(document.proof) });
  };
  const otherConsistencyHash = (content: Buffer) => {
    const request = parseAddCheckpoint(content);
    return writeAddCheckpoint({ ...request, proof: otherHash(request.proof) });
  };

  it.each<[string, string, (content: Buffer) => Uint8Array, RegExp]>([
    ['a record that was edited', 'tile/entries/000', lastByte, /tile\/8\/0\/000: record 255/],
    ['a record that was cut', 'tile/entries/002.p/88', (content) => content.subarray(0, -1), /tile\/8\/0\/002.p\/88: the bundle is cut/],
    ['a hash in a full tile', 'tile/0/001', firstByte, /inconsistent tile/],
    ['a hash in a partial tile', 'tile/0/002.p/88', lastByte, /inconsistent tile/],
    ['a hash in a tile of level 1', 'tile/1/000.p/2', firstByte, /inconsistent tile/],
    ['a size that was not signed', 'checkpoint/600', replaced('\n600\n', '\n601\n'), /checkpoint\/600: .*invalid signature/],
    ['another log’s origin', 'checkpoint/600', replaced('kms.', 'kmt.'), /checkpoint\/600: /],
    [
      'a cosignature that was altered',
      'checkpoint/600',
      (content) => flipBit(content, content.length * 8 - 24 * 8),
      /checkpoint\/600: .*invalid signature/,
    ],
    ['an inclusion proof of another index', 'inclusion/600-599', replaced('index 599', 'index 598'), /inclusion\/600-599: /],
    ['an inclusion proof with another hash', 'inclusion/600-599', otherInclusionHash, /inclusion\/600-599: /],
    ['a consistency proof with another hash', 'consistency/100-600', otherConsistencyHash, /consistency\/100-600: /],
    ['a consistency proof from another size', 'consistency/100-600', replaced('old 100', 'old 101'), /consistency\/100-600: /],
  ])('%s', (name, file, change, message) => {
    const path = join(folder, name);
    cpSync(good.path, path, { recursive: true });
    writeFileSync(join(path, file), change(readFileSync(join(path, file))));
    const { status, stdout, stderr } = goVerifies(path);
    expect(stderr).toMatch(message);
    expect([status, stdout]).toEqual([1, '']);
  });
});
