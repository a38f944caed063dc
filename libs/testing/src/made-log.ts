import { hash } from 'node:crypto';
import { auditData, prepareEvent } from '@kms/contracts';
import {
  CompactRange,
  COSIGNATURE_V1,
  cosigner,
  ED25519_NOTE,
  newTiles,
  NODE_CRYPTOGRAPHY,
  noteSigner,
  noteVerifier,
  SHA256_TREE,
  signNote,
  tileNodes,
  tilePath,
  writeCheckpoint,
  writeEntryBundle,
  writeNote,
  writeVerifierKey,
  type Cryptography,
  type NoteSigner,
} from '@kms/merkle';

/*
 * Logs and packs in memory, as the services make them.
 */

export const ORGANIZATION = '6835c2cd0f3e5a7b9c1d2e3f';
export const NAME = 'kms.example/audit';
export const ORIGIN = `${NAME}/${ORGANIZATION}`;

export interface Random {
  /** From 0 up to, and without, `end`. */
  below(end: number): number;
}

/** Numbers that follow from a seed alone (mulberry32). */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return {
    below(end) {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) % end;
    },
  };
}

const keyPair = (seed: number) => NODE_CRYPTOGRAPHY.ed25519.signingKey(Buffer.alloc(32, seed));
export const LOG_KEY = keyPair(1);
export const WITNESS_KEY = keyPair(2);
export const STRANGER_KEY = keyPair(3);
export const verifierKey = ({ publicKey } = LOG_KEY) => writeVerifierKey({ name: NAME, type: ED25519_NOTE.type, publicKey });
export const witnessVerifierKey = writeVerifierKey({
  name: 'witness.example/w',
  type: COSIGNATURE_V1.type,
  publicKey: WITNESS_KEY.publicKey,
});

/** Node's algorithms, with every signature checked once: it is a pure function, and tests ask the same of it many thousand times. */
export const REMEMBERING: Cryptography = {
  sha256: NODE_CRYPTOGRAPHY.sha256,
  ed25519: {
    ...NODE_CRYPTOGRAPHY.ed25519,
    verifier(publicKey) {
      const verify = NODE_CRYPTOGRAPHY.ed25519.verifier(publicKey);
      const known = new Map<string, boolean>();
      return (message, signature) => {
        const question = `${Buffer.from(message).toString('latin1')}/${Buffer.from(signature).toString('latin1')}`;
        const answer = known.get(question) ?? verify(message, signature);
        known.set(question, answer);
        return answer;
      };
    },
  },
};
export const LOG_VERIFIER = noteVerifier(
  { name: NAME, type: ED25519_NOTE.type, publicKey: LOG_KEY.publicKey },
  [ED25519_NOTE],
  REMEMBERING,
);
export const WITNESS_VERIFIER = noteVerifier(
  { name: 'witness.example/w', type: COSIGNATURE_V1.type, publicKey: WITNESS_KEY.publicKey },
  [COSIGNATURE_V1],
  REMEMBERING,
);

/** 8 hexadecimal digits. */
const hex = (random: Random) =>
  random
    .below(2 ** 32)
    .toString(16)
    .padStart(8, '0');

export interface Shape {
  readonly writers?: number;
  /** How often, of 100, a writer's number goes to another organization. */
  readonly holes?: number;
  /** How often, of 100, a record changes place with one of the next few: a number that was sent again. */
  readonly late?: number;
}

/** So many records of one organization, each writer's in its chain. */
export function makeRecords(size: number, random: Random, { writers = 2, holes = 0, late = 0 }: Shape = {}): Buffer[] {
  const heads = Array.from({ length: writers }, () => ({
    writer: hex(random) + hex(random) + hex(random),
    sequence: 0,
    hash: Buffer.alloc(32),
  }));
  const records: Buffer[] = [];
  while (records.length < size) {
    const head = heads[random.below(writers)] as (typeof heads)[number];
    head.sequence += 1;
    if (random.below(100) < holes) {
      head.hash = hash('sha256', head.hash, 'buffer');
      continue;
    }
    const bytes = Buffer.from(makeEvent(random, ORGANIZATION, { ...head, previousHash: head.hash.toString('hex') }));
    head.hash = hash('sha256', Buffer.concat([head.hash, bytes]), 'buffer');
    records.push(bytes);
  }
  for (let at = 0; at < size; at += 1) if (random.below(100) < late) swap(records, at, Math.min(at + 1 + random.below(5), size - 1));
  return records;
}

export function makeEvent(
  random: Random,
  organizationId: string,
  place: { writer: string; sequence: number; previousHash: string },
): string {
  const second = 1_764_000_000 + place.sequence;
  const made = {
    id: second.toString(16) + hex(random) + hex(random),
    source: '/vault',
    time: new Date(second * 1_000).toISOString(),
  } as const;
  const handler = `secret-${random.below(50)}`;
  // Some have what is not spelt in plain ASCII, and some a change: those are read on the slow way.
  const userAgent = random.below(10) === 0 ? 'agent \u00e9\u00ff "quoted"' : `agent/${random.below(9)}`;
  const data = auditData({
    organizationId,
    environment: 'production',
    address: '192.0.2.7',
    userAgent,
    handler,
    action: 'reveal',
    outcome: 'success',
  });
  if (random.below(20) > 0) return prepareEvent({ ...made, type: 'kms.secret.revealed.v1', data })(place);
  const changed = { ...data, action: 'update', change: { enabled: true } } as const;
  return prepareEvent({ ...made, type: 'kms.entry.updated.v1', data: changed })(place);
}

export function swap<T>(items: T[], a: number, b: number): void {
  [items[a], items[b]] = [items[b] as T, items[a] as T];
}

/** A log in memory: files by path, without a checkpoint until one is signed. */
export class MadeLog {
  readonly files = new Map<string, Uint8Array>();
  readonly leafHashes: readonly Uint8Array[];
  /** The root at the log's size. */
  readonly root: Uint8Array;

  constructor(
    readonly records: readonly Uint8Array[],
    leafHashes: readonly Uint8Array[] = records.map((record) => SHA256_TREE.leaf(record)),
  ) {
    this.leafHashes = leafHashes;
    const nodes = new Map<string, Uint8Array>();
    const range = CompactRange.empty();
    for (const hash of leafHashes) range.append(hash, ({ level, index }, node) => level % 8 === 0 && nodes.set(`${level}/${index}`, node));
    this.root = range.root();
    for (const tile of newTiles(0, records.length)) {
      const own = tileNodes(tile);
      const content =
        tile.level === 'entries'
          ? writeEntryBundle(own.map(({ index }) => records[index] as Uint8Array))
          : Buffer.concat(own.map(({ level, index }) => nodes.get(`${level}/${index}`) as Uint8Array));
      this.files.set(tilePath(tile), content);
    }
  }

  get size(): number {
    return this.records.length;
  }

  /** The signed checkpoint that the log had at a size up to its own. */
  at(size: number, options?: Signing): Promise<Uint8Array> {
    const range = CompactRange.empty();
    for (const hash of this.leafHashes.slice(0, size)) range.append(hash);
    return signHead({ size, root: range.root() }, options);
  }

  async read(path: string): Promise<Uint8Array | null> {
    return this.files.get(path) ?? null;
  }

  async write(path: string, bytes: Uint8Array): Promise<void> {
    if (this.files.has(path)) throw new Error(`${path} is written twice.`);
    this.files.set(path, bytes);
  }

  /** Signs the log as it is, and puts the checkpoint to its files. */
  async sign(options?: Signing): Promise<this> {
    this.files.set('checkpoint', await signHead({ size: this.size, root: this.root }, options));
    return this;
  }

  get checkpoint(): Uint8Array {
    return this.files.get('checkpoint') as Uint8Array;
  }
}

export interface Signing {
  readonly origin?: string;
  readonly key?: typeof LOG_KEY;
  readonly witnessed?: boolean;
}

/** A signed checkpoint of a tree head. */
export async function signHead(
  head: { size: number; root: Uint8Array },
  { origin = ORIGIN, key = LOG_KEY, witnessed = false }: Signing = {},
): Promise<Uint8Array> {
  const text = writeCheckpoint({ origin, ...head, extensions: ['signed-at 2026-01-01T00:00:00.000Z'] });
  const signers: NoteSigner[] = [noteSigner(NAME, key)];
  if (witnessed) signers.push(cosigner('witness.example/w', WITNESS_KEY, () => 1_790_000_000));
  return writeNote(await signNote({ text, signatures: [] }, signers));
}

/** Files in memory. */
export function filesIn(files: ReadonlyMap<string, Uint8Array>): { read(path: string): Promise<Uint8Array | null> } {
  return { read: async (path) => files.get(path) ?? null };
}

/** A copy with one bit, from 0, turned over. */
export function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
  return copy;
}
