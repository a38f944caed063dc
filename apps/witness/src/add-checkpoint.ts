import { createHash } from 'node:crypto';
import {
  checkConsistency,
  MerkleError,
  openCheckpointNote,
  parseAddCheckpoint,
  parseCheckpoint,
  parseNote,
  SHA256_TREE,
  signNote,
  writeNote,
  writeSignatureLines,
  type AddCheckpoint,
  type Checkpoint,
  type NoteSigner,
} from '@kms/merkle';
import { failpoint, KeptMeanwhileError, type KeptFiles, type Logger } from '@kms/platform';
import type { WitnessedLogs } from './witnessed-logs.ts';

/** What may become of a request to `add-checkpoint`, and the status that it is answered with (tlog-witness). */
const STATUS = {
  cosigned: 200,
  malformed: 400,
  untrusted: 403,
  'unknown-log': 404,
  /** The log has to begin with another size: after a lost answer this is nothing but usual. */
  conflict: 409,
  /** Two signed roots of one size. */
  'two-histories': 409,
  inconsistent: 422,
} as const;
type Outcome = keyof typeof STATUS;

/** What a request is answered with. */
export interface Answer {
  readonly outcome: Outcome;
  readonly status: (typeof STATUS)[Outcome];
  readonly contentType: string;
  readonly body: Uint8Array;
}

export interface WitnessDependencies {
  signer: NoteSigner;
  logs: WitnessedLogs;
  /** The last checkpoint that was cosigned of each log. */
  kept: Pick<KeptFiles, 'read' | 'replace'>;
  logger: Pick<Logger, 'warn' | 'fatal'>;
  /** Milliseconds on a clock that never goes back. */
  now: () => number;
}

const TEXT = 'text/plain; charset=utf-8';
const SIZE = 'text/x.tlog.size';

/**
 * Cosigns checkpoints, https://c2sp.org/tlog-witness: each one that it cosigns of a log extends the one that it cosigned before, which is on
 * the disk before a cosignature is answered. So it never cosigns two histories of one log, whatever happens between two requests.
 */
export class Witness {
  readonly #dependencies: WitnessDependencies;
  /** The end of what is asked of each log. */
  readonly #turns = new Map<string, Promise<unknown>>();
  #cosignedAt: number;
  /** How often each outcome came about; `failed` is what was not answered, because its state or its key cannot be used. */
  readonly outcomes: Record<Outcome | 'failed', number> = {
    cosigned: 0,
    malformed: 0,
    untrusted: 0,
    'unknown-log': 0,
    conflict: 0,
    'two-histories': 0,
    inconsistent: 0,
    failed: 0,
  };
  /** How many requests wait for their answer. */
  underWay = 0;

  constructor(dependencies: WitnessDependencies) {
    this.#dependencies = dependencies;
    this.#cosignedAt = dependencies.now();
  }

  /** How many requests came to an end. */
  get answered(): number {
    return Object.values(this.outcomes).reduce((sum, count) => sum + count, 0);
  }

  /** How long nothing was cosigned, in milliseconds, since the start at most. */
  get idleMs(): number {
    return this.#dependencies.now() - this.#cosignedAt;
  }

  /** Rejects only where its state or its key cannot be used; it has then cosigned nothing. */
  async addCheckpoint(body: Uint8Array): Promise<Answer> {
    this.underWay += 1;
    let outcome: keyof Witness['outcomes'] = 'failed';
    try {
      const given = await this.#answer(body);
      outcome = given.outcome;
      return given;
    } finally {
      this.underWay -= 1;
      this.outcomes[outcome] += 1;
      if (outcome === 'cosigned') this.#cosignedAt = this.#dependencies.now();
    }
  }

  async #answer(body: Uint8Array): Promise<Answer> {
    try {
      const request = parseAddCheckpoint(body);
      const checkpoint = this.#believe(request);
      if ('status' in checkpoint) return checkpoint;
      if (request.oldSize > checkpoint.size) return refusal('malformed', 'The old size is above the checkpoint’s.');
      return await this.#inTurn(checkpoint.origin, () => this.#extend(request, checkpoint));
    } catch (error) {
      if (error instanceof MerkleError) return refusal('malformed', error.message);
      throw error;
    }
  }

  /** What the log says, or why it is not known to say so. */
  #believe({ checkpoint: note }: AddCheckpoint): Checkpoint | Answer {
    const { origin } = parseCheckpoint(note.text);
    const logKeys = this.#dependencies.logs.keysOf(origin);
    if (logKeys.length === 0) return refusal('unknown-log', 'The log is not witnessed here.');
    try {
      return openCheckpointNote(note, { origin, logKeys }).checkpoint;
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
      if (error.code === 'untrusted' || error.code === 'bad-signature') return refusal('untrusted', error.message);
      if (error.code === 'wrong-root') return refusal('inconsistent', error.message);
      throw error;
    }
  }

  async #extend(request: AddCheckpoint, checkpoint: Checkpoint): Promise<Answer> {
    const { kept, logger } = this.#dependencies;
    const name = nameOf(checkpoint.origin);
    const previous = await kept.read(name);
    const last = previous === null ? { size: 0, root: SHA256_TREE.emptyRoot() } : readLast(previous.bytes, checkpoint.origin);
    if (request.oldSize !== last.size) return conflict('conflict', last.size);
    try {
      checkConsistency(last, checkpoint, request.proof);
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
      const seen = { origin: checkpoint.origin, cosigned: last.size, size: checkpoint.size };
      if (error.code !== 'wrong-root') {
        logger.warn(seen, 'A checkpoint was refused: its proof does not show that it extends the one before.');
        return refusal('inconsistent', error.message);
      }
      // Two signed roots of one size are proof against the log, for whoever has both.
      const evidence = {
        cosignedNote: previous?.bytes.toString('utf8'),
        note: Buffer.from(writeNote(request.checkpoint)).toString('utf8'),
      };
      logger.fatal(
        { ...seen, ...evidence },
        'A log has signed two histories: this checkpoint is not the one that was cosigned at its size.',
      );
      return conflict('two-histories', last.size);
    }
    return this.#cosign(request, checkpoint, name, previous);
  }

  async #cosign(
    request: AddCheckpoint,
    checkpoint: Checkpoint,
    name: string,
    previous: Parameters<KeptFiles['replace']>[1],
  ): Promise<Answer> {
    const { kept, signer } = this.#dependencies;
    try {
      await kept.replace(name, previous, writeNote(request.checkpoint));
    } catch (error) {
      // Another process witnesses in the same folder: what it has cosigned is what counts now.
      if (error instanceof KeptMeanwhileError) return this.#extend(request, checkpoint);
      throw error;
    }
    failpoint('witness.stored');
    const { signatures } = await signNote({ text: request.checkpoint.text, signatures: [] }, [signer]);
    return answer('cosigned', TEXT, writeSignatureLines(signatures));
  }

  /** One after another for each log: no request is decided on a state that another one is about to replace. */
  async #inTurn<T>(origin: string, action: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(origin) ?? Promise.resolve()).then(action, action);
    this.#turns.set(origin, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(origin) === turn) this.#turns.delete(origin);
    }
  }
}

/** An origin may hold what no file's name may. */
const nameOf = (origin: string) => createHash('sha256').update(origin).digest('hex');

/** Throws where what is kept is damaged or of another log: going on would be a new beginning, which a witness must never make. */
function readLast(bytes: Uint8Array, origin: string): Checkpoint {
  try {
    const last = parseCheckpoint(parseNote(bytes).text);
    if (last.origin === origin) return last;
  } catch (cause) {
    throw new Error('The checkpoint that was cosigned last is damaged.', { cause });
  }
  throw new Error('The checkpoint that was cosigned last is of another log.');
}

const answer = (outcome: Outcome, contentType: string, body: Uint8Array): Answer => ({
  outcome,
  status: STATUS[outcome],
  contentType,
  body,
});

const refusal = (outcome: Outcome, sentence: string) => answer(outcome, TEXT, Buffer.from(`${sentence}\n`));

const conflict = (outcome: 'conflict' | 'two-histories', size: number) => answer(outcome, SIZE, Buffer.from(`${size}\n`));
