import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import { AUDIT_TOPIC, CHECKPOINT_TOPIC, createIdGenerator } from '@kms/contracts';
import { freePort, startBroker, startPostgres } from '@kms/embedded';
import { StartupError } from '@kms/platform';
import { makeDatabases, SERVICES, type DatabaseUrls } from './databases.ts';
import { makeHomeFolder, openHome, writeWhole, type Home } from './home.ts';
import { makeLogKey, migrate, serviceVariables } from './installation.ts';
import { lockHome } from './lock.ts';
import { runToEnd, startService, type Service, type ServiceProcess, type Variables } from './processes.ts';
import type { Stack } from './stack.ts';

/** Starts the whole suite on this machine. What was started is noted in `stack`, also where a later step throws StartupError. */
export async function launch(environment: NodeJS.ProcessEnv, stack: Stack): Promise<void> {
  const begin = performance.now();
  const port = Number(environment['PORT'] || 3000);
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw new StartupError('PORT is not valid: it must be a port number from 1 to 65535.');
  await assertFree(port);
  const directory = resolve(environment['KMS_HOME'] || '.kms');
  await makeHomeFolder(directory);
  stack.add(lockHome(directory));
  const home = await openHome(directory, createIdGenerator({ now: Date.now, randomBytes }));

  // A Kafka of one's own is looked at first: nothing is started for one that cannot be used.
  const ownKafka = environment['KAFKA_BROKERS'] ? await useKafka(environment, stack) : null;
  const databases = await startDatabases(environment, home, stack);
  const kafka = ownKafka ?? (await startStandIn(home, stack));
  await step('Migrations', stack, () => Promise.all(SERVICES.map((service) => migrate(service, databases[service], stack.signal))));

  await makeLogKey(environment, home, stack.signal);
  const [vaultPort, auditPort] = [await freePort(), await freePort()];
  const shared = serviceVariables(home, databases, kafka, { vault: [vaultPort], audit: [auditPort] });
  Object.assign(shared.audit, select(environment, WITNESS_VARIABLE));
  const ports = { vault: { RPC_PORT: String(vaultPort) }, audit: { RPC_PORT: String(auditPort) }, gateway: { PORT: String(port) } };
  const watched: Partial<Record<Service, number>> = {};
  const bootstrap = { ...shared.gateway, ADMIN_KEY_FILE: home.path('admin.key') };
  for (const service of SERVICES) {
    stack.assertGoing();
    // Only now: a root key that is not the data's is refused by the vault before the gateway's database gets anything new.
    if (service === 'gateway') await runToEnd('gateway', 'bootstrap', bootstrap, stack.signal);
    const logFile = home.path('logs', `${service}.log`);
    const metricsPort = (watched[service] = await freePort());
    const { ready } = await step(`Service ${service}`, stack, () =>
      stack.keep(`The service ${service}`, (onExit) =>
        startService(service, { ...shared[service], ...ports[service], METRICS_PORT: String(metricsPort) }, logFile, onExit, stack.signal),
      ),
    );
    if (service === 'audit') sayLogKeys(ready, stack);
  }
  stack.assertGoing();
  await writeWhole(home.path('metrics.json'), JSON.stringify(watchedUrls(watched), null, 2));
  await announce(home, port, begin, stack);
}

/** Where each service's metrics and health are to be had. */
const watchedUrls = (ports: Partial<Record<Service, number>>) =>
  Object.fromEntries(Object.entries(ports).map(([service, port]) => [service, `http://127.0.0.1:${port}`]));

async function step<T>(name: string, stack: Stack, action: () => Promise<T>): Promise<T> {
  stack.assertGoing();
  const begin = performance.now();
  const value = await action();
  stack.say(`${name}: ready (${seconds(begin)} s)`);
  return value;
}

const seconds = (begin: number) => ((performance.now() - begin) / 1000).toFixed(1);

function assertFree(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new StartupError(
          error.code === 'EADDRINUSE' ? `Port ${port} is in use: set PORT to another one.` : `Port ${port} cannot be used: ${error.code}.`,
        ),
      ),
    );
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve()));
  });
}

async function startDatabases(environment: NodeJS.ProcessEnv, home: Home, stack: Stack): Promise<Record<Service, DatabaseUrls>> {
  const given = SERVICES.filter((service) => environment[`DATABASE_URL_${service.toUpperCase()}`]);
  if (given.length > 0) return externalDatabases(environment);
  return step('PostgreSQL', stack, async () => {
    const onLog = appendTo(home.path('logs', 'postgres.log'));
    // The same port after a restart: the services hold its address.
    const port = await freePort();
    const settings = { directory: home.path('postgres'), password: home.secrets.postgresPassword, port, onLog };
    const { superuserUrl } = await stack.keep('PostgreSQL', (onExit) => startPostgres({ ...settings, onExit }));
    return makeDatabases(superuserUrl, home.secrets);
  });
}

function externalDatabases(environment: NodeJS.ProcessEnv): Record<Service, DatabaseUrls> {
  const url = (name: string) => environment[name] || missing(name);
  const urls = {} as Record<Service, DatabaseUrls>;
  for (const service of SERVICES) {
    const name = `DATABASE_URL_${service.toUpperCase()}`;
    urls[service] = { serviceUrl: url(name), ownerUrl: url(`OWNER_${name}`) };
  }
  return urls;
}

function missing(name: string): never {
  throw new StartupError(`${name} is not set: with databases of your own each service needs its URL and its owner's.`);
}

function appendTo(file: string): (text: string) => void {
  let written: Promise<void> = Promise.resolve();
  return (text) => {
    written = written.then(() => writeFile(file, `${text}\n`, { flag: 'a', mode: 0o600 }));
  };
}

const KAFKA_VARIABLE = /^KAFKA_(?:BROKERS|TLS|CA_FILE|SASL_[A-Z_]+)$/;
const WITNESS_VARIABLE = /^WITNESS(?:ES(?:_FILE)?|_QUORUM)$/;
const TOPIC_VARIABLE = /^KAFKA_(?:PARTITIONS|REPLICATION_FACTOR|MIN_INSYNC_REPLICAS|(?:CHECKPOINT_)?RETENTION_HOURS)$/;

/** The stand-in starts again empty and on another port: the services read the file again, and the relays send again. */
async function startStandIn(home: Home, stack: Stack): Promise<Variables> {
  const file = home.path('brokers');
  await step('Kafka stand-in', stack, () =>
    stack.keep('The Kafka stand-in', async (onExit) => {
      const broker = await startBroker({ topics: [AUDIT_TOPIC, CHECKPOINT_TOPIC], onExit });
      await writeWhole(file, broker.address);
      return broker;
    }),
  );
  return { KAFKA_BROKERS_FILE: file };
}

async function useKafka(environment: NodeJS.ProcessEnv, stack: Stack): Promise<Variables> {
  const variables = select(environment, KAFKA_VARIABLE);
  await step('Kafka topics', stack, () =>
    runToEnd('audit', 'create-topic', { ...variables, ...select(environment, TOPIC_VARIABLE) }, stack.signal),
  );
  return variables;
}

function select(environment: NodeJS.ProcessEnv, names: RegExp): Variables {
  const selected = Object.entries(environment).filter(([name, value]) => names.test(name) && value !== undefined);
  return Object.fromEntries(selected) as Variables;
}

/** Whoever starts it sees what its records are signed by, and can give it to others over a way of their own. */
function sayLogKeys({ logKeys }: ServiceProcess['ready'], stack: Stack): void {
  for (const key of logKeys as readonly string[]) stack.say(`The audit log is signed by ${key} (see docs/audit-log.md).`);
}

async function announce(home: Home, port: number, begin: number, stack: Stack): Promise<void> {
  const baseUrl = `http://127.0.0.1:${port}/2026-02-01`;
  const apiKey = (await readFile(home.path('admin.key'), 'utf8')).trim();
  const organizationId = home.secrets.operatorOrganizationId;
  await writeWhole(home.path('admin.json'), JSON.stringify({ baseUrl, organizationId, apiKey }, null, 2));
  stack.say(`Ready in ${seconds(begin)} s at ${baseUrl}. The admin API key is in ${home.path('admin.json')}. Ctrl-C stops everything.`);
}
