import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { Answers, Requests } from './generator.ts';

const SCRIPT = fileURLToPath(new URL('../wrk.lua', import.meta.url));
/** Longest wait for an answer, in seconds. */
const PATIENCE_S = 5;

const count = z.number().int().min(0);
const Summary = z.strictObject({
  /** Answers of every status. */
  answers: count,
  durationUs: count,
  p50Us: count,
  p99Us: count,
  maxUs: count,
  /** Answers with a status of 400 or above. */
  refused: count,
  broken: count,
});

/**
 * Runs wrk, one thread for each gateway. Its percentiles are corrected for the requests that a slow answer kept from being sent
 * ("coordinated omission"), so they are higher than those of a generator that only counts what it sent.
 */
export async function runWrk(requests: Requests, signal: AbortSignal): Promise<Answers> {
  const { gateways, path, connections, seconds } = requests;
  const threads = gateways.length;
  const options = ['-t', String(threads), '-c', String(Math.max(connections, threads)), '-d', `${seconds}s`, '--timeout', `${PATIENCE_S}s`];
  const child = spawn('wrk', [...options, '-s', SCRIPT, `http://${gateways[0]}${path}`], {
    env: { PATH: process.env['PATH'], ...scriptVariables(requests) },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
    killSignal: 'SIGKILL',
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`wrk failed: ${output.trim()}`);
  return parseWrk(output);
}

function scriptVariables({ gateways, apiKey, method, path, body, numbers }: Requests): NodeJS.ProcessEnv {
  return {
    BENCH_ADDRESSES: gateways.join(','),
    BENCH_AUTHORIZATION: `Bearer ${apiKey}`,
    BENCH_METHOD: method,
    BENCH_PATH: path,
    ...(body !== undefined && { BENCH_BODY: body }),
    ...(numbers && { BENCH_FIRST: String(numbers.first), BENCH_COUNT: String(numbers.count) }),
    ...(numbers?.order === 'random' && { BENCH_RANDOM: '1' }),
  };
}

/** Reads the line that `wrk.lua` prints at the end. Throws where it is not there or not whole. */
export function parseWrk(output: string): Answers {
  const line = output.split('\n').findLast((text) => text.startsWith('{'));
  if (line === undefined) throw new Error(`wrk said nothing of what it did: ${output.trim()}`);
  const { answers, durationUs, p50Us, p99Us, maxUs, refused, broken } = Summary.parse(JSON.parse(line));
  return {
    succeeded: answers - refused,
    seconds: durationUs / 1e6,
    p50Ms: p50Us / 1e3,
    p99Ms: p99Us / 1e3,
    maxMs: maxUs / 1e3,
    refused,
    broken,
  };
}
