import { setTimeout as delay } from 'node:timers/promises';
import { CannotRunError } from '../command.ts';

/** How often is looked whether what is under way has arrived, in milliseconds. */
const LOOK_MS = 250;

/** Waits for the next look. Throws {@link CannotRunError} where the user has ended the command. */
export async function nextLook(signal: AbortSignal): Promise<void> {
  await delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
  requireTime(signal);
}

/** Throws {@link CannotRunError} where the user has ended the command. */
export function requireTime(signal: AbortSignal): void {
  if (signal.aborted) throw new CannotRunError('Ended before everything was looked at.');
}
