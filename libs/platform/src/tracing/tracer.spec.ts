import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { inSpan, NO_TRACER, openTracer, type Tracer } from './tracer.ts';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

/** Names every module that is loaded, on standard error. */
const SPY = `data:text/javascript,${encodeURIComponent(
  `import { register } from 'node:module'; import { writeSync } from 'node:fs';
   register('data:text/javascript,' + encodeURIComponent(\`import { writeSync } from 'node:fs';
     export async function load(url, context, next) { writeSync(2, 'LOADED ' + url + '\\\\n'); return next(url, context); }\`));`,
)}`;

/** The modules that a service's program loads until it finds that it has no configuration. */
function loadedBy(service: string, variables: Record<string, string>): string[] {
  const env = { PATH: process.env['PATH'], ...variables };
  const { stderr } = spawnSync(process.execPath, ['--import', SPY, `apps/${service}/dist/main.js`], { cwd: ROOT, env, encoding: 'utf8' });
  expect(stderr).toContain('DATABASE_URL is not set');
  return [...stderr.matchAll(/^LOADED (\S+)$/gm)].map(([, url]) => url as string);
}

describe('without OTEL_EXPORTER_OTLP_ENDPOINT', () => {
  const sdk = (urls: string[]) => urls.filter((url) => /@opentelemetry\/(?!api\/)/.test(url));

  it.each(['gateway', 'vault', 'audit'])(
    'nothing of the SDK is loaded by the %s',
    (service) => {
      const loaded = loadedBy(service, {});
      expect(loaded.some((url) => url.includes('/platform/dist/'))).toBe(true);
      expect(sdk(loaded)).toEqual([]);
    },
    60_000,
  );

  it('which would show where it is: it is loaded with it', () => {
    const loaded = loadedBy('vault', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' });
    for (const name of ['sdk-trace-base', 'exporter-trace-otlp-http'])
      expect(sdk(loaded).some((url) => url.includes(`/${name}/`))).toBe(true);
  }, 60_000);

  it('the tracer is a constant that does nothing', async () => {
    expect(await openTracer('test', {})).toBe(NO_TRACER);
    expect(NO_TRACER.within(NO_TRACER.start('rpc call', null), () => NO_TRACER.active)).toBeUndefined();
  });
});

describe('a tracer', () => {
  let tracer: Tracer;
  afterEach(() => tracer.close());
  const PARENT = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const open = () => openTracer('test', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' });

  it('goes on with a trace from outside, and begins its own where that is not well formed', async () => {
    tracer = await open();
    expect(tracer.start('http request', PARENT).traceparent).toMatch(new RegExp(`^00-a{32}-(?!b{16})[0-9a-f]{16}-01$`));
    for (const odd of [
      undefined,
      null,
      7,
      '',
      `${PARENT}-x`,
      `00-${'0'.repeat(32)}-${'b'.repeat(16)}-01`,
      `00-${'A'.repeat(32)}-${'b'.repeat(16)}-01`,
    ])
      expect(tracer.start('http request', odd).traceparent).toMatch(/^00-(?!a{32})[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  });

  it('knows what the present work belongs to, through whatever it waits for', async () => {
    tracer = await open();
    const span = tracer.start('http request', PARENT);
    await tracer.within(span, async () => {
      await new Promise(setImmediate);
      expect(tracer.active).toBe(span.traceparent);
      await expect(
        inSpan(tracer, 'rpc call', {}, async (inner) => {
          expect(tracer.active).toBe(inner.traceparent);
          throw new Error('passed on');
        }),
      ).rejects.toThrow('passed on');
      expect(tracer.active).toBe(span.traceparent);
    });
    expect(tracer.active).toBeUndefined();
  });
});
