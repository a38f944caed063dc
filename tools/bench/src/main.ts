import { writeFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StartupError } from '@kms/platform';
import { assertSameMachine, readEarlier } from './against.ts';
import { toMarkdown } from './markdown.ts';
import { describeMachine, FULL, QUICK, runBench } from './run.ts';
import { HELP, readSettings } from './settings.ts';

const ending = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(name, () => ending.abort(new StartupError('Ended before it was done.')));

async function main(): Promise<void> {
  const settings = await readSettings(process.argv.slice(2));
  if (settings === null) return void process.stdout.write(HELP);
  const earlier = settings.against === undefined ? null : readEarlier(settings.against);
  if (earlier !== null) assertSameMachine(describeMachine(settings), earlier.machine);
  const directory = await mkdtemp(join(tmpdir(), 'kms-bench-'));
  const say = (line: string) => process.stderr.write(`${line}\n`);
  try {
    await chmod(directory, 0o755);
    const result = await runBench({ ...settings, plan: settings.isQuick ? QUICK : FULL, directory, signal: ending.signal, say });
    process.stdout.write(`${toMarkdown(result, earlier)}\n`);
    if (settings.out !== undefined) writeFileSync(settings.out, `${JSON.stringify(result, null, 2)}\n`);
    if (result.reveal.some(({ failures }) => failures.length > 0)) {
      say('Not every answer was a success: these figures do not count.');
      process.exitCode = 1;
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

main().catch((error: unknown) => {
  const reason: unknown = ending.signal.aborted ? ending.signal.reason : error;
  process.stderr.write(`${reason instanceof StartupError ? reason.message : String((reason as Error).stack)}\n`);
  process.exitCode = 1;
});
