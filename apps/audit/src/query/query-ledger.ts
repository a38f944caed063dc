import { parseRange, RangeFormatError } from '@kms/access';
import type { AuditQuery, AuditRecord, Id, LedgerQueryReply, LedgerQueryRequest, Outcome } from '@kms/contracts';
import type pg from 'pg';

interface RecordRow {
  record_id: Id;
  type: string;
  time: Date;
  organization_id: Id;
  environment: string | null;
  api_key_id: string | null;
  api_key_name: string | null;
  address: string | null;
  user_agent: string | null;
  request_id: string | null;
  entry_id: string | null;
  handler: string | null;
  version: number | null;
  action: string;
  outcome: Outcome;
  reason: string | null;
  writer: Id;
  sequence: string;
}

/** One page of an organization's records, newest first. */
export async function queryLedger(pool: pg.Pool, { organizationId, query }: LedgerQueryRequest): Promise<LedgerQueryReply> {
  const { condition, values } = toCondition(organizationId, query);
  const counted = await pool.query<{ count: string }>(`SELECT count(*) FROM ledger_records WHERE ${condition}`, values);
  const { rows } = await pool.query<RecordRow>(
    `SELECT *, host(address) AS address FROM ledger_records WHERE ${condition} ORDER BY time DESC, leaf_index DESC
     LIMIT ${query.size} OFFSET ${(query.page - 1) * query.size}`,
    values,
  );
  return { status: 'ok', value: { count: Number(counted.rows[0]?.count), elements: rows.map(toRecord) } };
}

function toCondition(organizationId: Id, { handler, outcome, apiKey, ip, from, to }: AuditQuery): { condition: string; values: unknown[] } {
  const filters: [text: string, value: unknown][] = [
    ['handler =', handler],
    ['outcome =', outcome],
    ['api_key_id =', apiKey],
    ['address <<=', ip === undefined ? undefined : canonicalRange(ip)],
    ['time >=', from],
    ['time <', to],
  ];
  const given = filters.filter(([, value]) => value !== undefined);
  const conditions = given.map(([text], index) => `${text} $${index + 2}`);
  return { condition: ['organization_id = $1', ...conditions].join(' AND '), values: [organizationId, ...given.map(([, value]) => value)] };
}

/** The gateway has refused what is no range; here it would only find nothing. */
function canonicalRange(text: string): string {
  try {
    return parseRange(text).text;
  } catch (error) {
    if (error instanceof RangeFormatError) throw new Error('The address filter is not a range.', { cause: error });
    throw error;
  }
}

function toRecord(row: RecordRow): AuditRecord {
  return {
    id: row.record_id,
    type: row.type,
    time: row.time.toISOString(),
    organizationId: row.organization_id,
    environment: row.environment,
    apiKeyId: row.api_key_id,
    apiKeyName: row.api_key_name,
    address: row.address,
    userAgent: row.user_agent,
    requestId: row.request_id,
    entryId: row.entry_id,
    handler: row.handler,
    version: row.version,
    action: row.action,
    outcome: row.outcome,
    reason: row.reason,
    writer: row.writer,
    sequence: Number(row.sequence),
  };
}
