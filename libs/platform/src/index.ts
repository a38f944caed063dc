export { DatabaseUrl, Endpoints, loadConfiguration, Port, SharedSecret } from './configuration.ts';
export { armFailpoints, failpoint, FAILPOINTS, type Failpoint } from './failpoints.ts';
export { createLogger, type Logger } from './logging.ts';
export { runService, type RunningService } from './run-service.ts';
export { StartupError } from './startup-error.ts';
export { TroubleLog, type TroubleLogOptions } from './trouble-log.ts';
