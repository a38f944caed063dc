import { beforeAll, describe, expect, it } from '@jest/globals';
import { MerkleError, noteVerifier, parseVerifierKey, ED25519_NOTE, SHA256_TREE } from '@kms/merkle';
import {
  filesIn,
  flipBit,
  LOG_VERIFIER,
  MadeLog,
  makeEvent,
  makeRecords,
  ORGANIZATION,
  ORIGIN,
  REMEMBERING,
  seeded,
  STRANGER_KEY,
  swap,
  verifierKey,
  type Random,
} from '@kms/testing/made-log';
import { EvidenceError } from './evidence-error.ts';
import { readId } from './read-record.ts';
import { verifyPack, type PackExpectations } from './verify-pack.ts';
import { writePack } from './write-pack.ts';

/*
 * Somebody changes a pack, or the log that it is made of. `KMS_TAMPER=full npm test -- libs/evidence/src/tamper` does all that there is to do; without it
 * every 61st bit is turned, and few of the changes are made.
 */

const FULL = process.env['KMS_TAMPER'] === 'full';
const EVERY_BIT = FULL ? 1 : 61;
const CHANGES = FULL ? 1_000 : 30;
const ENDS = FULL ? 100 : 2;
const CUTS = FULL ? 200 : 20;
const TIMEOUT_MS = FULL ? 1_800_000 : 120_000;

async function packOf(log: MadeLog, older: readonly Uint8Array[] = []): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  await writePack(log, { write: async (path, bytes) => void files.set(path, bytes) }, { keys: [verifierKey()], older });
  return files;
}

/** What a pack is refused with, or `ok`. Anything but evidence that is bad passes on. */
async function refusal(files: ReadonlyMap<string, Uint8Array>, more: PackExpectations = {}): Promise<EvidenceError | 'ok'> {
  try {
    await verifyPack(filesIn(files), { logKeys: [LOG_VERIFIER], origin: ORIGIN, crypto: REMEMBERING, ...more });
    return 'ok';
  } catch (error) {
    if (error instanceof EvidenceError) return error;
    throw error;
  }
}

const codeOf = async (...given: Parameters<typeof refusal>) => {
  const result = await refusal(...given);
  return result === 'ok' ? result : result.code;
};

describe('a pack of 64 records in which one bit is turned, or bytes are added', () => {
  let files: Map<string, Uint8Array>;
  let records: Buffer[];

  beforeAll(async () => {
    records = makeRecords(64, seeded(64), { writers: 3, holes: 5 });
    files = await packOf(await new MadeLog(records).sign());
  });

  const flipped = (path: string, bit: number) => new Map(files).set(path, flipBit(files.get(path) as Uint8Array, bit));

  it(
    'is refused, and the record is named that the bit belongs to',
    async () => {
      expect(await refusal(files)).toBe('ok');
      const path = 'tile/entries/000.p/64';
      const ends = records
        .map(({ length }) => length + 2)
        .map((_, at, lengths) => lengths.slice(0, at + 1).reduce((sum, length) => sum + length, 0));
      const { length } = files.get(path) as Uint8Array;
      for (let bit = 0; bit < length * 8; bit += EVERY_BIT) {
        const owner = ends.findIndex((end) => bit < end * 8);
        const found = await refusal(flipped(path, bit));
        if (found === 'ok' || found.record?.index !== owner || found.code !== 'wrong-record')
          throw new Error(`Bit ${bit} of record ${owner} was not found.`);
      }
    },
    TIMEOUT_MS,
  );

  it(
    'is refused where the bit is of another file of the evidence',
    async () => {
      for (const path of ['tile/0/000.p/64', 'checkpoint', 'manifest.json']) {
        const { length } = files.get(path) as Uint8Array;
        for (let bit = 0; bit < length * 8; bit += path.startsWith('tile') ? EVERY_BIT : 1)
          if ((await refusal(flipped(path, bit))) === 'ok') throw new Error(`Bit ${bit} of ${path} was not found.`);
      }
    },
    TIMEOUT_MS,
  );

  it('says the record’s id where it can be read', async () => {
    const path = 'tile/entries/000.p/64';
    const at = Buffer.from(files.get(path) as Uint8Array).lastIndexOf('"success"') + 3;
    const id = readId(records[63] as Uint8Array);
    expect(await refusal(flipped(path, at * 8))).toMatchObject({
      record: { index: 63, id },
      message: `Record 63 (${id}) is not the one that the log has there.`,
    });
  });

  it.each([[[0]], [[0, 0]], [[0, 1, 0x7b]]])('is refused where the bytes %j stand behind its last record, which is named', async (more) => {
    const path = 'tile/entries/000.p/64';
    const longer = new Map(files).set(path, Buffer.concat([files.get(path) as Uint8Array, Buffer.from(more)]));
    expect(await refusal(longer)).toMatchObject({
      code: 'wrong-record',
      record: { index: 63 },
      message: 'Record 63 is followed by bytes that are of no record.',
    });
  });

  it('is not believed by a key in which a bit is turned, be it the auditor’s or the pack’s', async () => {
    const key = Buffer.from(verifierKey());
    for (let bit = 0; bit < key.length * 8; bit += 1) {
      const turned = Buffer.from(flipBit(key, bit));
      const own = new Map(files).set('keys', Buffer.concat([turned, Buffer.from('\n')]));
      expect(await codeOf(own, { logKeys: undefined as never })).not.toBe('ok');
      expect(await byKey(turned.toString('latin1'))).not.toBe('ok');
    }
  });

  async function byKey(text: string): Promise<string> {
    try {
      return await codeOf(files, { logKeys: [noteVerifier(parseVerifierKey(text), [ED25519_NOTE], REMEMBERING)] });
    } catch (error) {
      if (error instanceof MerkleError) return error.code;
      throw error;
    }
  }
});

describe('a log of 10,000 records', () => {
  const SIZE = 10_000;
  const random = seeded(10_000);
  let log: MadeLog;
  let files: Map<string, Uint8Array>;
  let older: Uint8Array;

  beforeAll(async () => {
    log = await new MadeLog(makeRecords(SIZE, random, { writers: 4, holes: 10, late: 2 })).sign();
    files = await packOf(log);
    older = await log.at(9_990);
  }, TIMEOUT_MS);

  const stranger = (at: Random) =>
    Buffer.from(makeEvent(at, ORGANIZATION, { writer: 'e'.repeat(24), sequence: 1, previousHash: '0'.repeat(64) }));
  const edit = (record: Uint8Array, at: Random) => flipBit(record, at.below(record.length * 8));

  const CHANGE: Record<string, (records: Uint8Array[], at: number) => void> = {
    edit: (records, at) => void (records[at] = edit(records[at] as Uint8Array, random)),
    delete: (records, at) => void records.splice(at, 1),
    swap: (records, at) => swap(records, at, at + 1 + random.below(50)),
    insert: (records, at) => void records.splice(at, 0, stranger(random)),
    duplicate: (records, at) => void records.splice(at + random.below(50), 0, records[at] as Uint8Array),
  };

  /** The same change to records and to their leaf hashes, which are hashed only where they are new. */
  function changed(kind: string, at: number): MadeLog {
    const records: Uint8Array[] = [...log.records];
    (CHANGE[kind] as (typeof CHANGE)[string])(records, at);
    const hashes = new Map(log.records.map((record, index) => [record, log.leafHashes[index] as Uint8Array]));
    return new MadeLog(
      records,
      records.map((record) => hashes.get(record) ?? SHA256_TREE.leaf(record)),
    );
  }

  it.each(Object.keys(CHANGE))(
    'in which a record is changed (%s) is refused: by its records, by its tiles, and where it was signed anew by an older checkpoint',
    async (kind) => {
      for (let round = 0; round < CHANGES; round += 1) {
        const at = random.below(SIZE - 100);
        const other = changed(kind, at);
        if (round % 3 === 0) {
          // Only the bundles: the first record is named that is not what it was.
          const bundles = [...other.files].filter(([path]) => path.startsWith('tile/entries/'));
          const first = other.records.findIndex((record, index) => record !== log.records[index]);
          expect(await refusal(new Map([...files, ...bundles]))).toMatchObject({ code: 'wrong-record', record: { index: first } });
        } else if (round % 3 === 1) {
          // The tiles too, but nobody to sign them.
          const found = await codeOf(new Map([...files, ...other.files]));
          if (!['wrong-root', 'wrong-tile', 'wrong-record'].includes(found)) throw new Error(`${kind} at ${at}: ${found}`);
        } else {
          // Everything, by whoever has stolen the log's key.
          const forged = await packOf(await other.sign());
          const sizes = other.size < 9_990 ? 'had' : 'records';
          expect(await refusal(forged, { known: [older] })).toMatchObject({
            code: 'inconsistent',
            message: expect.stringContaining(sizes),
          });
        }
      }
    },
    TIMEOUT_MS,
  );

  it(
    'that is cut at any point is refused',
    async () => {
      const rest = new Map(files);
      const bundles = [...files.keys()].filter((path) => path.startsWith('tile/entries/'));
      for (let round = 0; round < CUTS; round += 1) {
        const size = random.below(SIZE);
        if (round % 2 === 0) {
          // The files after that record are gone, or cut within it.
          const path = bundles[Math.floor(size / 256)] as string;
          const cut = new Map(rest).set(path, (files.get(path) as Uint8Array).subarray(0, random.below(1_000)));
          expect(await codeOf(cut)).toBe('wrong-record');
          cut.delete(path);
          expect(await codeOf(cut)).toBe('missing-file');
        } else {
          // A shorter log, signed by the log's own key: what it was before, or what a thief makes of it.
          const short = new MadeLog(log.records.slice(0, size), log.leafHashes.slice(0, size));
          expect(await codeOf(await packOf(await short.sign()), { known: [log.checkpoint] })).toBe('inconsistent');
        }
      }
    },
    TIMEOUT_MS,
  );

  it('is refused as a fork of the same size, as an older checkpoint, as another log’s, and by a stranger’s key', async () => {
    const fork = await packOf(await changed('edit', 5_000).sign());
    expect(await refusal(fork, { known: [log.checkpoint] })).toMatchObject({
      code: 'inconsistent',
      message: expect.stringContaining('fork'),
    });
    expect(await codeOf(new Map(files).set('checkpoint', older), { known: [log.checkpoint] })).toBe('inconsistent');
    expect(await codeOf(new Map(files).set('checkpoint', older))).toBe('incomplete');
    const elsewhere = 'kms.example/audit/ffffffffffffffffffffffff';
    expect(await codeOf(files, { origin: elsewhere })).toBe('wrong-origin');
    expect(await codeOf(files, { known: [await log.at(10, { origin: elsewhere })] })).toBe('wrong-origin');
    const moved = await packOf(await new MadeLog(log.records, log.leafHashes).sign({ origin: elsewhere }));
    expect(await codeOf(moved, { origin: elsewhere })).toBe('wrong-organization');
    expect(await codeOf(await packOf(await new MadeLog(log.records, log.leafHashes).sign({ key: STRANGER_KEY })))).toBe('untrusted');
  });

  it('is refused where a part of it is given out as the whole', async () => {
    const part = new Map<string, Uint8Array>();
    await writePack(log, { write: async (path, bytes) => void part.set(path, bytes) }, { keys: [], from: 512, to: 1_024 });
    expect(await codeOf(part)).toBe('incomplete');
    expect(await codeOf(part, { from: 500, to: 600 })).toBe('incomplete');
    expect(await codeOf(part, { from: 512, to: 1_024 })).toBe('ok');
    expect(await codeOf(part, { from: 512, to: SIZE + 1 })).toBe('incomplete');
  });

  it(
    'is refused where its end, which no older checkpoint has seen, was signed anew with a record twice',
    async () => {
      for (let round = 0; round < ENDS; round += 1)
        expect(await codeOf(await packOf(await changed('duplicate', 9_000 + random.below(800)).sign()))).toBe('duplicate-record');
    },
    TIMEOUT_MS,
  );
});
