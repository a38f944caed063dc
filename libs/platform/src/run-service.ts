import { armFailpoints } from './failpoints.ts';
import { createLogger, type Logger } from './logging.ts';
import { Monitor } from './monitoring/monitor.ts';
import { StartupError } from './startup-error.ts';
import { openTracer } from './tracing/tracer.ts';

/** A service that runs: how it is ended. */
export interface RunningService {
  /** Stops taking work, finishes or refuses what is under way, and closes every connection. */
  stop(): Promise<void>;
  /** What a launcher is told once the service is ready, for example the port that it listens on. */
  ready?: Record<string, unknown>;
}

/** Longest time that a stop may take before the process ends all the same, in milliseconds. */
const STOP_DEADLINE_MS = 8_000;

/**
 * Runs a service as this process. It stops on SIGINT and SIGTERM, and when the parent that started it with an IPC channel is gone,
 * so that no service outlives its launcher. `start` gets the monitor that shows the process to those who watch it: it says what there is to
 * see, and where to listen; from the moment that the service is ready until it is to end it is shown as ready. A {@link StartupError} is printed as its sentence, with exit code 1; anything else that
 * ends the process is logged with its stack, with exit code 1.
 */
export async function runService(
  name: string,
  start: (logger: Logger, fail: (error: Error) => void, monitor: Monitor) => Promise<RunningService>,
): Promise<void> {
  const logger = createLogger(name);
  const monitor = new Monitor();
  let service: RunningService | undefined;
  let stopping = false;

  const stop = (exitCode: number) => {
    if (stopping) return;
    stopping = true;
    monitor.health.ending();
    setTimeout(() => {
      logger.error('The service did not stop in time; it is ended.');
      exit(logger, 1);
    }, STOP_DEADLINE_MS).unref();
    const ended = Promise.resolve(service?.stop()).then(() => Promise.all([monitor.tracer.close(), monitor.close()]));
    ended.then(
      () => exit(logger, exitCode),
      (error: unknown) => {
        logger.error({ err: error }, 'The service did not stop cleanly.');
        exit(logger, 1);
      },
    );
  };
  const fail = (error: unknown) => {
    if (error instanceof StartupError) process.stderr.write(`${name}: ${error.message}\n`);
    else logger.fatal({ err: error }, 'The service cannot go on.');
    stop(1);
  };

  process.once('SIGTERM', () => stop(0));
  process.once('SIGINT', () => stop(0));
  if (process.channel) process.once('disconnect', () => stop(0));
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);

  try {
    armFailpoints(process.env);
    monitor.tracer = await openTracer(`kms-${name}`, process.env);
    service = await start(logger, fail, monitor);
    monitor.health.running();
    const ready = { ...service.ready, ...(monitor.port !== null && { metricsPort: monitor.port }) };
    logger.info({ metricsPort: monitor.port }, 'The service is ready.');
    process.send?.({ ready });
  } catch (error) {
    fail(error);
  }
}

function exit(logger: Logger, code: number): void {
  logger.flush(() => process.exit(code));
}
