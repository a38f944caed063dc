import { setTimeout as pause } from 'node:timers/promises';

/** Resolves with the first value that is not falsy; throws, naming what was waited for, when there is none within the time. */
export async function waitFor<T>(what: string, condition: () => T | Promise<T>, timeoutMs = 15_000): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`Waited in vain: ${what}.`);
    await pause(20);
  }
}
