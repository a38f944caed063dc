import type { Standing } from '@kms/journal';

/** What of a journal is still on its way. Ages are in seconds, 0 where nothing waits. */
export interface TailState {
  /** Events that the ledger is not known to hold, and those of them that were not sent. */
  events: number;
  unsent: number;
  /** How long the oldest of them has waited to be sent, and to be known to be in the ledger. */
  relayLag: number;
  ledgerLag: number;
}

/** Commits that lie closer together than this share one mark, in milliseconds. */
const MARK_EVERY_MS = 100;
/** Most marks of a writer. Beyond it every second one goes, so that ages of a long tail are told too great rather than too small. */
const MAX_MARKS = 1_000;
/** How long a writer that this process lost is expected back as an orphan, in milliseconds; then another process is taken to have it. */
const FORMER_WRITER_MS = 30_000;

interface Track {
  last: number;
  acknowledged: number;
  sent: number;
  /** From this number on, events were committed at this time or later. */
  marks: { from: number; at: number }[];
  /** When it was no longer the open writer; null while it is. */
  closedAt: number | null;
  wasAdopted: boolean;
}

/** Remembers when this process's events were committed, and tells by the relay's standings how long they have been waiting. */
export class TailWatch {
  readonly #now: () => number;
  readonly #tracks = new Map<string, Track>();
  #writer: string | null = null;

  /** `now` is in milliseconds on a clock that never goes back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** To be told of each block that this process commits. */
  committed({ writer, firstSequence, lastSequence }: { writer: string; firstSequence: number; lastSequence: number }): void {
    const track = this.#tracks.get(writer) ?? this.#begin(writer);
    const now = this.#now();
    track.last = lastSequence;
    if (now - (track.marks.at(-1)?.at ?? -Infinity) < MARK_EVERY_MS) return;
    track.marks.push({ from: firstSequence, at: now });
    if (track.marks.length > MAX_MARKS) track.marks = track.marks.filter((_, index) => index % 2 === 0);
  }

  /** How it stands, by how far the relay has come with each writer. */
  look(standings: readonly Standing[]): TailState {
    for (const standing of standings) this.#follow(standing);
    this.#forget(new Set(standings.map(({ writer }) => writer)));
    const tracks = [...this.#tracks.values()];
    const now = this.#now();
    const oldest = (of: (track: Track) => number) => Math.max(0, ...tracks.map((track) => ageAfter(track, of(track), now))) / 1_000;
    return {
      events: sum(tracks, ({ last, acknowledged }) => last - acknowledged),
      unsent: sum(tracks, ({ last, sent }) => last - sent),
      relayLag: oldest(({ sent }) => sent),
      ledgerLag: oldest(({ acknowledged }) => acknowledged),
    };
  }

  #begin(writer: string): Track {
    const former = this.#writer === null ? undefined : this.#tracks.get(this.#writer);
    if (former !== undefined) former.closedAt = this.#now();
    this.#writer = writer;
    return this.#add(writer, { last: 0, acknowledged: 0, sent: 0, marks: [], closedAt: null, wasAdopted: false });
  }

  #add(writer: string, track: Track): Track {
    this.#tracks.set(writer, track);
    return track;
  }

  #follow({ writer, sent, acknowledged, last }: Standing): void {
    // Of a writer that another process left behind it is known only since when this one has it.
    const adopted = {
      last: last ?? sent,
      acknowledged,
      sent,
      marks: [{ from: 0, at: this.#now() }],
      closedAt: this.#now(),
      wasAdopted: true,
    };
    const track = this.#tracks.get(writer) ?? this.#add(writer, adopted);
    track.sent = sent;
    track.acknowledged = acknowledged;
    if (track.closedAt !== null && last !== null) {
      track.wasAdopted = true;
      track.last = Math.max(track.last, last);
    }
    while ((track.marks[1]?.from ?? Infinity) <= acknowledged + 1) track.marks.shift();
  }

  #forget(followed: ReadonlySet<string>): void {
    for (const [writer, { closedAt, wasAdopted }] of this.#tracks) {
      if (closedAt === null || followed.has(writer)) continue;
      if (wasAdopted || this.#now() - closedAt > FORMER_WRITER_MS) this.#tracks.delete(writer);
    }
  }
}

/** How long ago the first event after `sequence` was committed, in milliseconds; 0 where there is none. */
function ageAfter({ last, marks }: Track, sequence: number, now: number): number {
  if (sequence >= last) return 0;
  const mark = marks.findLast(({ from }) => from <= sequence + 1) ?? marks[0];
  return mark === undefined ? 0 : now - mark.at;
}

const sum = (tracks: readonly Track[], of: (track: Track) => number) => tracks.reduce((total, track) => total + Math.max(0, of(track)), 0);
