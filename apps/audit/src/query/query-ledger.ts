import { parseRange, RangeFormatError } from '@kms/access';
import type { AuditQuery, AuditRecord, Id, LedgerQueryReply, LedgerQueryRequest } from '@kms/contracts';
import type pg from 'pg';

/** A record's members in the columns that hold them. */
const RECORD = `
  record_id AS id, type, to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS time,
  organization_id AS "organizationId", environment, api_key_id AS "apiKeyId", api_key_name AS "apiKeyName", host(address) AS address,
  user_agent AS "userAgent", request_id AS "requestId", entry_id AS "entryId", handler, version, action, outcome, reason, writer,
  sequence::float8 AS sequence`;

/** One page of an organization's records, newest first. */
export async function queryLedger(pool: pg.Pool, { organizationId, query }: LedgerQueryRequest): Promise<LedgerQueryReply> {
  const { condition, values } = toCondition(organizationId, query);
  const counted = await pool.query<{ count: string }>(`SELECT count(*) FROM ledger_records WHERE ${condition}`, values);
  const { rows } = await pool.query<AuditRecord>(
    `SELECT ${RECORD} FROM ledger_records WHERE ${condition} ORDER BY ledger_records.time DESC, leaf_index DESC
     LIMIT ${query.size} OFFSET ${(query.page - 1) * query.size}`,
    values,
  );
  return { status: 'ok', value: { count: Number(counted.rows[0]?.count), elements: rows } };
}

function toCondition(organizationId: Id, { handler, outcome, apiKey, ip, from, to }: AuditQuery): { condition: string; values: unknown[] } {
  const filters: [text: string, value: unknown][] = [
    ['handler =', handler],
    ['outcome =', outcome],
    ['api_key_id =', apiKey],
    ['address <<=', ip === undefined ? undefined : canonicalRange(ip)],
    ['ledger_records.time >=', from],
    ['ledger_records.time <', to],
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
