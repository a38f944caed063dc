import {
  MerkleError,
  parseSignatureLines,
  proveConsistency,
  verifiedSignatures,
  writeAddCheckpoint,
  type NodeReader,
  type NoteSignature,
  type NoteVerifier,
} from '@kms/merkle';
import type { SignedCheckpoint } from './sign-checkpoint.ts';

/** Longest wait for an answer, in milliseconds. */
const TIMEOUT_MS = 3_000;
/** Longest answer, in bytes. */
const MAX_ANSWER_BYTES = 16 * 1024;
/** How often a witness may say that it is elsewhere before it is given up. */
const MAX_ATTEMPTS = 3;
/** What a witness that does not answer is left alone for, in milliseconds: at first, and at most. */
const [FIRST_REST_MS, LONGEST_REST_MS] = [500, 5_000];

/**
 * Why a witness gave no cosignature:
 *
 * - `away`: it was not reached, did not answer in time, or said that it cannot.
 * - `refused`: it does not know the log, or not its key, or takes the request for none.
 * - `invalid`: its answer is not what it must be: a cosignature that is not by its key, for instance.
 * - `conflict`: it has cosigned what is not a beginning of this tree. Nobody can repair that: one of the two histories is wrong.
 */
export type WitnessErrorCode = 'away' | 'refused' | 'invalid' | 'conflict';

export class WitnessError extends Error {
  override readonly name = 'WitnessError';
  readonly code: WitnessErrorCode;

  constructor(code: WitnessErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export interface WitnessSettings {
  /** What `/add-checkpoint` is put behind. */
  url: string;
  verifier: NoteVerifier;
  fetch?: typeof fetch;
  /** Milliseconds on a clock that never goes back. */
  now?: () => number;
}

/** A log's side of https://c2sp.org/tlog-witness, with one witness. */
export class WitnessClient {
  readonly #settings: Required<WitnessSettings>;
  readonly #asked = new Set<string>();
  #failures = 0;
  #restUntil = -Infinity;

  constructor({ now = () => performance.now(), ...settings }: WitnessSettings) {
    this.#settings = { fetch, now, ...settings };
  }

  get name(): string {
    return this.#settings.verifier.name;
  }

  /** Whether it is not to be asked now, since it did not answer before. */
  get isResting(): boolean {
    return this.#settings.now() < this.#restUntil;
  }

  /**
   * The witness's verified cosignature of a checkpoint. `guess` is the size that it is thought to have cosigned last, `nodes` reads the
   * checkpoint's tree. Rejects with a {@link WitnessError}, or what `nodes` rejects with.
   */
  async cosign(origin: string, checkpoint: SignedCheckpoint, guess: number, nodes: NodeReader, end: AbortSignal): Promise<NoteSignature> {
    if (this.#asked.has(origin)) throw new WitnessError('away', `The witness ${this.name} has not answered the last request yet.`);
    this.#asked.add(origin);
    try {
      return await this.#ask(checkpoint, guess, nodes, end);
    } finally {
      this.#asked.delete(origin);
    }
  }

  async #ask({ size, note }: SignedCheckpoint, guess: number, nodes: NodeReader, end: AbortSignal): Promise<NoteSignature> {
    for (let [attempt, oldSize] = [0, guess]; attempt < MAX_ATTEMPTS; attempt += 1) {
      const proof = await proveConsistency(nodes, oldSize, size);
      const { status, type, body } = await this.#post(writeAddCheckpoint({ oldSize, proof, checkpoint: note }), end);
      if (status === 200) return this.#cosignature(note.text, body);
      if (status !== 409) throw this.#refusal(status);
      const last = this.#size(type, body);
      if (last > size || last === oldSize) throw this.#conflict(last, size);
      oldSize = last;
    }
    throw new WitnessError('invalid', `The witness ${this.name} says another size at each request.`);
  }

  async #post(body: Uint8Array, end: AbortSignal): Promise<{ status: number; type: string | null; body: Uint8Array }> {
    try {
      const response = await this.#settings.fetch(`${this.#settings.url}/add-checkpoint`, {
        method: 'POST',
        body: Buffer.from(body),
        redirect: 'error',
        signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), end]),
      });
      const answer = await readAnswer(response);
      if (response.status >= 500) throw new Error(`It answered with ${response.status}.`);
      this.#failures = 0;
      return { status: response.status, type: response.headers.get('content-type'), body: answer };
    } catch (cause) {
      this.#restUntil = this.#settings.now() + Math.min(FIRST_REST_MS * 2 ** this.#failures, LONGEST_REST_MS);
      this.#failures += 1;
      throw new WitnessError('away', `The witness ${this.name} does not answer.`, { cause });
    }
  }

  /** Signatures of other keys are no business of ours; what is in this one's name must be by it. */
  #cosignature(text: string, body: Uint8Array): NoteSignature {
    try {
      const [signature] = verifiedSignatures({ text, signatures: parseSignatureLines(body) }, [this.#settings.verifier]);
      if (signature !== undefined) return signature;
    } catch (cause) {
      if (!(cause instanceof MerkleError)) throw cause;
      throw new WitnessError('invalid', `The witness ${this.name} answered with a cosignature that is not its own.`, { cause });
    }
    throw new WitnessError('invalid', `The witness ${this.name} answered without a cosignature of its key.`);
  }

  #size(type: string | null, body: Uint8Array): number {
    const [, digits] = /^(0|[1-9][0-9]{0,15})\n$/.exec(Buffer.from(body).toString('latin1')) ?? [];
    if (type === 'text/x.tlog.size' && digits !== undefined && Number.isSafeInteger(Number(digits))) return Number(digits);
    throw new WitnessError('invalid', `The witness ${this.name} does not say which size it has cosigned.`);
  }

  #refusal(status: number): WitnessError {
    if (status === 404) return new WitnessError('refused', `The witness ${this.name} does not witness this log.`);
    if (status === 403) return new WitnessError('refused', `The witness ${this.name} does not know the log’s key.`);
    if (status === 422) return new WitnessError('conflict', `The witness ${this.name} has cosigned another history of this log.`);
    return new WitnessError('refused', `The witness ${this.name} refuses the request with ${status}.`);
  }

  #conflict(cosigned: number, size: number): WitnessError {
    const what = cosigned === size ? 'another tree of this size' : `a tree of ${cosigned} records, and the ledger has ${size}`;
    return new WitnessError('conflict', `The witness ${this.name} has cosigned another history of this log: ${what}.`);
  }
}

async function readAnswer({ body }: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) throw new Error('The answer is too long.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
