import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import type { Suite } from './suite.ts';

/** Without progress for so long, in milliseconds, the ledger does not follow any more. */
const STALLED_MS = 60_000;
const POLL_MS = 100;

const JOURNALED = `
  SELECT coalesce(sum(last), 0)::float8 AS count FROM (SELECT max(last_sequence) AS last FROM journal_blocks GROUP BY writer) AS writers`;
const HELD = `
  SELECT coalesce(sum(size), 0)::float8 AS count FROM (SELECT max(size) AS size FROM ledger_heads GROUP BY organization_id) AS heads`;
const HOLDS = 'SELECT FROM ledger_records WHERE writer = $1 AND sequence = $2';
const ENTRIES = 'SELECT count(*)::float8 AS count FROM entries';
const SIGNED = 'SELECT coalesce(max(size), 0)::float8 AS count FROM ledger_checkpoints WHERE organization_id = $1';

/** What journals, vault and ledger hold, read from their databases. */
export class Counts {
  private constructor(
    readonly gateway: pg.Client,
    readonly vault: pg.Client,
    readonly audit: pg.Client,
  ) {}

  static async open({ databases: { gateway, vault, audit } }: Suite): Promise<Counts> {
    const clients = [gateway, vault, audit].map(({ ownerUrl }) => new pg.Client({ connectionString: ownerUrl }));
    // A connection that is lost shows in the next query.
    for (const client of clients) client.on('error', () => undefined);
    await Promise.all(clients.map((client) => client.connect()));
    return new Counts(...(clients as [pg.Client, pg.Client, pg.Client]));
  }

  /** Events in both journals. */
  async journaled(): Promise<number> {
    return (await count(this.gateway, JOURNALED)) + (await count(this.vault, JOURNALED));
  }

  /** Records in the ledger. */
  held(): Promise<number> {
    return count(this.audit, HELD);
  }

  entries(): Promise<number> {
    return count(this.vault, ENTRIES);
  }

  /** How many records the newest checkpoint is over. */
  signed(organizationId: string): Promise<number> {
    return count(this.audit, SIGNED, [organizationId]);
  }

  /** Whether the ledger has an event. */
  async holds(writer: string, sequence: number): Promise<boolean> {
    return (await this.audit.query(HOLDS, [writer, sequence])).rowCount !== 0;
  }

  /** Waits until the ledger has everything that the journals have. Throws where it gets no further. */
  async untilCaughtUp(signal: AbortSignal): Promise<void> {
    let progress = { held: await this.held(), at: performance.now() };
    while (progress.held < (await this.journaled())) {
      await pause(POLL_MS, undefined, { signal });
      const held = await this.held();
      if (held > progress.held) progress = { held, at: performance.now() };
      else if (performance.now() - progress.at > STALLED_MS) throw new Error(`The ledger stands still at ${held} records.`);
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.gateway.end(), this.vault.end(), this.audit.end()]);
  }
}

async function count(client: pg.Client, text: string, values: unknown[] = []): Promise<number> {
  return (await client.query<{ count: number }>(text, values)).rows[0]?.count ?? 0;
}
