export { assemble, makeHome, type Place } from './assemble.ts';
export { makeDatabases, type DatabaseUrls } from './databases.ts';
export type { Home } from './home.ts';
export { migrate } from './installation.ts';
export { startService, type App, type Service, type ServiceProcess, type Variables } from './processes.ts';
