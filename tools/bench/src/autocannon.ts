import autocannon from 'autocannon';
import type { Answers, Requests } from './generator.ts';
import { percentile } from './percentile.ts';

const PATIENCE_S = 5;

/** Runs autocannon, once for each gateway, in this process. Its own percentiles are whole milliseconds: ours are of every answer. */
export async function runAutocannon(requests: Requests, signal: AbortSignal): Promise<Answers> {
  const times: number[] = [];
  const { gateways, connections } = requests;
  const share = Math.max(1, Math.round(connections / gateways.length));
  const runs = await Promise.all(gateways.map((gateway, index) => runOne(requests, gateway, index, share, times, signal)));
  signal.throwIfAborted();
  times.sort((a, b) => a - b);
  const total = (of: (run: autocannon.Result) => number) => runs.reduce((sum, run) => sum + of(run), 0);
  return {
    succeeded: total((run) => run['2xx']),
    seconds: Math.max(...runs.map(({ duration }) => duration)),
    p50Ms: percentile(times, 0.5),
    p99Ms: percentile(times, 0.99),
    maxMs: times.at(-1) ?? 0,
    refused: total((run) => run.non2xx),
    broken: total((run) => run.errors),
  };
}

function runOne(
  { gateways, apiKey, method, path, body, numbers, seconds }: Requests,
  gateway: string,
  index: number,
  connections: number,
  times: number[],
  signal: AbortSignal,
): Promise<autocannon.Result> {
  let turn = (numbers?.first ?? 0) + index;
  const next = ({ first, count, order }: NonNullable<Requests['numbers']>) =>
    order === 'random' ? first + Math.floor(Math.random() * count) : (turn += gateways.length) - gateways.length;
  const setupRequest = (request: autocannon.Request): autocannon.Request => {
    if (numbers === undefined) return request;
    const number = String(next(numbers));
    return { ...request, path: path.replace('{n}', number), ...(body !== undefined && { body: body.replaceAll('{n}', number) }) };
  };
  return new Promise((resolve, reject) => {
    const run = autocannon(
      {
        url: `http://${gateway}`,
        connections,
        duration: seconds,
        timeout: PATIENCE_S,
        headers: { authorization: `Bearer ${apiKey}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
        requests: [{ method, path, ...(body !== undefined && { body }), ...(numbers && { setupRequest }) }],
      },
      (error: Error | null, result: autocannon.Result) => (error === null ? resolve(result) : reject(error)),
    );
    run.on('response', (_client, _status, _bytes, milliseconds) => times.push(milliseconds));
    signal.addEventListener('abort', () => run.stop(), { once: true });
  });
}
