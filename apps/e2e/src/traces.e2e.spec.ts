import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { waitFor } from '@kms/testing';
import { Suite } from './suite.ts';

interface OtlpSpan {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  attributes: { key: string; value: Record<string, unknown> }[];
}

interface OtlpRequest {
  resourceSpans: {
    resource: { attributes: { key: string; value: { stringValue?: string } }[] };
    scopeSpans: { spans: OtlpSpan[] }[];
  }[];
}

type Received = OtlpSpan & { service: string };

const TRACE = 'ab'.repeat(16);
/** Of the changes. */
const CHANGES = 'ba'.repeat(16);
const PARENT = 'cd'.repeat(8);
const HANDLER = 'trace-canary-handler';
const CONTENT = 'trace-canary-content';

let collector: Server;
let suite: Suite;
let raw = '';
const received: Received[] = [];

/** Takes in what a service exports, as an OpenTelemetry collector does. */
function take(body: string): void {
  raw += body;
  for (const { resource, scopeSpans } of (JSON.parse(body) as OtlpRequest).resourceSpans) {
    const service = resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue ?? '';
    received.push(...scopeSpans.flatMap(({ spans }) => spans).map((span) => ({ ...span, service })));
  }
}

const inTrace = (name: string, service: string, trace = TRACE) =>
  received.filter((span) => span.traceId === trace && span.name === name && span.service === service);

/** Spans of the trace whose parent was not received. */
function orphans(): Received[] {
  const own = received.filter(({ traceId }) => traceId === TRACE);
  const ids = new Set([PARENT, ...own.map(({ spanId }) => spanId)]);
  return own.filter(({ parentSpanId = '' }) => !ids.has(parentSpanId));
}

beforeAll(async () => {
  collector = createServer((request, response) => {
    void text(request).then((body) => {
      take(body);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  }).listen(0, '127.0.0.1');
  await once(collector, 'listening');
  const { port } = collector.address() as AddressInfo;
  suite = await Suite.make({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` });
  await suite.start();
}, 120_000);

afterAll(async () => {
  await suite.remove();
  collector.close();
}, 30_000);

describe('a request that is traced', () => {
  it('is one trace through the gateway, the vault, Kafka and the ledger', async () => {
    await suite.create(HANDLER, CONTENT);
    const headers = { traceparent: `00-${TRACE}-${PARENT}-01` };
    const answer = await suite.call('GET', `/kms/reveal/${HANDLER}.json`, undefined, headers);
    expect(answer.body).toEqual({ content: CONTENT });
    await waitFor('the ledger to be in the trace', () => inTrace('ledger append', 'kms-audit').length > 0, 25_000);
    await waitFor('the gateway to send its spans', () => inTrace('http request', 'kms-gateway').length > 0, 25_000);
    const [http] = inTrace('http request', 'kms-gateway');
    expect(http?.parentSpanId).toBe(PARENT);
    // Each service sends its spans when its own time has come.
    await waitFor('the trace to be whole', () => orphans().length === 0 && inTrace('journal append', 'kms-vault').length > 0, 25_000);
    const call = inTrace('rpc call', 'kms-gateway').map(({ spanId }) => spanId);
    const handlers = inTrace('rpc handler', 'kms-vault');
    expect(handlers.length).toBeGreaterThan(0);
    for (const { parentSpanId } of handlers) expect(call).toContain(parentSpanId);
    expect(inTrace('journal append', 'kms-vault')).toHaveLength(1);
    expect(inTrace('postgresql query', 'kms-vault').length).toBeGreaterThan(0);
    expect(inTrace('ledger append', 'kms-audit')[0]?.parentSpanId).toBe(inTrace('journal append', 'kms-vault')[0]?.spanId);
  }, 100_000);

  it('is one trace where it changes an entry, too', async () => {
    const headers = { traceparent: `00-${CHANGES}-${PARENT}-01` };
    const changes = [
      ['POST', '/kms.json', { kmsEntry: { name: 'n', handler: `${HANDLER}-2`, content: CONTENT, whitelist: [] } }],
      ['PATCH', `/kms/${HANDLER}-2.json`, { kmsEntry: { enabled: false } }],
      ['POST', `/kms/${HANDLER}-2/versions.json`, { kmsEntry: { content: CONTENT } }],
      ['DELETE', `/kms/${HANDLER}-2.json`, undefined],
    ] as const;
    for (const [method, path, body] of changes) expect((await suite.call(method, path, body, headers)).status).toBeLessThan(300);
    const spans = (name: string, service: string) => inTrace(name, service, CHANGES);
    await waitFor('the ledger to be in the trace', () => spans('ledger append', 'kms-audit').length === changes.length, 25_000);
    await waitFor('the vault to send its spans', () => spans('journal change', 'kms-vault').length === changes.length, 25_000);
    const made = spans('journal change', 'kms-vault').map(({ spanId }) => spanId);
    const appended = spans('ledger append', 'kms-audit').map(({ parentSpanId }) => parentSpanId);
    expect(appended.sort()).toEqual(made.sort());
  }, 100_000);

  it('has what many requests share in traces of their own', async () => {
    for (const [name, service] of [
      ['journal flush', 'kms-vault'],
      ['relay publish', 'kms-vault'],
      ['ledger batch', 'kms-audit'],
    ] as const)
      await waitFor(name, () => received.some((span) => span.name === name && span.service === service && span.traceId !== TRACE), 25_000);
  }, 90_000);

  it('tells the collector nothing that is secret, nor whose it was', () => {
    const { apiKey, organizationId } = suite.admin;
    for (const secret of ['canary', apiKey, apiKey.split('_')[3] as string, organizationId, '127.0.0.1']) expect(raw).not.toContain(secret);
    const keys = new Set(received.flatMap(({ attributes }) => attributes.map(({ key }) => key)));
    const allowed = [
      'http.request.method',
      'http.route',
      'http.response.status_code',
      'rpc.method',
      'db.operation.name',
      'messaging.batch.message_count',
      'kms.writer',
      'kms.sequence',
      'kms.events',
      'error.type',
    ];
    expect([...keys].filter((key) => !allowed.includes(key))).toEqual([]);
  });
});
