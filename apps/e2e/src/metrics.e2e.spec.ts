import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { waitFor } from '@kms/testing';
import { parse } from 'yaml';
import { servicePid } from './inspect.ts';
import { readExpression } from './promql.ts';
import { scrape, valueOf, type Scrape } from './scrape.ts';
import { ROOT, Suite } from './suite.ts';
import { Witness } from './witness.ts';

const SERVICES = ['vault', 'audit', 'gateway', 'witness'] as const;
type Service = (typeof SERVICES)[number];

/** Every label that a metric may have, with what its values look like: nothing else may appear, whatever clients send. */
const ALLOWED: Record<string, RegExp> = {
  method: /^(?:GET|POST|PATCH|DELETE)$/,
  route: /^\/2026-02-01(?:\/(?::[a-zA-Z]+|[a-z]+(?:-[a-z]+)*|\*)(?:\.json)?)*$/,
  status: /^[2-5][0-9]{2}$/,
  outcome:
    /^(?:ok|refused|revealed|failed|policy-changed|unknown-version|audit-unavailable|vault-unavailable|unknown-handler|not-whitelisted|disabled|expired|committed|fenced|lost|unopened|appended|cosigned|malformed|untrusted|unknown-log|conflict|two-histories|inconsistent)$/,
  call: /^(?:vault|ledger)\.[a-z]+(?:-[a-z]+)*$/,
  cache: /^(?:policy|api-key|record|organization-key)$/,
  result: /^(?:hit|miss)$/,
  step: /^(?:adopt|publish|watermark|check)$/,
  reason: /^(?:unreadable|wrong-key|too-long|conflict)$/,
  key: /^(?:data|organization)$/,
  le: /^(?:[0-9.]+|\+Inf)$/,
  // Of the process, by prom-client.
  type: /^[A-Za-z]+$/,
  kind: /^(?:major|minor|incremental|weakcb)$/,
  space: /^[a-z_]+$/,
  version: /^v[0-9.]+$/,
  major: /^[0-9]+$/,
  minor: /^[0-9]+$/,
  patch: /^[0-9]+$/,
};

const HANDLER = 'metrics-canary-handler';
const REVEALS = 25;
let suite: Suite;
let witness: Witness;
let scrapes: Record<Service, Scrape>;

beforeAll(async () => {
  witness = await Witness.make();
  suite = await Suite.make(witness.variables);
  await suite.start();
  witness.knows(suite);
  await witness.start();
  await suite.create(HANDLER, 'metrics-canary-content');
  await suite.create('metrics-canary-closed', 'metrics-canary-content', { whitelist: ['192.0.2.1'] });
  for (let time = 0; time < REVEALS; time += 1) await suite.reveal(HANDLER);
  await suite.reveal('metrics-canary-closed');
  await suite.reveal('metrics-canary-unknown');
  await suite.call('GET', `/kms/${HANDLER}.json`, undefined, { 'user-agent': 'metrics-canary-agent' });
  await suite.call('PATCH', `/kms/${HANDLER}.json`, { kmsEntry: { name: 'metrics-canary-name' } });
  await suite.call('GET', '/kms.json');
  await suite.call('GET', '/ping.json', undefined, { authorization: 'Bearer metrics-canary-key' });
  await suite.call('GET', '/no-such-metrics-canary');
  await waitFor('the ledger', async () => (await suite.count(`handler=${HANDLER}&outcome=success`)) >= REVEALS);
  await waitFor('the tails to be acknowledged', async () => {
    const tails = await Promise.all((['vault', 'gateway'] as const).map((name) => scrape(watched(name))));
    return tails.every((tail) => valueOf(tail, 'kms_journal_tail_events') === 0);
  });
  const read = await Promise.all(SERVICES.map(async (name) => [name, await scrape(watched(name))] as const));
  scrapes = Object.fromEntries(read) as Record<Service, Scrape>;
}, 120_000);

afterAll(async () => {
  await suite.remove();
  await witness.remove();
}, 30_000);

const watched = (service: Service) => (service === 'witness' ? witness.watched : suite.watched(service));

describe('the metrics', () => {
  it('have no label and no value of one that is not on the list, whatever was asked for', () => {
    for (const [service, { samples, text }] of Object.entries(scrapes)) {
      for (const { name, labels } of samples) {
        for (const [label, value] of Object.entries(labels)) {
          const allowed = ALLOWED[label];
          expect([service, name, label, value, allowed?.test(value)]).toEqual([service, name, label, value, true]);
        }
      }
      const { apiKey, organizationId } = suite.admin;
      for (const text_ of ['canary', apiKey, apiKey.split('_')[2] as string, organizationId]) expect(text).not.toContain(text_);
    }
  });

  it('of the gateway say what became of each reveal and request', () => {
    const { gateway } = scrapes;
    expect(valueOf(gateway, 'kms_reveals_total', { outcome: 'revealed' })).toBe(REVEALS);
    expect(valueOf(gateway, 'kms_reveals_total', { outcome: 'not-whitelisted' })).toBe(1);
    expect(valueOf(gateway, 'kms_reveals_total', { outcome: 'unknown-handler' })).toBe(1);
    const route = '/2026-02-01/kms/reveal/:handler.json';
    expect(valueOf(gateway, 'kms_http_request_seconds_count', { route, status: '200' })).toBe(REVEALS);
    expect(valueOf(gateway, 'kms_http_request_seconds_bucket', { route, status: '200', le: '+Inf' })).toBe(REVEALS);
    expect(valueOf(gateway, 'kms_http_request_seconds_count', { route: '/2026-02-01/ping.json', status: '401' })).toBe(1);
    expect(valueOf(gateway, 'kms_cache_lookups_total', { cache: 'policy', result: 'hit' })).toBeGreaterThanOrEqual(REVEALS - 2);
    expect(valueOf(gateway, 'kms_cache_lookups_total', { cache: 'api-key', result: 'hit' })).toBeGreaterThan(0);
  });

  it('of the vault say how reveals were committed, and how much its keys were used', () => {
    const { vault } = scrapes;
    expect(valueOf(vault, 'kms_rpc_call_seconds_count', { call: 'vault.reveal', outcome: 'revealed' })).toBe(REVEALS);
    expect(valueOf(vault, 'kms_journal_flush_events_sum')).toBe(REVEALS);
    expect(valueOf(vault, 'kms_journal_flush_seconds_count')).toBeGreaterThan(0);
    expect(valueOf(vault, 'kms_journal_flushes_total', { outcome: 'committed' })).toBe(valueOf(vault, 'kms_journal_flush_events_count'));
    expect(valueOf(vault, 'kms_journal_changes_total', { outcome: 'committed' })).toBe(3);
    expect(valueOf(vault, 'kms_relay_batch_events_sum')).toBe(REVEALS + 3);
    expect(valueOf(vault, 'kms_cache_lookups_total', { cache: 'record', result: 'miss' })).toBeGreaterThan(0);
    expect(valueOf(vault, 'kms_key_wraps_total', { key: 'data' })).toBe(2);
    expect(valueOf(vault, 'kms_organization_key_wraps_max')).toBe(2);
    expect(valueOf(vault, 'kms_key_wraps_limit')).toBe(2 ** 31);
    expect(valueOf(vault, 'kms_ledger_lag_seconds')).toBe(0);
  });

  it('of the audit service say what came into the ledger, and whether it is under a checkpoint', async () => {
    const { audit } = scrapes;
    expect(valueOf(audit, 'kms_ingest_batches_total', { outcome: 'appended' })).toBeGreaterThan(0);
    expect(valueOf(audit, 'kms_ingest_batch_messages_sum')).toBeGreaterThanOrEqual(REVEALS + 6);
    expect(valueOf(audit, 'kms_ingest_parked_messages_total', { reason: 'unreadable' })).toBe(0);
    expect(valueOf(audit, 'kms_inconsistent_logs')).toBe(0);
    await waitFor(
      'all to be cosigned and signed',
      async () => valueOf(await scrape(watched('audit')), 'kms_unsigned_record_age_seconds') === 0,
    );
  });

  it('of the witness say that it cosigns what is published', async () => {
    const { witness: before } = scrapes;
    expect(valueOf(before, 'kms_witness_checkpoints_total', { outcome: 'two-histories' })).toBe(0);
    const cosigned = async () => valueOf(await scrape(watched('witness')), 'kms_witness_checkpoints_total', { outcome: 'cosigned' });
    await waitFor('a cosigned checkpoint', async () => (await cosigned()) > 0);
    expect(valueOf(await scrape(watched('witness')), 'kms_witness_idle_seconds')).toBeLessThan(3_600);
  });
});

describe('the dashboard and the alert rules', () => {
  /** What Prometheus adds itself. */
  const ADDED = ['job', 'instance'];
  /** Labels whose values appear only once something has happened. */
  const LATE = ['status', 'call'];

  const file = (name: string) => readFileSync(join(ROOT, 'docs', 'monitoring', name), 'utf8');
  const rules = (parse(file('alerts.yml')) as { groups: { rules: { alert: string; expr: string }[] }[] }).groups.flatMap(
    (group) => group.rules,
  );
  const dashboard = JSON.parse(file('dashboard.json')) as {
    panels: { title: string; targets?: { expr: string; legendFormat: string }[] }[];
  };
  const targets = dashboard.panels.flatMap(({ targets: own = [] }) => own);

  it.each([
    ['alerts.yml', rules.map(({ expr }) => expr)],
    // Grafana puts a duration in the place of its own variables.
    ['dashboard.json', targets.map(({ expr }) => expr.replaceAll(/\$__(?:rate_interval|range)/g, '5m'))],
  ])('%s asks for nothing that the services do not export', (_name, expressions) => {
    expect(expressions.length).toBeGreaterThan(10);
    const samples = Object.values(scrapes).flatMap((scraped) => scraped.samples);
    for (const expression of expressions) {
      const { metrics, groupings } = readExpression(expression);
      expect(metrics.length).toBeGreaterThan(0);
      const known = new Set(ADDED);
      for (const { name, matchers } of metrics.filter((metric) => metric.name !== 'up')) {
        const found = samples.filter((sample) => sample.name === name);
        expect([expression, name, found.length > 0]).toEqual([expression, name, true]);
        for (const label of found.flatMap(({ labels }) => Object.keys(labels))) known.add(label);
        for (const { label, values } of matchers) {
          const exported = found.flatMap(({ labels }) => labels[label] ?? []);
          const missing = exported.length > 0 && LATE.includes(label) ? [] : values.filter((value) => !exported.includes(value));
          expect([expression, label, missing]).toEqual([expression, label, []]);
        }
      }
      expect([expression, groupings.filter((label) => !known.has(label))]).toEqual([expression, []]);
    }
  });

  it('name in their legends only what the expression leaves', () => {
    for (const { expr, legendFormat } of targets) {
      const named = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label as string);
      const { groupings } = readExpression(expr.replaceAll(/\$__(?:rate_interval|range)/g, '5m'));
      expect([expr, named.filter((label) => !groupings.includes(label) && (groupings.length > 0 || label !== 'instance'))]).toEqual([
        expr,
        [],
      ]);
    }
  });

  it('cover every metric of ours but those that stand for others', () => {
    const asked = new Set([...rules, ...targets].flatMap(({ expr }) => [...expr.matchAll(/kms_[a-z_]+/g)].map(([name]) => name)));
    const exported = new Set(
      Object.values(scrapes).flatMap(({ text }) => [...text.matchAll(/^# TYPE (kms_\S+)/gm)].map(([, name]) => name as string)),
    );
    const unused = [...exported].filter((name) => ![...asked].some((other) => other === name || other.startsWith(`${name}_`)));
    expect(unused.sort()).toEqual(['kms_journal_changes_total', 'kms_key_wraps_total']);
  });
});

describe('the health', () => {
  const health = async (service: Service, kind: 'live' | 'ready') => {
    const answer = await fetch(`${watched(service)}/health/${kind}`);
    return { status: answer.status, body: (await answer.json()) as unknown };
  };

  it('is good where all runs', async () => {
    for (const service of SERVICES)
      for (const kind of ['live', 'ready'] as const)
        expect([service, kind, await health(service, kind)]).toEqual([service, kind, { status: 200, body: { status: 'ok' } }]);
  });

  it('of a gateway without a vault is that it lives and is not ready, until the vault is back', async () => {
    process.kill(servicePid(suite.pid, 'vault') as number, 'SIGKILL');
    await waitFor('the gateway to notice', async () => (await health('gateway', 'ready')).status === 503, 10_000);
    expect(await health('gateway', 'live')).toMatchObject({ status: 200 });
    await waitFor('the vault to be back', async () => (await health('gateway', 'ready')).status === 200, 20_000);
  }, 40_000);
});
