import { CompactRange, MerkleError, openCheckpoint, type Checkpoint } from '@kms/merkle';
import type { PolicyOf } from '../log-policy.ts';
import { notice, violation, type Finding, type MessagePlace } from './finding.ts';

export interface LogLimits {
  /** Leaf hashes of an organization that wait for the checkpoint that is over them. */
  maxLeaves: number;
  /** Checkpoints, over all organizations, that wait for the events that they are over. */
  maxWaiting: number;
  /** Checkpoints, over all organizations, whose roots are kept to be compared with others of the same size. */
  maxRoots: number;
}

interface Waiting {
  size: number;
  root: Uint8Array;
  receivedAt: number;
  place: MessagePlace;
}

interface Log {
  /** The tree of the events that were read, up to those in `leaves`; null where it is known not to be the log's. */
  tree: CompactRange | null;
  leaves: Uint8Array[];
  /** Checkpoints of sizes that are not reached yet, the smallest first. */
  waiting: Waiting[];
  newest: { size: number; signedAt: number } | null;
  matched: number | null;
}

/** What is known of an organization's log. */
export interface LogSummary {
  organizationId: string;
  /** The largest size that was signed. */
  signed: number | null;
  /** The largest size whose root the events that were read reproduce. */
  matched: number | null;
  /** Whether the events that were read can be those of the log. */
  isReproduced: boolean;
}

/**
 * Holds each organization's checkpoints against one another, and against the tree of its events in the order of their partition. That order
 * is the ledger's unless the ledger has records of its own (parked messages) or the topic lost and got again what the ledger had taken: a root
 * that the events do not give is therefore no proof of a wrong, and is said as what it is.
 */
export class SignedLogs {
  readonly #policyOf: PolicyOf;
  readonly #limits: LogLimits;
  readonly #logs = new Map<string, Log>();
  readonly #roots = new Map<string, Uint8Array>();
  #waiting = 0;
  /** Checkpoints that were believed, and those of them that the events reproduce. */
  believed = 0;
  matches = 0;
  /** Checkpoints that were not compared with the events, because too much waited. */
  uncompared = 0;

  constructor(policyOf: PolicyOf, limits: LogLimits) {
    this.#policyOf = policyOf;
    this.#limits = limits;
  }

  /** Takes the next event of an organization. `isFollowed`: whether its partition was read from the first message that there ever was. */
  addLeaf(organizationId: string, leafHash: Uint8Array, isFollowed: boolean): Finding[] {
    const log = this.#log(organizationId);
    if (!isFollowed) this.#forget(log);
    if (log.tree === null) return [];
    log.leaves.push(leafHash);
    if (log.leaves.length > this.#limits.maxLeaves) fold(log, log.tree.size + (this.#limits.maxLeaves >>> 1));
    const [next] = log.waiting;
    if (next === undefined || sizeOf(log) < next.size) return [];
    return this.#settle(organizationId, log, this.#takeWaiting(log));
  }

  /** Takes a message of the checkpoints' topic. `now` is the reader's clock, in milliseconds. */
  addCheckpoint(key: Buffer | null, value: Buffer | null, place: MessagePlace, now: number): Finding[] {
    const organizationId = key?.toString('latin1') ?? '';
    if (!/^[0-9a-f]{24}$/.test(organizationId)) return [violation('checkpoint', 'The message’s key is no organization.', { place })];
    let checkpoint: Checkpoint;
    try {
      checkpoint = openCheckpoint(value ?? Buffer.alloc(0), this.#policyOf(organizationId)).checkpoint;
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
      return [violation('checkpoint', `The checkpoint of ${organizationId} is not believed: ${error.message}`, { place, organizationId })];
    }
    this.believed += 1;
    return this.#take(organizationId, checkpoint, place, now);
  }

  /** Says of the checkpoints that came at `until` or before that the events they are over are not there, once of each organization. */
  overdue(until: number): Finding[] {
    const findings: Finding[] = [];
    for (const [organizationId, log] of this.#logs) {
      const late = log.waiting.find(({ receivedAt }) => receivedAt <= until);
      if (late === undefined) continue;
      const message = `The checkpoint of ${organizationId} at ${late.size} is over more than the ${sizeOf(log)} events that were read.`;
      findings.push(...this.#giveUp(organizationId, log, message, late.place));
    }
    return findings;
  }

  /** Whether checkpoints wait for events. */
  get hasWaiting(): boolean {
    return this.#waiting > 0;
  }

  *summaries(): Generator<LogSummary> {
    for (const [organizationId, { newest, matched, tree }] of this.#logs)
      yield { organizationId, signed: newest?.size ?? null, matched, isReproduced: tree !== null };
  }

  #log(organizationId: string): Log {
    let log = this.#logs.get(organizationId);
    if (log === undefined) {
      log = { tree: CompactRange.empty(), leaves: [], waiting: [], newest: null, matched: null };
      this.#logs.set(organizationId, log);
    }
    return log;
  }

  #take(organizationId: string, { size, root, extensions }: Checkpoint, place: MessagePlace, now: number): Finding[] {
    const log = this.#log(organizationId);
    const name = `${organizationId}/${size}`;
    const known = this.#roots.get(name);
    if (known !== undefined) {
      if (sameBytes(known, root)) return [];
      return [violation('fork', `Two trees of ${size} records were signed for ${organizationId}.`, { place, organizationId })];
    }
    this.#roots.set(name, root);
    if (this.#roots.size > this.#limits.maxRoots) this.#roots.delete(this.#roots.keys().next().value as string);

    const signedAt = readSignedAt(extensions);
    const findings: Finding[] = [];
    if (log.newest === null || size > log.newest.size) log.newest = { size, signedAt };
    // What was signed before may come again, or late. What was signed after must not be smaller.
    else if (!(signedAt < log.newest.signedAt)) findings.push(shrunk(organizationId, log.newest.size, size, place));
    return [...findings, ...this.#compare(organizationId, log, { size, root, receivedAt: now, place })];
  }

  #compare(organizationId: string, log: Log, checkpoint: Waiting): Finding[] {
    if (log.tree === null) return [];
    if (checkpoint.size <= sizeOf(log)) {
      if (checkpoint.size >= log.tree.size) return this.#settle(organizationId, log, checkpoint);
      this.uncompared += 1;
    } else if (this.#waiting < this.#limits.maxWaiting) {
      log.waiting.push(checkpoint);
      log.waiting.sort((a, b) => a.size - b.size);
      this.#waiting += 1;
    } else {
      this.uncompared += 1;
    }
    return [];
  }

  #takeWaiting(log: Log): Waiting {
    this.#waiting -= 1;
    return log.waiting.shift() as Waiting;
  }

  /** Compares the root of a size that is reached with that of the events. */
  #settle(organizationId: string, log: Log, { size, root, place }: Waiting): Finding[] {
    const tree = fold(log, size);
    if (!sameBytes(tree.root(), root)) {
      const since = log.matched === null ? '' : `, and those at ${log.matched} did`;
      const message = `The checkpoint of ${organizationId} at ${size} cannot be reproduced from what was read${since}.`;
      return this.#giveUp(organizationId, log, message, place);
    }
    log.matched = size;
    this.matches += 1;
    return [notice('matches', `The checkpoint of ${organizationId} at ${size} is that of the events.`, { place, organizationId })];
  }

  /** The events are not all there: they are held against no further checkpoint. */
  #forget(log: Log): void {
    this.#waiting -= log.waiting.length;
    [log.tree, log.leaves, log.waiting] = [null, [], []];
  }

  #giveUp(organizationId: string, log: Log, message: string, place: MessagePlace): Finding[] {
    this.#forget(log);
    return [notice('not-reproduced', message, { place, organizationId })];
  }
}

const sizeOf = ({ tree, leaves }: Log) => (tree?.size ?? 0) + leaves.length;

/** Takes the leaves up to a size into the tree. */
function fold(log: Log, size: number): CompactRange {
  const tree = log.tree as CompactRange;
  for (const leaf of log.leaves.splice(0, size - tree.size)) tree.append(leaf);
  return tree;
}

/** The time in the line `signed-at`, in milliseconds; NaN where there is none. */
function readSignedAt(extensions: readonly string[]): number {
  const line = extensions.find((extension) => extension.startsWith('signed-at '));
  return line === undefined ? NaN : Date.parse(line.slice('signed-at '.length));
}

function shrunk(organizationId: string, before: number, size: number, place: MessagePlace): Finding {
  return violation('shrunk', `A tree of ${size} records was signed for ${organizationId} after one of ${before}.`, {
    place,
    organizationId,
  });
}

const sameBytes = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;
