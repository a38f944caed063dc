import { EXIT } from './command.ts';
import { COMMANDS } from './commands.ts';
import { kmsAudit } from './kms-audit.ts';

const ending = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(name, () => {
    if (ending.signal.aborted) process.exit(EXIT.cannot);
    ending.abort();
  });

// A reader that has seen enough (`kms-audit … | head`) is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.cannot);
  throw error;
});

process.exitCode = await kmsAudit(process.argv.slice(2), COMMANDS, {
  environment: process.env,
  signal: ending.signal,
  print: (line) => process.stdout.write(`${line}\n`),
  note: (line) => process.stderr.write(`${line}\n`),
}).catch((error: unknown) => {
  process.stderr.write(`This is a defect of kms-audit itself: ${String((error as Error).stack)}\n`);
  return EXIT.cannot;
});
