import type { Suite } from './suite.ts';

/** The body that stores an entry; wrk and autocannon put numbers in the place of `{n}`. */
export function entryBody(handler: string, contentBytes: number): string {
  const kmsEntry = { name: handler, handler, content: 'x'.repeat(contentBytes), whitelist: ['127.0.0.1'] };
  return JSON.stringify({ kmsEntry });
}

/** Stores an entry through the gateway. */
export async function createEntry(suite: Suite, handler: string, contentBytes: number, signal: AbortSignal): Promise<void> {
  const answer = await fetch(`${suite.baseUrl}/kms.json`, {
    method: 'POST',
    headers: { authorization: `Bearer ${suite.apiKey}`, 'content-type': 'application/json' },
    body: entryBody(handler, contentBytes),
    signal,
  });
  if (answer.status !== 201) throw new Error(`The entry ${handler} was not stored: ${answer.status} ${await answer.text()}`);
  await answer.text();
}

/** Reveals an entry and answers its receipt. */
export async function revealOnce(suite: Suite, handler: string, signal: AbortSignal): Promise<{ writer: string; sequence: number }> {
  const answer = await fetch(`${suite.baseUrl}/kms/reveal/${handler}.json`, {
    headers: { authorization: `Bearer ${suite.apiKey}` },
    signal,
  });
  const text = await answer.text();
  const receipt = answer.headers.get('audit-record') ?? '';
  const [, writer, sequence] = /writer=([0-9a-f]{24}); sequence=([0-9]+)/.exec(receipt) ?? [];
  if (answer.status !== 200 || writer === undefined) throw new Error(`${handler} was not revealed: ${answer.status} ${text}`);
  return { writer, sequence: Number(sequence) };
}

/** Longest time that one reveal of very many may take, in milliseconds. */
const REVEAL_DEADLINE_MS = 10_000;

/** Reveals `bench-0` up to the last of so many entries once each. */
export async function revealEach(suite: Suite, entries: number, signal: AbortSignal): Promise<void> {
  let next = 0;
  const revealSome = async () => {
    while (next < entries) {
      signal.throwIfAborted();
      // A signal of its own: those that listen to one for all would be as many as there are entries.
      await revealOnce(suite, `bench-${next++}`, AbortSignal.timeout(REVEAL_DEADLINE_MS));
    }
  };
  await Promise.all(Array.from({ length: 16 }, revealSome));
}
