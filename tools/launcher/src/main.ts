import { StartupError } from '@kms/platform';
import { launch, Stack } from './launch.ts';

const stack = new Stack();
const say = (line: string) => process.stdout.write(`${line}\n`);
let ending = false;

async function end(exitCode: number): Promise<void> {
  if (ending) process.exit(130);
  ending = true;
  await stack.end();
  process.exit(exitCode);
}

const fail = (error: unknown) => {
  const sentence =
    error instanceof StartupError ? error.message : `The start failed: ${error instanceof Error ? error.message : String(error)}`;
  process.stderr.write(`${sentence}\n`);
  void end(1);
};

// PostgreSQL's library has exit hooks of its own, which would end the database before the services that use it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.removeAllListeners(signal);
  process.on(signal, () => void end(0));
}
process.removeAllListeners('beforeExit');
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);

launch(process.env, stack, say).catch(fail);
