import type { Encoding, Environment, Handler, Id, Policy } from '@kms/contracts';
import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import { toPolicy } from '../domain/entry.ts';
import type { PreparedContent } from '@kms/envelope';
import { openContent, type SealedContent } from '../keys/content-sealer.ts';
import type { KeyRing } from '../keys/key-ring.ts';
import { fromRow, type EntryRow } from '../write/entry-store.ts';

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

/** Most that is kept, in bytes: more than 100,000 small contents. */
const MAX_BYTES = 384 * 1_048_576;
/** What a record takes beside its content and whitelist, in bytes, measured: its objects, its key, its place in the cache. */
const RECORD_BYTES = 3_700;
/** And for each range of its whitelist. */
const RANGE_BYTES = 64;

/**
 * Records of entries that were revealed lately, still encrypted. They may be of an older revision for as long as nobody asks with a newer
 * one: that is safe because the commit of a reveal is fenced by the stored revision, and a broken fence comes back here as `forget`.
 */
export class RecordCache {
  readonly #records: LRUCache<string, RevealRecord>;
  readonly lookups = { hit: 0, miss: 0 };
  /** Records that are being read, and the reading that begins after it for those who came too late for this one. */
  readonly #readings = new Map<string, { now: Promise<RevealRecord | null>; next: Promise<RevealRecord | null> | null }>();

  constructor(
    readonly pool: pg.Pool,
    readonly keyRing: KeyRing,
    maxBytes = MAX_BYTES,
  ) {
    this.#records = new LRUCache({ maxSize: maxBytes });
  }

  /** The record, from memory if it has the revision asked for, else read now. `null`: there is no such entry. */
  async get(key: RecordKey, revision: number): Promise<RevealRecord | null> {
    const text = keyText(key);
    const cached = this.#records.get(text) ?? (await this.#readings.get(text)?.now);
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
    this.#records.delete(text);
    const now = this.#read(key);
    const reading = { now, next: null };
    this.#readings.set(text, reading);
    const forget = () => {
      if (reading.next === null) this.#readings.delete(text);
    };
    now.then(forget, forget);
    return now;
  }

  /** Reads and keeps it. */
  async #read({ organizationId, environment, handler, version }: RecordKey): Promise<RevealRecord | null> {
    const { rows } = await this.pool.query<RecordRow>({
      name: 'read-record',
      text: `SELECT entries.*, number, encoding, organization_key_id, data_key_id, wrapped_data_key, sealed
             FROM entries
             LEFT JOIN entry_versions ON entry_versions.entry_id = entries.id AND number = coalesce($4, current_version)
             LEFT JOIN sealed_contents ON sealed_contents.entry_id = entries.id AND sealed_contents.version = number
             WHERE organization_id = $1 AND environment = $2 AND handler = $3 AND deleted_at IS NULL`,
      values: [organizationId, environment, handler, version],
    });
    const row = rows[0];
    if (row === undefined) return null;
    const policy = toPolicy(fromRow(row));
    const content = row.sealed === null ? null : await this.#prepare(organizationId, row);
    const record = { policy, content };
    this.#records.set(keyText({ organizationId, environment, handler, version }), record, { size: sizeOf(row) });
    return record;
  }

  async #prepare(organizationId: Id, row: ContentRow): Promise<RevealRecord['content']> {
    const { id: entryId, number: version, encoding } = row;
    return { version, encoding, prepared: await openContent(this.pool, this.keyRing, { organizationId, entryId, version }, row) };
  }
}

type ContentRow = EntryRow & SealedContent & { number: number; encoding: Encoding };
/** An entry with one of its versions and that version's content, where there is one. */
type RecordRow = ContentRow | (EntryRow & { sealed: null });

/** What a record takes in memory, in bytes. */
const sizeOf = ({ sealed, whitelist }: RecordRow) => RECORD_BYTES + (sealed?.length ?? 0) + whitelist.length * RANGE_BYTES;

const keyText = ({ organizationId, environment, handler, version }: RecordKey) =>
  `${organizationId}/${environment}/${handler}/${version ?? ''}`;
