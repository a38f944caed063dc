import { appendFileSync, writeFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StartupError } from '@kms/platform';
import { assertSameMachine, readEarlier } from './against.ts';
import { toMarkdown } from './markdown.ts';
import type { Result } from './result.ts';
import { beginResult, runBench } from './run.ts';
import { HELP, readSettings } from './settings.ts';

const ending = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(name, () => ending.abort(new StartupError('Ended before it was done.')));

async function main(): Promise<void> {
  const settings = await readSettings(process.argv.slice(2));
  if (settings === null) return void process.stdout.write(HELP);
  const earlier = settings.against === undefined ? null : readEarlier(settings.against);
  if (settings.out !== undefined) assertWritable(settings.out);
  const result = beginResult(settings);
  if (earlier !== null) assertSameMachine(result.machine, earlier.machine);
  const directory = await mkdtemp(join(tmpdir(), 'kms-bench-'));
  try {
    await chmod(directory, 0o755);
    await runBench({ ...settings, directory, signal: ending.signal, say }, result);
  } finally {
    await rm(directory, { recursive: true, force: true });
    report(result, earlier, settings.out);
  }
}

/** Before a run of many minutes, not after it. Throws StartupError. */
function assertWritable(file: string): void {
  try {
    appendFileSync(file, '');
  } catch (cause) {
    throw new StartupError(`--out ${file} cannot be written: ${(cause as NodeJS.ErrnoException).code}.`, { cause });
  }
}

const say = (line: string) => void process.stderr.write(`${line}\n`);

/** What was measured, also where a later part failed or Ctrl-C came. */
function report(result: Result, earlier: Result | null, out: string | undefined): void {
  const lines = [...result.reveal, ...result.calls];
  if (lines.length === 0 && result.ledgerCosts === null) return;
  process.stdout.write(`${toMarkdown(result, earlier)}\n`);
  if (out !== undefined) writeFileSync(out, `${JSON.stringify(result, null, 2)}\n`);
  if (lines.every(({ failures }) => failures.length === 0)) return;
  say('Not every answer was a success: these figures do not count.');
  process.exitCode = 1;
}

main().catch((error: unknown) => {
  const reason: unknown = ending.signal.aborted ? ending.signal.reason : error;
  process.stderr.write(`${reason instanceof StartupError ? reason.message : String((reason as Error).stack)}\n`);
  process.exitCode = 1;
});
