import { setTimeout as delay } from 'node:timers/promises';

/** Waits for so many milliseconds, or until the signal is aborted, whichever comes first. Never throws. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

/** The wait before try number `failures` + 1, in milliseconds: doubled each time, from `first` up to `longest`. */
export const backOff = (failures: number, first: number, longest: number): number => Math.min(longest, first * 2 ** Math.min(failures, 30));
