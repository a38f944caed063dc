export { makeDatabases, SERVICES, type DatabaseUrls } from './databases.ts';
export { makeHomeFolder, openHome, type Home } from './home.ts';
export { makeLogKey, migrate, serviceVariables } from './installation.ts';
export { runToEnd, startService, type Service, type ServiceProcess, type Variables } from './processes.ts';
