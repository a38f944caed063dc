/** What a worker is asked for, and what it answers. All times are milliseconds. */
export interface Tasks {
  /**
   * Puts reveals' records into the vault's journal and the ledger: through the journal's own code, numbered and chained, and through the
   * audit service's own append, into the tree.
   */
  fill: { task: { vaultUrl: string; auditUrl: string; organizationId: string; count: number }; result: null };
  /**
   * Stores entries `bench-FIRST`, `bench-FIRST+1`… with the vault's own code, many in one transaction. Their events are in the vault's
   * journal, and its relay sends them.
   */
  entries: {
    task: { vaultUrl: string; rootKeyFile: string; organizationId: string; first: number; count: number; contentBytes: number };
    result: null;
  };
  /** Appends records to an empty ledger. CPU is that of the worker and of its PostgreSQL connection. */
  append: {
    task: { auditUrl: string; organizationId: string; count: number };
    result: { elapsedMs: number; cpuMs: number; postgresMs: number; heads: number };
  };
  /** Proves records, at random, from PostgreSQL: how long each proof took, in ascending order. */
  prove: { task: { auditUrl: string; organizationId: string; count: number }; result: { timesMs: number[] } };
  /** Verifies the first records of the ledger, read from it before the clock runs: records per second. */
  verify: { task: { auditUrl: string; organizationId: string; count: number }; result: { perSecond: number; count: number } };
}

export type TaskName = keyof Tasks;
export type Task = { [Name in TaskName]: { name: Name } & Tasks[Name]['task'] }[TaskName];

/** What a worker tells while it works, and at its end. */
export type WorkerMessage = { done: number } | { result: Tasks[TaskName]['result'] };
