import { z } from 'zod';
import { PARTS } from './processes.ts';

const figure = z.number().min(0);
const Memory = z.record(z.enum(PARTS), z.strictObject({ rssBytes: figure, pssBytes: figure }));

/** CPU milliseconds, of all processes of a kind together. `postgres` is that of gateway and vault. */
export const CpuMs = z.strictObject({
  gateway: figure,
  vault: figure,
  postgres: figure,
  audit: figure,
  broker: figure,
  generator: figure,
  ledgerPostgres: figure,
  /** What PostgreSQL does for all databases: checkpoints, writing ahead, new connections. */
  sharedPostgres: figure,
});
export type CpuMs = z.infer<typeof CpuMs>;

/** One load, and what it cost. `failures` is empty where every answer was a success with a record in the journal. */
export const Load = z.strictObject({
  connections: z.number().int().min(1),
  perSecond: figure,
  p50Ms: figure,
  p99Ms: figure,
  maxMs: figure,
  cpuMs: CpuMs,
  failures: z.array(z.string()),
});
export type Load = z.infer<typeof Load>;

export const RevealLine = z.strictObject({
  connections: z.number().int().min(1),
  revealsPerSecond: figure,
  p50Ms: figure,
  p99Ms: figure,
  maxMs: figure,
  cpuMsPerReveal: CpuMs,
  /** Records in the ledger, and entries in the vault, before the load. */
  records: z.number().int().min(0),
  entries: z.number().int().min(0),
  /** How many of the entries were revealed, at random. */
  revealed: z.number().int().min(1),
  contentBytes: z.number().int().min(1),
  instances: z.number().int().min(1),
  memory: Memory,
  failures: z.array(z.string()),
});
export type RevealLine = z.infer<typeof RevealLine>;

/** Another call than reveal, by 16 connections. */
export const CallLine = Load.extend({ name: z.string(), records: z.number().int().min(0), entries: z.number().int().min(0) });
export type CallLine = z.infer<typeof CallLine>;

/** The ledger while it followed the reveals of 64 connections. */
export const LedgerFigures = z.strictObject({
  recordsPerSecond: figure,
  cpuMsPerRecord: figure,
  /** From a reveal's answer until the ledger has its record, under that load and one at a time. */
  lagMsP50: figure,
  lagMsP99: figure,
  idleLagMsP50: figure,
  idleLagMsP99: figure,
});
export type LedgerFigures = z.infer<typeof LedgerFigures>;

export const AppendFigures = z.strictObject({ recordsPerSecond: figure, cpuMsPerRecord: figure, postgresMsPerRecord: figure });
export type AppendFigures = z.infer<typeof AppendFigures>;

/** The ledger by itself: through the audit service's own code, without a broker, in batches of 500. */
export const LedgerCosts = z.strictObject({
  withTree: AppendFigures,
  /** The same inserts with nothing of the tree, neither hashing nor rows. */
  withoutTree: AppendFigures,
  /** A record's inclusion proof from PostgreSQL, one after another, at random. */
  proof: z.strictObject({ records: z.number().int().min(1), p50Ms: figure, p99Ms: figure }),
  verifiedPerSecond: figure,
  /** `event` is the record itself; the others are what PostgreSQL takes for table, indexes and tree. */
  bytesPerRecord: z.strictObject({ event: figure, table: figure, indexes: figure, tree: figure }),
});
export type LedgerCosts = z.infer<typeof LedgerCosts>;

/** CPU of a bare `node:http` server's process for one answer, just before and just after the reveals by 64 connections. */
export const Yardstick = z.strictObject({ cpuMsBefore: figure, cpuMsAfter: figure });
export type Yardstick = z.infer<typeof Yardstick>;

export const Machine = z.strictObject({
  cores: z.number().int().min(1),
  model: z.string(),
  memoryBytes: z.number().int(),
  system: z.string(),
  node: z.string(),
  broker: z.enum(['stand-in', 'apache']),
  generator: z.enum(['wrk', 'autocannon']),
  /** When the run began, RFC 3339. */
  startedAt: z.iso.datetime(),
  /** How fast the machine was in that hour; missing where no reveals by 64 connections were measured. */
  yardstick: Yardstick.optional(),
});
export type Machine = z.infer<typeof Machine>;

/** What `--out` writes. */
export const Result = z.strictObject({
  reveal: z.array(RevealLine),
  ledger: LedgerFigures.nullable(),
  calls: z.array(CallLine),
  ledgerCosts: LedgerCosts.nullable(),
  machine: Machine,
  /** Of each service process, the functions that took the most time themselves. */
  profiles: z
    .array(z.strictObject({ service: z.string(), hottest: z.array(z.strictObject({ name: z.string(), part: figure })) }))
    .optional(),
});
export type Result = z.infer<typeof Result>;
