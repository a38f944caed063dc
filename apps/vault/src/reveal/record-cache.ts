import type { Encoding, Environment, Handler, Id, Policy } from '@kms/contracts';
import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import { toPolicy } from '../domain/entry.ts';
import type { PreparedContent } from '@kms/envelope';
import { openContent, type SealedContent } from '../keys/content-sealer.ts';
import type { KeyRing } from '../keys/key-ring.ts';
import { fromRow, SELECT_ENTRY, type EntryRow } from '../write/entry-store.ts';

export interface RecordKey {
  organizationId: Id;
  environment: Environment;
  handler: Handler;
  /** A version's number, or null for the current one. */
  version: number | null;
}

/** What a reveal needs of an entry, at one revision. */
export interface RevealRecord {
  policy: Policy;
  /** `null`: the entry has no such version. */
  content: { version: number; encoding: Encoding; prepared: PreparedContent } | null;
}

const MAX_RECORDS = 10_000;

/**
 * Records of entries that were revealed lately, still encrypted. They may be of an older revision for as long as nobody asks with a newer
 * one: that is safe because the commit of a reveal is fenced by the stored revision, and a broken fence comes back here as `forget`.
 */
export class RecordCache {
  readonly #records = new LRUCache<string, Promise<RevealRecord | null>>({ max: MAX_RECORDS });
  readonly lookups = { hit: 0, miss: 0 };
  /** Records that are being read, and the reading that begins after it for those who came too late for this one. */
  readonly #readings = new Map<string, { now: Promise<RevealRecord | null>; next: Promise<RevealRecord | null> | null }>();

  constructor(
    readonly pool: pg.Pool,
    readonly keyRing: KeyRing,
  ) {}

  /** The record, from memory if it has the revision asked for, else read now. `null`: there is no such entry. */
  async get(key: RecordKey, revision: number): Promise<RevealRecord | null> {
    const cached = await this.#records.get(keyText(key));
    const isKnown = cached?.policy.revision === revision;
    this.lookups[isKnown ? 'hit' : 'miss'] += 1;
    return isKnown ? cached : this.reload(key);
  }

  /**
   * The record as it is stored now: read by a reading that begins after this call. What is not there is not kept. Those who call during a
   * reading share the next one, so that a database that is slow gets one question a record at a time, however many reveals wait.
   */
  reload(key: RecordKey): Promise<RevealRecord | null> {
    const text = keyText(key);
    const reading = this.#readings.get(text);
    if (reading === undefined) return this.#begin(key, text);
    const begin = () => this.#begin(key, text);
    return (reading.next ??= reading.now.then(begin, begin));
  }

  #begin(key: RecordKey, text: string): Promise<RevealRecord | null> {
    const now = this.#readAndKeep(key, text);
    const reading = { now, next: null };
    this.#readings.set(text, reading);
    const forget = () => {
      if (reading.next === null) this.#readings.delete(text);
    };
    now.then(forget, forget);
    return now;
  }

  async #readAndKeep(key: RecordKey, text: string): Promise<RevealRecord | null> {
    const reading = this.#read(key);
    this.#records.set(text, reading);
    try {
      const record = await reading;
      if (record === null) this.#records.delete(text);
      return record;
    } catch (error) {
      this.#records.delete(text);
      throw error;
    }
  }

  async #read({ organizationId, environment, handler, version }: RecordKey): Promise<RevealRecord | null> {
    const { rows } = await this.pool.query<EntryRow>({
      name: 'read-entry',
      text: `${SELECT_ENTRY} WHERE organization_id = $1 AND environment = $2 AND handler = $3 AND deleted_at IS NULL`,
      values: [organizationId, environment, handler],
    });
    if (rows[0] === undefined) return null;
    const entry = fromRow(rows[0]);
    const number = version ?? entry.currentVersion;
    const encoding = entry.versions.find((candidate) => candidate.number === number)?.encoding;
    if (encoding === undefined) return { policy: toPolicy(entry), content: null };
    const prepared = await this.#prepare({ organizationId, entryId: entry.id, version: number });
    return { policy: toPolicy(entry), content: prepared && { version: number, encoding, prepared } };
  }

  async #prepare(context: { organizationId: Id; entryId: Id; version: number }): Promise<PreparedContent | null> {
    const { rows } = await this.pool.query<SealedContent>({
      name: 'read-content',
      text: 'SELECT organization_key_id, data_key_id, wrapped_data_key, sealed FROM sealed_contents WHERE entry_id = $1 AND version = $2',
      values: [context.entryId, context.version],
    });
    return rows[0] === undefined ? null : openContent(this.pool, this.keyRing, context, rows[0]);
  }
}

const keyText = ({ organizationId, environment, handler, version }: RecordKey) =>
  `${organizationId}/${environment}/${handler}/${version ?? ''}`;
