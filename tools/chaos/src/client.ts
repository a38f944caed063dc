import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { Agent, request as sendRequest, type IncomingMessage } from 'node:http';
import type { ClientLine } from './checker.ts';

/** Longest wait for an answer, in milliseconds; then the outcome is unknown. */
const PATIENCE_MS = 5_000;
/** Every so many requests one is a change, or a reveal from where nobody may. */
const CHANGE_EVERY = 25;
const DENIED_EVERY = 20;

/** Requests that may be under way at once: beyond it their turns are left out. An outage of 2 s reaches it at 200 a second. */
const MOST_UNDER_WAY = 400;

export interface LoadSettings {
  /** The base URLs of the gateways that there are now; each request goes to the next one. */
  gateways: () => readonly string[];
  apiKey: string;
  /** Where the client keeps its own record: a line a request, each synced before the next thing is done with its answer. */
  file: string;
  perSecond: number;
}

export const HANDLERS = ['chaos-0', 'chaos-1', 'chaos-2', 'chaos-3'] as const;
export const CLOSED_HANDLER = 'chaos-closed';

/** What a request is made once more after. */
const FAILURES: readonly ClientLine['outcome'][] = ['unavailable', 'unknown'];

/** A client that reveals and changes secrets at a steady rate and writes down what it was told. */
export class Load {
  readonly #settings: LoadSettings;
  readonly #file: SyncedFile;
  readonly #underWay = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #count = 0;
  /** What became of requests that failed at one gateway and, asked again, at the next: none is expected while services only end in order. */
  readonly failedTwice: string[] = [];
  #failedAt = -Infinity;
  /** How many reveals each sentence of a 503 answered. */
  readonly refusals = new Map<string, number>();
  /** The longest time to a 503 on a reveal, in milliseconds. */
  slowestRefusalMs = 0;
  readonly #agent = new Agent({ keepAlive: true });
  #onRefusal: () => void = () => undefined;

  private constructor(settings: LoadSettings, file: SyncedFile) {
    this.#settings = settings;
    this.#file = file;
  }

  static async open(settings: LoadSettings): Promise<Load> {
    return new Load(settings, new SyncedFile(await open(settings.file, 'a', 0o600)));
  }

  start(): void {
    const begin = performance.now();
    this.#timer = setInterval(() => {
      const due = ((performance.now() - begin) / 1_000) * this.#settings.perSecond;
      while (this.#count < due) {
        if (this.#underWay.size < MOST_UNDER_WAY) this.#send();
        else this.#count += 1;
      }
    }, 10);
  }

  /** How long ago a request failed last, in milliseconds. */
  get soundForMs(): number {
    return performance.now() - this.#failedAt;
  }

  /** Sends no more, and waits for the answers. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
    await this.#file.close();
    this.#agent.destroy();
  }

  /** Stores the secrets that are revealed; its requests are written down too. */
  async prepare(): Promise<void> {
    for (const handler of [...HANDLERS, CLOSED_HANDLER]) {
      const whitelist = handler === CLOSED_HANDLER ? [] : ['127.0.0.1'];
      const outcome = await this.#request('change', 0, 'POST', '/kms.json', {
        kmsEntry: { name: handler, handler, content: 'x', whitelist },
      });
      if (outcome !== 'done') throw new Error(`The secret ${handler} could not be stored.`);
    }
  }

  #send(): void {
    const count = (this.#count += 1);
    const done = this.#once(count).finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
  }

  async #once(count: number): Promise<void> {
    const handler = count % DENIED_EVERY === 1 ? CLOSED_HANDLER : (HANDLERS[count % HANDLERS.length] as string);
    const send = (attempt: number) =>
      count % CHANGE_EVERY === 0
        ? this.#request('change', attempt, 'PATCH', `/kms/${handler}.json`, { kmsEntry: { name: `n${count}` } })
        : this.#request('reveal', attempt, 'GET', `/kms/reveal/${handler}.json`);
    const first = await send(count);
    if (!FAILURES.includes(first)) return;
    this.#failedAt = performance.now();
    const second = await send(count + 1);
    if (FAILURES.includes(second)) this.failedTwice.push(`${first}, then ${second}`);
  }

  async #request(action: ClientLine['action'], turn: number, method: string, path: string, body?: unknown): Promise<ClientLine['outcome']> {
    const { gateways, apiKey } = this.#settings;
    const base = gateways();
    const requestId = randomUUID();
    const headers = {
      authorization: `Bearer ${apiKey}`,
      'x-request-id': requestId,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    };
    const begin = performance.now();
    const answer = await this.#ask(`${base[turn % base.length]}${path}`, { method, headers }, body);
    const outcome = answer === null ? 'unknown' : toOutcome(answer.status);
    if (outcome === 'unavailable' && action === 'reveal') this.#noteRefusal(answer?.body.error ?? '', performance.now() - begin);
    const receipt = answer?.receipt ?? null;
    await this.#file.write(`${JSON.stringify({ requestId, action, outcome, receipt })}\n`);
    return outcome;
  }

  /** Null for what was cut off, refused or too late: whether it was carried out is not known. */
  #ask(url: string, { method, headers }: { method: string; headers: Record<string, string> }, body: unknown): Promise<Answer | null> {
    return new Promise((resolve) => {
      const request = sendRequest(url, { method, headers, agent: this.#agent }, (response) => {
        readAnswer(response).then(resolve, () => resolve(null));
      });
      const timer = setTimeout(() => request.destroy(), PATIENCE_MS);
      request.on('error', () => resolve(null)).on('close', () => clearTimeout(timer));
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** Resolves once one more reveal is refused with 503. */
  refused(): Promise<void> {
    return new Promise((resolve) => (this.#onRefusal = resolve));
  }

  #noteRefusal(sentence: string, afterMs: number): void {
    this.refusals.set(sentence, (this.refusals.get(sentence) ?? 0) + 1);
    this.slowestRefusalMs = Math.max(this.slowestRefusalMs, afterMs);
    this.#onRefusal();
  }
}

interface Answer {
  status: number;
  receipt: string | null;
  body: { error?: string };
}

async function readAnswer(response: IncomingMessage): Promise<Answer> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk as string;
  const receipt = response.headers['audit-record'];
  return {
    status: response.statusCode ?? 0,
    receipt: typeof receipt === 'string' ? receipt : null,
    body: JSON.parse(text) as Answer['body'],
  };
}

/** Lines in a file, each synced before its write resolves; those that come while a sync is under way share the next one. */
class SyncedFile {
  #waiting: string[] = [];
  #last: Promise<void> = Promise.resolve();

  constructor(readonly file: FileHandle) {}

  write(line: string): Promise<void> {
    this.#waiting.push(line);
    if (this.#waiting.length === 1) this.#last = this.#last.then(() => this.#writeWaiting());
    return this.#last;
  }

  async close(): Promise<void> {
    await this.#last;
    await this.file.close();
  }

  async #writeWaiting(): Promise<void> {
    const text = this.#waiting.join('');
    this.#waiting = [];
    await this.file.appendFile(text);
    await this.file.datasync();
  }
}

function toOutcome(status: number): ClientLine['outcome'] {
  if (status === 200 || status === 201) return 'done';
  if (status === 503) return 'unavailable';
  return status === 403 ? 'denied' : 'wrong';
}

export function readClientLines(file: string): ClientLine[] {
  const text = readFileSync(file, 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ClientLine);
}
