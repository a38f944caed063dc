import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { CachedCheck, ProgressWatch } from './health.ts';
import { Monitor } from './monitor.ts';

let monitor: Monitor;

beforeEach(() => {
  monitor = new Monitor();
});
afterEach(() => monitor.close());

const get = async (path: string, method = 'GET') => {
  const answer = await fetch(`http://127.0.0.1:${monitor.port}${path}`, { method });
  return { status: answer.status, text: await answer.text() };
};

describe('the port that a service is watched on', () => {
  beforeEach(() => monitor.listen({ METRICS_HOST: '127.0.0.1', METRICS_PORT: 0 }));

  it('gives counts, gauges and histograms as Prometheus reads them', async () => {
    const counts = { hit: 2, miss: 0 };
    monitor.metrics.cache('policy', counts);
    const times = monitor.metrics.distribution('kms_test_seconds', 'A test', [0.1, 1], { call: 'a' });
    for (const value of [0.1, 0.2, 3]) times.observe(value);
    counts.hit += 1;
    const { text } = await get('/metrics');
    expect(text).toContain('kms_cache_lookups_total{cache="policy",result="hit"} 3\n');
    expect(text).toContain('kms_cache_lookups_total{cache="policy",result="miss"} 0\n');
    expect(text).toContain('# TYPE kms_test_seconds histogram\n');
    for (const line of ['{call="a",le="0.1"} 1', '{call="a",le="1"} 2', '{call="a",le="+Inf"} 3'])
      expect(text).toContain(`kms_test_seconds_bucket${line}\n`);
    expect(text).toMatch(/kms_test_seconds_sum\{call="a"\} 3\.3/);
    expect(text).toContain('kms_test_seconds_count{call="a"} 3');
    for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes', 'nodejs_eventloop_lag_p99_seconds'])
      expect(text).toContain(`\n${name} `);
  });

  it('leaves out what cannot be read, and counts that', async () => {
    monitor.metrics.gauge('kms_test_away', 'A test', () => Promise.reject(new Error('away')));
    await get('/metrics');
    const { status, text } = await get('/metrics');
    expect(status).toBe(200);
    expect(text).not.toMatch(/^kms_test_away /m);
    expect(text).toMatch(/^kms_metrics_unread_total [12]$/m);
  });

  it('says what a service that cannot serve lacks, and that it starts and ends', async () => {
    let isUp = false;
    monitor.health.require('vault', () => isUp);
    monitor.health.require('database', () => Promise.reject(new Error('away')));
    expect(await get('/health/ready')).toEqual({ status: 503, text: '{"status":"failing","failing":["starting"]}' });
    monitor.health.running();
    expect(await get('/health/ready')).toEqual({ status: 503, text: '{"status":"failing","failing":["vault","database"]}' });
    isUp = true;
    monitor.health.ending();
    monitor.health.running();
    expect(await get('/health/ready')).toEqual({ status: 503, text: '{"status":"failing","failing":["ending"]}' });
    expect(await get('/health/live')).toEqual({ status: 200, text: '{"status":"ok"}' });
  });

  it('is ready with all that it needs', async () => {
    monitor.health.require('vault', () => true);
    monitor.health.require('database', () => Promise.resolve('rows'));
    monitor.health.running();
    expect(await get('/health/ready')).toEqual({ status: 200, text: '{"status":"ok"}' });
  });

  it('answers nothing else', async () => {
    expect(await get('/')).toEqual({ status: 404, text: '{"error":"Not found"}' });
    expect(await get('/metrics', 'POST')).toEqual({ status: 405, text: '{"error":"Only GET and HEAD are answered here"}' });
  });
});

it('a port that is taken is one sentence', async () => {
  const other: Server = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  await expect(monitor.listen({ METRICS_HOST: '127.0.0.1', METRICS_PORT: port })).rejects.toThrow(
    `The port ${port} on 127.0.0.1, which METRICS_PORT names, is in use.`,
  );
  other.close();
});

describe('progress', () => {
  let now = 0;
  const state = { hasWork: false, attempts: 0 };
  let watch: ProgressWatch;
  const pass = (seconds: number) => {
    for (let second = 0; second < seconds; second += 5) {
      now += 5_000;
      watch.look();
    }
  };

  beforeEach(() => {
    Object.assign(state, { hasWork: false, attempts: 0 });
    watch = new ProgressWatch(
      () => state,
      () => now,
    );
    watch.look();
  });

  it('has stalled when work waits for 60 s and no attempt ends', () => {
    pass(600);
    expect(watch.isStalled).toBe(false);
    state.hasWork = true;
    pass(55);
    expect(watch.isStalled).toBe(false);
    pass(10);
    expect(watch.isStalled).toBe(true);
    state.attempts += 1;
    pass(5);
    expect(watch.isStalled).toBe(false);
  });

  it('is not taken for stalled because the process was suspended', () => {
    state.hasWork = true;
    now += 3_600_000;
    watch.look();
    expect(watch.isStalled).toBe(false);
  });
});

it('a check is asked once a second at most, by however many probes', async () => {
  let asked = 0;
  let now = 0;
  const check = new CachedCheck(
    () => (asked += 1) > 0,
    () => now,
  );
  expect(await Promise.all([check.holds(), check.holds()])).toEqual([true, true]);
  now = 999;
  await check.holds();
  expect(asked).toBe(1);
  now = 1_000;
  await check.holds();
  expect(asked).toBe(2);
});
