import { parseAddress } from '@kms/access';
import type { AuditEvent } from '@kms/contracts';
import { CompactRange, HASH_BYTES, MerkleError, SHA256_TREE, TILE_WIDTH, type TreeHead } from '@kms/merkle';
import { BadEvidence } from './bad-evidence.ts';
import { readEvent } from './check-writer.ts';

/** A record of an organization's ledger, with the columns that repeat what its bytes say. */
export interface LogRecord {
  index: number;
  bytes: Buffer;
  leafHash: Buffer;
  writer: string;
  sequence: number;
  recordId: string;
  /** Milliseconds since 1970. */
  time: number;
  handler: string | null;
  outcome: string;
  apiKeyId: string | null;
  address: string | null;
}

/** What is stored of an organization's log, each in the order of its numbers. */
export interface LogSources {
  records: AsyncIterable<LogRecord>;
  /** The hashes of the leaves before the first record, of whole tiles: their records have left the ledger. */
  retired: AsyncIterable<{ tile: number; hashes: Buffer }>;
  /** The tree's right edge after each append. */
  heads: AsyncIterable<{ size: number; edge: Buffer }>;
  /** The nodes that are stored of a level: 8, 16, 24 and so on. */
  nodes: (level: number) => AsyncIterable<{ index: number; hash: Buffer }>;
  /** Signed checkpoints by their sizes. */
  checkpoints: AsyncIterable<{ size: number; note: Buffer }>;
}

/** A tree has a stored node on every level that this divides. */
const NODE_LEVELS = 8;

/** Something that is read in order, one step ahead. */
class Ahead<T> {
  readonly #source: AsyncIterator<T>;
  /** What comes next; undefined at the end. */
  next: T | undefined;

  constructor(source: AsyncIterable<T>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async advance(): Promise<void> {
    const { done, value } = await this.#source.next();
    this.next = done === true ? undefined : value;
  }
}

/**
 * Computes an organization's tree anew from its records' bytes, and from the hashes of those that were retired, and holds against it what is stored: the records' hashes and columns, the heads,
 * the nodes, and the checkpoints, which `open` reads and believes or throws a {@link MerkleError}. Each source is read once. Answers the
 * counts. Rejects with {@link BadEvidence}, or with what the sources reject with.
 */
export async function checkLog(
  organizationId: string,
  { records, retired, heads, nodes, checkpoints }: LogSources,
  open: (note: Buffer) => TreeHead,
): Promise<{ records: number; checkpoints: number }> {
  const tree = CompactRange.empty();
  const [head, checkpoint] = [new Ahead(heads), new Ahead(checkpoints)];
  await Promise.all([head.advance(), checkpoint.advance()]);
  const levels = new Map<number, Ahead<{ index: number; hash: Buffer }>>();
  let [signed, headSize] = [0, 0];

  const append = async (leafHash: Uint8Array): Promise<void> => {
    const completed: { level: number; index: number; hash: Uint8Array }[] = [];
    tree.append(leafHash, ({ level, index }, hash) => {
      if (level > 0 && level % NODE_LEVELS === 0) completed.push({ level, index, hash });
    });
    for (const node of completed) await requireNode(organizationId, node, levels, nodes);
    if (head.next?.size === tree.size) {
      headSize = tree.size;
      if (!Buffer.concat(tree.hashes()).equals(head.next.edge))
        throw new BadEvidence(`The head of ${organizationId} at ${tree.size} is not that of its records.`);
      await head.advance();
    }
    for (; checkpoint.next?.size === tree.size; await checkpoint.advance()) {
      requireCheckpoint(organizationId, tree, checkpoint.next.note, open);
      if (headSize !== tree.size) throw new BadEvidence(`The head of ${organizationId} at ${tree.size}, which was signed, is not stored.`);
      signed += 1;
    }
  };
  for await (const { tile, hashes } of retired) {
    if (tile * TILE_WIDTH !== tree.size)
      throw new BadEvidence(`The retired leaves of ${organizationId} from ${tree.size} on are not stored.`);
    for (let at = 0; at < hashes.length; at += HASH_BYTES) await append(hashes.subarray(at, at + HASH_BYTES));
  }
  const first = tree.size;
  for await (const record of records) {
    const where = `Record ${tree.size} of ${organizationId}`;
    if (record.index !== tree.size) throw new BadEvidence(`${where} is not in the ledger.`);
    requireRecord(where, organizationId, record);
    await append(record.leafHash);
  }
  if (headSize !== tree.size && head.next === undefined)
    throw new BadEvidence(`The head of ${organizationId} at ${tree.size} is not stored.`);
  for (const [what, rest] of [
    ['head', head],
    ['checkpoint', checkpoint],
  ] as const)
    if (rest.next !== undefined)
      throw new BadEvidence(`There is a ${what} of ${organizationId} at ${rest.next.size}, and the ledger ends at ${tree.size}.`);
  for (const [level, { next }] of levels) if (next !== undefined) throw extraNode(organizationId, level, next.index);
  const above = nodes(NODE_LEVELS * (levels.size + 1))[Symbol.asyncIterator]();
  const extra = await above.next();
  if (extra.done !== true) throw extraNode(organizationId, NODE_LEVELS * (levels.size + 1), extra.value.index);
  return { records: tree.size - first, checkpoints: signed };
}

async function requireNode(
  organizationId: string,
  { level, index, hash }: { level: number; index: number; hash: Uint8Array },
  levels: Map<number, Ahead<{ index: number; hash: Buffer }>>,
  nodes: LogSources['nodes'],
): Promise<void> {
  let stored = levels.get(level);
  if (stored === undefined) {
    stored = new Ahead(nodes(level));
    levels.set(level, stored);
    await stored.advance();
  }
  if (stored.next?.index !== index) throw new BadEvidence(`Node ${index} on level ${level} of ${organizationId} is not stored.`);
  if (!stored.next.hash.equals(hash))
    throw new BadEvidence(`Node ${index} on level ${level} of ${organizationId} is not that of its records.`);
  await stored.advance();
}

function requireCheckpoint(organizationId: string, tree: CompactRange, note: Buffer, open: (note: Buffer) => TreeHead): void {
  const where = `The checkpoint of ${organizationId} at ${tree.size}`;
  let head: TreeHead;
  try {
    head = open(note);
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
    throw new BadEvidence(`${where} is not believed: ${error.message}`);
  }
  if (head.size !== tree.size) throw new BadEvidence(`${where} is stored under a size that it does not have.`);
  if (Buffer.compare(head.root, tree.root()) !== 0) throw new BadEvidence(`${where} is not that of its records.`);
}

function requireRecord(where: string, organizationId: string, record: LogRecord): void {
  if (!record.leafHash.equals(SHA256_TREE.leaf(record.bytes))) throw new BadEvidence(`${where} has a hash that is not that of its bytes.`);
  const event = readEvent(where, record.bytes);
  if (event.data.organizationId !== organizationId) throw new BadEvidence(`${where} is of another organization.`);
  for (const [column, told, stored] of columnsOf(event, record))
    if (told !== stored) throw new BadEvidence(`${where} is found by a ${column} that is not the one in its bytes.`);
}

function columnsOf(
  { id, writer, sequence, time, data }: AuditEvent,
  record: LogRecord,
): [column: string, told: unknown, stored: unknown][] {
  return [
    ['writer', writer, record.writer],
    ['sequence', Number(sequence), record.sequence],
    ['record id', id, record.recordId],
    ['time', Date.parse(time), record.time],
    ['handler', data.handler, record.handler],
    ['outcome', data.outcome, record.outcome],
    ['API key', data.apiKeyId, record.apiKeyId],
    ['address', canonical(data.address), canonical(record.address)],
  ];
}

const canonical = (address: string | null) => (address === null ? null : (parseAddress(address)?.text ?? address));

function extraNode(organizationId: string, level: number, index: number): BadEvidence {
  return new BadEvidence(`There is a node ${index} on level ${level} of ${organizationId} that its records do not complete.`);
}
