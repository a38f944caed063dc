import { parseEvent, type AuditEvent } from '@kms/contracts';
import type { LogFiles } from '@kms/evidence';
import {
  checkConsistency,
  COSIGNATURE_V1,
  ED25519_NOTE,
  MerkleError,
  nodeSha256,
  noteVerifier,
  openCheckpoint,
  parseVerifierKey,
  verifyInclusion,
  type Checkpoint,
  type CheckpointPolicy,
} from '@kms/merkle';
import { z } from 'zod';
import { memoryCheckpointStore, type CheckpointStore } from './checkpoint-store.ts';
import type { HttpClient } from './http-client.ts';
import { KmsError } from './kms-error.ts';
import { parseReceipt, type Receipt } from './receipt.ts';

/** Whose word on the log is believed. Take the keys from a place that is not the service. */
export interface AuditTrust {
  /** Which log: `<deployment>/audit/<organization id>`. */
  readonly origin: string;
  /** The log's public keys (C2SP signed-note), one of which must have signed. */
  readonly keys: readonly string[];
  /** Witnesses' public keys, and how many must have cosigned: all by default. */
  readonly witnesses?: readonly string[];
  readonly quorum?: number;
  /** Where the newest checkpoint is remembered; for as long as the process runs by default. */
  readonly store?: CheckpointStore;
}

/** A checkpoint that is believed: signed, and an extension of all that were believed before. */
export interface BelievedCheckpoint extends Checkpoint {
  /** The signed note. Keep some: each is a size and a root that the log can never take back. */
  readonly note: Uint8Array;
}

/** A record that is under a checkpoint that is believed. */
export interface ProvenRecord {
  readonly event: AuditEvent;
  /** The record's bytes, as they stand in the log. */
  readonly bytes: Uint8Array;
  /** Its place in the log, from 0. */
  readonly index: number;
  readonly checkpoint: BelievedCheckpoint;
}

/** Bytes in the one spelling that they have. */
const Base64 = z.string().transform((text, context) => {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') === text) return new Uint8Array(bytes);
  context.addIssue({ code: 'custom', message: 'must be base64' });
  return z.NEVER;
});
const Size = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const Proof = z.array(Base64).max(63);
const ProofAnswer = z.object({ record: Base64, index: Size, proof: Proof, checkpoint: z.string() });
const ConsistencyAnswer = z.object({ from: Size, to: Size, proof: Proof });
const KeysAnswer = z.object({ keys: z.array(z.string()) });

/**
 * The organization's audit log. Everything that it resolves with is verified, apart from what says that it is not; what does not hold is a
 * `wrong-evidence` {@link KmsError}. Calls go one after another, so that no answer is taken for older than what was known when it was asked for.
 */
export class AuditClient {
  readonly #http: HttpClient;
  readonly #trust: { policy: CheckpointPolicy; store: CheckpointStore } | null;
  #last: Promise<unknown> = Promise.resolve();

  /** Throws an `invalid-argument` {@link KmsError} for keys that are none. */
  constructor(http: HttpClient, trust: AuditTrust | null) {
    this.#http = http;
    this.#trust = trust && { policy: toPolicy(trust), store: trust.store ?? memoryCheckpointStore() };
  }

  /** The newest checkpoint. */
  checkpoint(): Promise<BelievedCheckpoint> {
    return this.#next(async () => this.#believe((await this.#http.get('/audit/checkpoint')).bytes));
  }

  /** Shows that the log extends an older checkpoint, a signed note, and resolves with the newest. */
  consistency(older: Uint8Array): Promise<BelievedCheckpoint> {
    return this.#next(async () => {
      const { policy } = this.#requireTrust();
      const old = evidence(() => openCheckpoint(older, { origin: policy.origin, logKeys: policy.logKeys })).checkpoint;
      const newest = await this.#believe((await this.#http.get('/audit/checkpoint')).bytes);
      await this.#requireExtends(old, newest);
      return newest;
    });
  }

  /** A record, by its id, with its place in the log. `refused` with 404 where no checkpoint reaches it yet: ask again after a second. */
  prove(recordId: string): Promise<ProvenRecord> {
    return this.#next(() => this.#prove(recordId));
  }

  /**
   * Redeems a receipt, as text or read, for its record, proven. A receipt whose record is another one, or is in no checkpoint after some
   * seconds, is evidence against the service.
   */
  redeem(given: Receipt | string): Promise<ProvenRecord> {
    return this.#next(async () => {
      const receipt = typeof given === 'string' ? parseReceipt(given) : given;
      const proven = await this.#prove(receipt.id);
      const { event, bytes } = proven;
      const chained = Buffer.concat([Buffer.from(event.previoushash, 'hex'), bytes]);
      const isSame =
        event.writer === receipt.writer &&
        Number(event.sequence) === receipt.sequence &&
        Buffer.from(nodeSha256(chained)).toString('hex') === receipt.hash;
      if (!isSame) throw new KmsError('wrong-evidence', 'The record is not the one that the receipt was given for.');
      return proven;
    });
  }

  /** The keys that the service says its log has. Nothing vouches for them: compare them with what you got on another way. */
  async claimedKeys(): Promise<readonly string[]> {
    return (await this.#http.getJson('/audit/keys.json', KeysAnswer)).value.keys;
  }

  /** The log's files, for an export or a full verification. Nothing is verified. */
  get files(): LogFiles {
    return {
      read: async (path) => {
        try {
          return (await this.#http.get(`/audit/${path}`)).bytes;
        } catch (error) {
          if (error instanceof KmsError && error.status === 404) return null;
          throw error;
        }
      },
    };
  }

  async #prove(recordId: string): Promise<ProvenRecord> {
    const { policy } = this.#requireTrust();
    const { value } = await this.#http.getJson(`/audit/proof/${encodeURIComponent(recordId)}.json`, ProofAnswer);
    const note = Buffer.from(value.checkpoint, 'utf8');
    evidence(() => verifyInclusion({ ...value, checkpoint: note }, policy));
    const event = evidence(() => parseEvent(value.record));
    if (event.id !== recordId || !policy.origin.endsWith(`/${event.data.organizationId}`))
      throw new KmsError('wrong-evidence', 'The record is another one than was asked for.');
    return { event, bytes: value.record, index: value.index, checkpoint: await this.#believe(note) };
  }

  /** Believes a checkpoint and remembers it, once it is shown to extend the one that is remembered. */
  async #believe(note: Uint8Array): Promise<BelievedCheckpoint> {
    const { policy, store } = this.#requireTrust();
    const next = evidence(() => openCheckpoint(note, policy)).checkpoint;
    const kept = await store.load();
    // The quorum was asked for when it was taken; witnesses may have come or gone.
    const last = kept && evidence(() => openCheckpoint(kept, { origin: policy.origin, logKeys: policy.logKeys })).checkpoint;
    if (last !== null) await this.#requireExtends(last, next);
    if (last === null || next.size > last.size) await store.save(note);
    return { ...next, note };
  }

  async #requireExtends(old: Checkpoint, next: Checkpoint): Promise<void> {
    if (old.size > next.size)
      throw new KmsError('wrong-evidence', `The service shows a log of ${next.size} records, and showed one of ${old.size} before.`);
    const proof = old.size === next.size || old.size === 0 ? [] : await this.#readProof(old.size, next.size);
    evidence(() => checkConsistency(old, next, proof));
  }

  async #readProof(from: number, to: number): Promise<Uint8Array[]> {
    const { value } = await this.#http.getJson(`/audit/consistency.json?from=${from}&to=${to}`, ConsistencyAnswer);
    if (value.from !== from || value.to !== to) throw new KmsError('wrong-evidence', 'The proof is for other sizes than were asked for.');
    return value.proof;
  }

  #requireTrust() {
    if (this.#trust === null) throw new KmsError('invalid-argument', 'Give the log’s origin and keys as "audit" to check what it says.');
    return this.#trust;
  }

  #next<T>(call: () => Promise<T>): Promise<T> {
    const result = this.#last.then(call);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

function toPolicy({ origin, keys, witnesses = [], quorum = witnesses.length }: AuditTrust): CheckpointPolicy {
  if (new Set([...keys, ...witnesses]).size < keys.length + witnesses.length || !(quorum >= 0 && quorum <= witnesses.length))
    throw new KmsError('invalid-argument', 'Name each key once, and a quorum that the witnesses can make.');
  try {
    return {
      origin,
      logKeys: keys.map((key) => noteVerifier(parseVerifierKey(key), [ED25519_NOTE])),
      witnesses: witnesses.map((key) => noteVerifier(parseVerifierKey(key), [COSIGNATURE_V1])),
      quorum,
    };
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new KmsError('invalid-argument', `A key of the log or a witness is none: ${cause.message}`, { cause });
  }
}

/** What the check resolves with; every refusal of it is the service's fault. */
function evidence<T>(check: () => T): T {
  try {
    return check();
  } catch (cause) {
    throw new KmsError('wrong-evidence', `What the service shows of its log does not hold. ${(cause as Error).message}`, { cause });
  }
}
