import { spawnSync } from 'node:child_process';
import { StartupError } from '@kms/platform';
import { runAutocannon } from './autocannon.ts';
import { runWrk } from './wrk.ts';

/** What is asked, over and over. `{n}` in a path or a body is a number where there are `numbers`. */
export interface Requests {
  /** The gateways, `host:port`; the connections are spread over them. */
  gateways: readonly string[];
  apiKey: string;
  method: 'GET' | 'POST';
  path: string;
  /** JSON. */
  body?: string;
  /** `count` numbers from `first` on: each at random, or one after another. */
  numbers?: { first: number; count: number; order: 'random' | 'ascending' };
  connections: number;
  seconds: number;
}

/** What became of it. Times are milliseconds, with three digits after the point. */
export interface Answers {
  /** Answers with a status below 300. */
  succeeded: number;
  seconds: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  /** Answers with another status. */
  refused: number;
  /** Requests without an answer: refused or lost connections, and what took longer than 5 s. */
  broken: number;
}

/** A load generator. Rejects where it cannot run at all, and at once when the signal is aborted. */
export interface Generator {
  readonly name: 'wrk' | 'autocannon';
  run(requests: Requests, signal: AbortSignal): Promise<Answers>;
}

const WRK: Generator = { name: 'wrk', run: runWrk };
const AUTOCANNON: Generator = { name: 'autocannon', run: runAutocannon };

/** The one that is asked for, or wrk where it is on the PATH: it costs a few microseconds a request. Throws StartupError. */
export function chooseGenerator(name: Generator['name'] | undefined): Generator {
  if (name === 'autocannon') return AUTOCANNON;
  if (spawnSync('wrk', ['--version'], { stdio: 'ignore' }).error === undefined) return WRK;
  if (name === 'wrk') throw new StartupError('wrk is not on the PATH.');
  return AUTOCANNON;
}
