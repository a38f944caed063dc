import { EventFormatError, MAX_EVENT_BYTES, parseEvent, type AuditEvent } from '@kms/contracts';
import { chainHash } from '@kms/journal';
import { SHA256_TREE } from '@kms/merkle';
import type { PolicyOf } from '../log-policy.ts';
import { notice, violation, type Finding, type MessagePlace } from './finding.ts';
import { SignedLogs, type LogLimits, type LogSummary } from './signed-logs.ts';
import { WriterChains, type ChainLimits } from './writer-chains.ts';

/** A message of the audit topic. */
export interface FollowedMessage {
  partition: number;
  offset: bigint;
  key: Buffer | null;
  value: Buffer | null;
  /** When the broker appended it, in milliseconds since 1970; the events' own clocks are not asked. */
  appendedAt: number;
}

/** Where reading a partition begins, and where the partition ended then: the offset behind its last message. */
export interface PartitionStart {
  start: bigint;
  end: bigint;
}

export interface FollowerOptions {
  topic: string;
  partitions: ReadonlyMap<number, PartitionStart>;
  /** When `partitions` was looked at, in milliseconds since 1970. */
  startedAt: number;
  /** By whose keys checkpoints are believed; without, they are not looked at. */
  policyOf?: PolicyOf;
  limits?: Omit<ChainLimits, 'fromFirst'> & LogLimits;
}

/** Enough for some millions of events in what a process has by default; see each one's own words. */
export const DEFAULT_LIMITS = {
  maxGaps: 50_000,
  maxWriters: 50_000,
  recentBytes: 64 * 1024 * 1024,
  maxLeaves: 16_384,
  maxWaiting: 100_000,
  maxRoots: 100_000,
};

/** What producers that send at once may be apart on the topic, in milliseconds. */
const SKEW_MS = 10_000;

export interface FollowerSummary {
  events: number;
  organizations: number;
  writers: number;
  doubles: number;
  /** Of the doubles: those that came so late that their bytes could not be compared. */
  uncomparedDoubles: number;
  /** Numbers that are missing now. */
  gaps: number;
  /** The age of the oldest gap, in milliseconds; 0 without gaps. */
  oldestGapMs: number;
  checkpoints: number;
  matches: number;
  uncomparedCheckpoints: number;
}

interface Partition {
  /** The offset that is to come next. */
  next: bigint;
  isFollowed: boolean;
}

/**
 * What the messages of the audit topic and of the checkpoints' topic show by themselves. Pure: the caller reads them, in the order of each
 * partition, and gives the time. In bounded memory, however long it runs; besides, for each organization as much as its last checkpoints need.
 */
export class Follower {
  readonly #topic: string;
  readonly #chains: WriterChains;
  readonly #logs: SignedLogs | null;
  readonly #partitions = new Map<number, Partition>();
  readonly #organizations = new Set<string>();
  /** Partitions that had messages to read at the start and have not shown one. */
  readonly #unseen = new Set<number>();
  #horizon: number;
  #events = 0;

  constructor({ topic, partitions, startedAt, policyOf, limits = DEFAULT_LIMITS }: FollowerOptions) {
    this.#topic = topic;
    for (const [partition, { start, end }] of partitions) {
      this.#partitions.set(partition, { next: start, isFollowed: start === 0n });
      if (start > 0n && start < end) this.#unseen.add(partition);
    }
    const fromFirst = [...partitions.values()].every(({ start }) => start === 0n);
    this.#chains = new WriterChains({ ...limits, fromFirst });
    this.#logs = policyOf === undefined ? null : new SignedLogs(policyOf, limits);
    const isPartlyUnread = [...partitions.values()].some(({ start, end }) => start > 0n && start === end);
    this.#horizon = isPartlyUnread ? startedAt : -Infinity;
    this.#settleHorizon();
  }

  /** Takes the next message of a partition. `now` is the reader's clock, in milliseconds. */
  message(message: FollowedMessage, now: number): Finding[] {
    const { partition, offset, key, value, appendedAt } = message;
    const place = { topic: this.#topic, partition, offset };
    const findings = this.#advance(message, place);
    if (value !== null && value.length > MAX_EVENT_BYTES)
      return [...findings, violation('schema', `The message has ${value.length} bytes, more than an event.`, { place })];
    let event: AuditEvent;
    try {
      event = parseEvent(value ?? Buffer.alloc(0));
    } catch (error) {
      if (!(error instanceof EventFormatError)) throw error;
      return [...findings, violation('schema', `The message is no audit event: ${error.message}`, { place })];
    }
    const { writer, data } = event;
    const sequence = Number(event.sequence);
    if (key?.toString('latin1') !== data.organizationId) {
      const message = `Writer ${writer}, number ${sequence}: the event is not under its organization’s key.`;
      return [...findings, violation('key', message, { place, writer, sequence })];
    }
    const bytes = value as Buffer;
    const previousHash = Buffer.from(event.previoushash, 'hex');
    const chained = { writer, sequence, previousHash, hash: chainHash(previousHash, bytes) };
    const added = this.#chains.add(chained, { place, appendedAt, now });
    findings.push(...added.findings);
    if (added.isNew) findings.push(...this.#count(data.organizationId, bytes, partition));
    return findings;
  }

  /** Takes the next message of the checkpoints' topic. */
  checkpoint(key: Buffer | null, value: Buffer | null, place: MessagePlace, now: number): Finding[] {
    return this.#logs?.addCheckpoint(key, value, place, now) ?? [];
  }

  /**
   * Told that everything was read that was on the topics at `until` (the reader's clock, in milliseconds), the time for stragglers taken off:
   * what was missing then is missing.
   */
  overdue(until: number): Finding[] {
    return [...this.#chains.overdue(until), ...(this.#logs?.overdue(until) ?? [])];
  }

  /** Whether {@link overdue} may come to say something of what was read up to now. */
  get isPending(): boolean {
    return this.#chains.gaps().length > 0 || (this.#logs?.hasWaiting ?? false);
  }

  /** What {@link overdue} said of missing numbers that have still not come. */
  missing(): Finding[] {
    return this.#chains.missing();
  }

  logs(): Iterable<LogSummary> {
    return this.#logs?.summaries() ?? [];
  }

  summary(now: number): FollowerSummary {
    const gaps = this.#chains.gaps();
    return {
      events: this.#events,
      organizations: this.#organizations.size,
      writers: this.#chains.writers,
      doubles: this.#chains.doubles,
      uncomparedDoubles: this.#chains.uncompared,
      gaps: gaps.reduce((sum, { first, last }) => sum + last - first + 1, 0),
      oldestGapMs: gaps.reduce((oldest, { noticedAt }) => Math.max(oldest, now - noticedAt), 0),
      checkpoints: this.#logs?.believed ?? 0,
      matches: this.#logs?.matches ?? 0,
      uncomparedCheckpoints: this.#logs?.uncompared ?? 0,
    };
  }

  #count(organizationId: string, bytes: Buffer, partition: number): Finding[] {
    this.#events += 1;
    this.#organizations.add(organizationId);
    if (this.#logs === null) return [];
    return this.#logs.addLeaf(organizationId, SHA256_TREE.leaf(bytes), this.#partition(partition).isFollowed);
  }

  #partition(partition: number): Partition {
    let known = this.#partitions.get(partition);
    if (known === undefined) this.#partitions.set(partition, (known = { next: 0n, isFollowed: true }));
    return known;
  }

  #advance({ partition, offset, appendedAt }: FollowedMessage, place: MessagePlace): Finding[] {
    if (this.#unseen.delete(partition)) {
      this.#horizon = Math.max(this.#horizon, appendedAt);
      this.#settleHorizon();
    }
    const known = this.#partition(partition);
    const expected = known.next;
    known.next = offset + 1n;
    if (offset === expected) return [];
    if (offset < expected) return [notice('restarted', `Partition ${partition} goes back from ${expected} to ${offset}.`, { place })];
    known.isFollowed = false;
    const gone = offset - expected === 1n ? `message ${expected} was` : `messages ${expected} to ${offset - 1n} were`;
    return [violation('unread', `Partition ${partition}: ${gone} gone before it could be read.`, { place })];
  }

  #settleHorizon(): void {
    this.#chains.horizon = this.#unseen.size > 0 ? Infinity : this.#horizon + SKEW_MS;
  }
}
