import { parseRange, RangeFormatError } from '@kms/access';
import { parseEvent, type AuditQuery, type AuditRecord, type Id, type LedgerQueryReply, type LedgerQueryRequest } from '@kms/contracts';
import type pg from 'pg';
import { readHead } from '../ingest/extend-tree.ts';
import { readRetired } from '../retire/read-retired.ts';

/** One page of an organization's records that are in the ledger, the newest first. */
export async function queryLedger(pool: pg.Pool, { organizationId, query }: LedgerQueryRequest): Promise<LedgerQueryReply> {
  const { condition, values, isFiltered } = toCondition(organizationId, query);
  const count = isFiltered ? await countRecords(pool, condition, values) : await countAll(pool, organizationId);
  const { rows } = await pool.query<{ bytes: Buffer }>(
    `SELECT bytes FROM ledger_records WHERE ${condition} ORDER BY leaf_index DESC LIMIT ${query.size} OFFSET ${(query.page - 1) * query.size}`,
    values,
  );
  return { status: 'ok', value: { count, elements: rows.map(({ bytes }) => toRecord(bytes)) } };
}

async function countAll(pool: pg.Pool, organizationId: Id): Promise<number> {
  return (await readHead(pool, organizationId)).size - (await readRetired(pool, organizationId)).size;
}

async function countRecords(pool: pg.Pool, condition: string, values: unknown[]): Promise<number> {
  const { rows } = await pool.query<{ count: string }>(`SELECT count(*) FROM ledger_records WHERE ${condition}`, values);
  return Number(rows[0]?.count);
}

/** A record's members, read from its bytes: what is answered is what is hashed. */
function toRecord(bytes: Buffer): AuditRecord {
  const { id, type, time, writer, sequence, data } = parseEvent(bytes);
  const { organizationId, environment, apiKeyId, apiKeyName, address, userAgent, requestId, entryId, handler, version } = data;
  const { action, outcome, reason } = data;
  const who = { organizationId, environment, apiKeyId, apiKeyName, address, userAgent, requestId };
  return { id, type, time, ...who, entryId, handler, version, action, outcome, reason, writer, sequence: Number(sequence) };
}

function toCondition(
  organizationId: Id,
  { handler, outcome, apiKey, ip, from, to }: AuditQuery,
): { condition: string; values: unknown[]; isFiltered: boolean } {
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
  return {
    condition: ['organization_id = $1', ...conditions].join(' AND '),
    values: [organizationId, ...given.map(([, value]) => value)],
    isFiltered: given.length > 0,
  };
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
