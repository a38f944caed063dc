import { API_VERSION } from '@kms/contracts';
import { z } from 'zod';
import { KmsError } from './kms-error.ts';

export interface HttpOptions {
  /** Where the gateway is, with or without the API's version at the end. */
  readonly baseUrl: string;
  readonly apiKey: string;
  /** How long a call may take in all, in milliseconds; 10,000 by default. */
  readonly timeoutMs?: number;
  /** Ends the calls under way, which then fail as `unreachable`. */
  readonly signal?: AbortSignal;
  /** The platform's by default. */
  readonly fetch?: typeof globalThis.fetch;
}

export interface HttpAnswer {
  readonly bytes: Uint8Array;
  readonly headers: Headers;
}

const DEFAULT_TIMEOUT_MS = 10_000;
/** The largest answer that the contract has is a bundle of 256 records of 65,535 bytes. */
const MAX_ANSWER_BYTES = 17 * 2 ** 20;
const ErrorAnswer = z.object({ error: z.string().min(1) });

/** Calls of one gateway with one API key. */
export class HttpClient {
  readonly #base: string;
  readonly #authorization: string;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #fetch: typeof globalThis.fetch;

  /** Throws an `invalid-argument` {@link KmsError}, which quotes nothing that it was given. */
  constructor({ baseUrl, apiKey, timeoutMs = DEFAULT_TIMEOUT_MS, signal, fetch = globalThis.fetch }: HttpOptions) {
    this.#base = toBase(baseUrl);
    // A header that cannot be sent would be quoted in the platform's own error.
    if (!/^[!-~]+$/.test(apiKey)) throw new KmsError('invalid-argument', 'The API key must be printable ASCII without spaces.');
    this.#authorization = `Bearer ${apiKey}`;
    if (!(timeoutMs > 0 && timeoutMs < 2 ** 31))
      throw new KmsError('invalid-argument', 'The timeout must be a number of milliseconds from 1.');
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
    this.#fetch = fetch;
  }

  /** What GET of a path below the API's version answers. Throws a {@link KmsError}: `refused`, `unreachable`, `timeout` or `wrong-answer`. */
  async get(path: string): Promise<HttpAnswer> {
    const timeout = AbortSignal.timeout(Math.ceil(this.#timeoutMs));
    const signal = this.#signal === undefined ? timeout : AbortSignal.any([timeout, this.#signal]);
    try {
      const headers = { authorization: this.#authorization };
      // A redirect could carry the key elsewhere, and the contract has none.
      const response = await this.#fetch(`${this.#base}${path}`, { headers, signal, redirect: 'error' });
      const bytes = await readBody(response);
      if (response.status !== 200) throw refusal(response.status, bytes);
      return { bytes, headers: response.headers };
    } catch (cause) {
      if (cause instanceof KmsError) throw cause;
      if (timeout.aborted) throw new KmsError('timeout', 'The service did not answer in time.', { cause });
      throw new KmsError('unreachable', 'The service could not be reached, or its answer ended early.', { cause });
    }
  }

  /** {@link get}, of JSON by a schema. */
  async getJson<T>(path: string, schema: z.ZodType<T>): Promise<{ value: T; headers: Headers }> {
    const { bytes, headers } = await this.get(path);
    return { value: parseJson(bytes, schema), headers };
  }
}

function toBase(baseUrl: string): string {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '')
    throw new KmsError('invalid-argument', 'The base URL must be http or https, without a name or password.');
  const path = url.pathname.replace(/\/+$/, '');
  return `${url.origin}${path.endsWith(`/${API_VERSION}`) ? path : `${path}/${API_VERSION}`}`;
}

async function readBody(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) throw new KmsError('wrong-answer', 'The answer is larger than any that the contract has.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function refusal(status: number, bytes: Uint8Array): KmsError {
  const body = ErrorAnswer.safeParse(jsonOf(bytes));
  if (status < 400 || !body.success)
    return new KmsError('wrong-answer', `The service answered with status ${status} and no error.`, { status });
  return new KmsError('refused', body.data.error, { status });
}

function parseJson<T>(bytes: Uint8Array, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(jsonOf(bytes));
  // Neither the value nor the parser's error goes along: either could hold a content.
  if (!parsed.success) throw new KmsError('wrong-answer', 'The service’s answer is not what the contract says.');
  return parsed.data;
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined; // No schema takes it.
  }
}
