import { StartupError } from '@kms/platform';
import { launch } from './launch.ts';
import { LaunchEnded, Stack } from './stack.ts';

const stack = new Stack((line) => process.stdout.write(`${line}\n`));
let launching: Promise<void> = Promise.resolve();
let ended: Promise<void> | null = null;

/** Ends everything once: waits for the step under way, which starts nothing more, then stops the parts in order. */
function end(exitCode: number): void {
  ended ??= stack.end(launching).then(
    () => process.exit(exitCode),
    (error: unknown) => {
      process.stderr.write(`Not everything could be ended: ${describe(error)}\n`);
      process.exit(1);
    },
  );
}

function fail(error: unknown): void {
  if (error instanceof LaunchEnded || stack.signal.aborted) return;
  process.stderr.write(`${error instanceof StartupError ? error.message : `The start failed: ${describe(error)}`}\n`);
  end(1);
}

const describe = (error: unknown) => (error instanceof Error ? error.message : String(error));

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (!stack.signal.aborted) return end(0);
    stack.kill();
    process.exit(130);
  });
}
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);

launching = launch(process.env, stack).catch(fail);
