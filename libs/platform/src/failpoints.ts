import { StartupError } from './startup-error.ts';

/** The moments at which a test can have a process killed, each named by what has just happened. */
export const FAILPOINTS = [
  'journal.inserted',
  'journal.committed',
  'relay.read',
  'relay.produced',
  'ledger.appended',
  'ledger.tree-extended',
  'checkpoint.signed',
  'checkpoint.kept',
  'checkpoint.cosigned',
  'checkpoint.published',
  'witness.stored',
] as const;
export type Failpoint = (typeof FAILPOINTS)[number];

/** How many more times the process passes the moment before it is killed there. */
const armed = new Map<string, number>();

/**
 * Arms what `KMS_FAILPOINTS` names: `name` or `name@n`, with commas between, for the first or the n-th time that the moment is passed.
 * Throws {@link StartupError} for anything else, and where the process runs as a production build.
 */
export function armFailpoints({ KMS_FAILPOINTS: text, NODE_ENV: mode }: NodeJS.ProcessEnv): void {
  armed.clear();
  if (!text) return;
  if (mode === 'production') throw new StartupError('KMS_FAILPOINTS is set: a production build does not start with it.');
  for (const member of text.split(',')) {
    const [, name, count = '1'] = /^([a-z.-]+)(?:@([1-9][0-9]{0,5}))?$/.exec(member) ?? [];
    if (name === undefined || !(FAILPOINTS as readonly string[]).includes(name))
      throw new StartupError(`KMS_FAILPOINTS is not valid: there is no failpoint ${member}.`);
    armed.set(name, Number(count));
  }
}

/** Ends the process here, as a power cut would, where the moment is armed; else does nothing. */
export function failpoint(name: Failpoint): void {
  const left = armed.get(name);
  if (left === undefined) return;
  armed.set(name, left - 1);
  if (left === 1) process.kill(process.pid, 'SIGKILL');
}
