import type { Outcome } from './event.ts';
import type { AuditQuery, EntryConfiguration, Encoding, InventoryElement } from './http.ts';
import type { Environment, Handler, Id } from './identifiers.ts';

/** The patterns of the calls between the services. */
export const VaultCall = {
  Reveal: 'vault.reveal',
  Policy: 'vault.policy',
  List: 'vault.list',
  Read: 'vault.read',
  Create: 'vault.create',
  Update: 'vault.update',
  AddVersion: 'vault.add-version',
  Delete: 'vault.delete',
} as const;

export const LedgerCall = {
  Watermarks: 'ledger.watermarks',
  Query: 'ledger.query',
  Checkpoint: 'ledger.checkpoint',
  Proof: 'ledger.proof',
  Consistency: 'ledger.consistency',
  Tile: 'ledger.tile',
  Completeness: 'ledger.completeness',
  SettleParked: 'ledger.settle-parked',
} as const;

/** Who asks, as the gateway found out; the vault records it and decides nothing by it. */
export interface Caller {
  organizationId: Id;
  environment: Environment;
  apiKeyId: Id;
  apiKeyName: string;
  /** Canonical text, or null where it cannot be told: such a caller may change an entry and never reveals one. */
  address: string | null;
  userAgent: string | null;
  requestId: string;
}

/** What decides whether a reveal may be granted, at one revision of the entry. Times are milliseconds since the epoch. */
export interface Policy {
  entryId: Id;
  revision: number;
  whitelist: string[];
  enabled: boolean;
  expiresAt: number | null;
  /** The number of the current version. */
  version: number;
}

export interface PolicyRequest {
  organizationId: Id;
  environment: Environment;
  handler: Handler;
}
/** `null`: there is no such entry. */
export interface PolicyReply {
  policy: Policy | null;
}

export interface RevealRequest {
  caller: Caller;
  handler: Handler;
  /** The revision of the policy that the gateway decided on. */
  revision: number;
  /** A version's number, or null for the current one. */
  version: number | null;
}
export type RevealReply =
  | { status: 'revealed'; content: string; encoding: Encoding; version: number; receipt: string }
  /** The stored policy is another one: decide again. `null`: the entry is gone. */
  | { status: 'policy-changed'; policy: Policy | null }
  | { status: 'unknown-version' }
  /** The record could not be made durable: nothing was revealed. */
  | { status: 'audit-unavailable' };

/** A change or a read that was refused, by a stable code. */
export type RefusalCode = 'unknown-handler' | 'handler-taken' | 'stale-revision' | 'unavailable';
export type Reply<T> = { status: 'ok'; value: T } | { status: 'refused'; code: RefusalCode };

export interface ListRequest {
  organizationId: Id;
  environment: Environment;
  size: number;
  page: number;
}
export type ListReply = Reply<{ count: number; elements: InventoryElement[] }>;

export type ReadRequest = PolicyRequest;
export type ConfigurationReply = Reply<EntryConfiguration>;

export interface CreateRequest {
  caller: Caller;
  entry: {
    name: string;
    handler: Handler;
    content: string;
    encoding: Encoding;
    whitelist: string[];
    properties: Record<string, string>;
    expiresAt: string | null;
  };
}

export interface UpdateRequest {
  caller: Caller;
  handler: Handler;
  /** The revision that the change was made for (`If-Match`), or null for any. */
  expectedRevision: number | null;
  changes: {
    name?: string | undefined;
    whitelist?: string[] | undefined;
    properties?: Record<string, string> | undefined;
    expiresAt?: string | null | undefined;
    enabled?: boolean | undefined;
  };
}

export interface AddVersionRequest {
  caller: Caller;
  handler: Handler;
  content: string;
  encoding: Encoding;
}

export interface DeleteRequest {
  caller: Caller;
  handler: Handler;
}

/** One writer and the sequence number from which on the asker wants to know (what the ledger told it before; 0 at first). */
export interface WatermarksRequest {
  writers: { writer: Id; from: number }[];
}
/** For each writer asked about: the highest number up to which the ledger holds every event. */
export interface WatermarksReply {
  watermarks: { writer: Id; sequence: number }[];
}

/** Events of a writer that do not come into the ledger, each by the SHA-256 of its bytes, lower-case hexadecimal. */
export interface SettleParkedRequest {
  writer: Id;
  events: { sequence: number; sha256: string }[];
}
/** The numbers of those that were parked: they count as held. */
export interface SettleParkedReply {
  parked: number[];
}

export interface LedgerQueryRequest {
  organizationId: Id;
  query: AuditQuery;
}

/** A record as `GET /audit.json` answers it. */
export interface AuditRecord {
  id: Id;
  type: string;
  time: string;
  organizationId: Id;
  environment: string | null;
  apiKeyId: string | null;
  apiKeyName: string | null;
  address: string | null;
  userAgent: string | null;
  requestId: string | null;
  entryId: string | null;
  handler: string | null;
  version: number | null;
  action: string;
  outcome: Outcome;
  reason: string | null;
  writer: Id;
  sequence: number;
}
export type LedgerQueryReply = Reply<{ count: number; elements: AuditRecord[] }>;

/**
 * What the log of an organization shows: `not-yet` where the newest checkpoint does not reach that far, `retired` where the record has left
 * the ledger, which holds those from the index `from` on.
 */
export type ProofOf<T> = { status: 'ok'; value: T } | { status: 'unknown' } | { status: 'not-yet' } | { status: 'retired'; from: number };

export interface CheckpointRequest {
  organizationId: Id;
}
/** Public keys are written as C2SP signed-note has it. */
export interface LogVerification {
  /** The log's: one of them has signed each checkpoint. */
  keys: readonly string[];
  /** The witnesses', none of them where there is none, and how many of them have cosigned each checkpoint. */
  witnesses: readonly string[];
  quorum: number;
}
/** `checkpoint`: the signed note, or null where nothing was published yet. */
export interface CheckpointReply extends LogVerification {
  checkpoint: string | null;
}

export interface ProofRequest {
  organizationId: Id;
  recordId: Id;
}
/** All bytes are base64; `checkpoint` is a signed note (C2SP tlog-checkpoint), `proof` RFC 6962's, from the leaf up. */
export interface RecordProof {
  record: string;
  index: number;
  proof: string[];
  checkpoint: string;
}
export type ProofReply = ProofOf<RecordProof>;

export interface ConsistencyRequest {
  organizationId: Id;
  from: number;
  to: number;
}
/** RFC 6962's proof, in base64, that the tree of `to` records extends the one of `from`. */
export interface ExtensionProof {
  from: number;
  to: number;
  proof: string[];
}
export type ConsistencyReply = ProofOf<ExtensionProof>;

/** A tile or an entry bundle (C2SP tlog-tiles) with its first `width` hashes or entries, of which the first `from` are not asked for. */
export interface TileRequest {
  organizationId: Id;
  /** A number from 0, or `entries` for a bundle. */
  level: number | 'entries';
  index: number;
  width: number;
  from: number;
}
/** `bytes` in base64: the tile's, or the bundle's from that entry on, as many as fit into one answer; `to` is the first that is left out. */
export interface TilePart {
  bytes: string;
  to: number;
}
export type TileReply = ProofOf<TilePart>;

/** Numbers of a writer's events that the ledger does not hold; `since` is when something behind them was written, RFC 3339. */
export interface Gap {
  from: number;
  to: number;
  since: string;
}
/** What the ledger holds of a writer: `highest` is the number up to which it has all. `source` is null where all of its events were parked. */
export interface WriterCompleteness {
  writer: Id;
  source: string | null;
  /** No gap, no break and no parked event is known. */
  complete: boolean;
  highest: number;
  gaps: Gap[];
  /** Events whose `previoushash` is not the chain's hash before them. */
  chainBreaks: { sequence: number }[];
  /** Events that are in the ledger as parked messages only, their bytes beside the record of the parking. */
  parked: { sequence: number }[];
}
export interface CompletenessReply {
  asOf: string;
  writers: WriterCompleteness[];
}
