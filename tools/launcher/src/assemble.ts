import { randomBytes } from 'node:crypto';
import { createIdGenerator } from '@kms/contracts';
import { freePort } from '@kms/embedded';
import { SERVICES, type DatabaseUrls } from './databases.ts';
import { makeHomeFolder, openHome, type Home } from './home.ts';
import { makeLogKey, migrate, serviceVariables } from './installation.ts';
import { runToEnd, type Service, type Variables } from './processes.ts';

/** What several instances of each service share. */
export interface Assembly {
  home: Home;
  databases: Record<Service, DatabaseUrls>;
  brokers: { addresses: readonly string[]; isStandIn: boolean };
  /** How many of each service; one audit service beside the stand-in. */
  instances: number;
  signal: AbortSignal;
}

/** Where one instance has its place in a suite. */
export interface Place {
  service: Service;
  /** From 1 on, within its service. */
  number: number;
  /** What it listens on. */
  port: number;
  /** All that it needs in its environment. */
  variables: Variables;
}

/** An installation's first home, in a folder that is made here. Throws StartupError. */
export async function makeHome(directory: string): Promise<Home> {
  await makeHomeFolder(directory);
  return openHome(directory, createIdGenerator({ now: Date.now, randomBytes }));
}

/**
 * Makes topics, tables, keys and the first API key of a suite whose PostgreSQL and brokers run, and has `put` start each instance in its place, one
 * after another, so that what a service calls is there before it. All of a service's peers know all of its places. Throws StartupError.
 */
export async function assemble(
  { home, databases, brokers, instances, signal }: Assembly,
  put: (place: Place) => Promise<void>,
): Promise<void> {
  const kafka = { KAFKA_BROKERS: brokers.addresses.join(',') };
  // A copy on each broker, of which one may be away.
  const copies = brokers.addresses.length;
  const topics = { KAFKA_REPLICATION_FACTOR: String(copies), KAFKA_MIN_INSYNC_REPLICAS: String(Math.max(1, copies - 1)) };
  if (!brokers.isStandIn) await runToEnd('audit', 'create-topic', { ...kafka, ...topics }, signal);
  for (const service of SERVICES) {
    signal.throwIfAborted();
    await migrate(service, databases[service], signal);
  }
  await makeLogKey({}, home, signal);
  // The stand-in's consumer groups do not work with more than one member.
  const audits = brokers.isStandIn ? 1 : instances;
  const ports = { vault: await freePorts(instances), audit: await freePorts(audits), gateway: await freePorts(instances) };
  const shared = serviceVariables(home, databases, kafka, ports);
  for (const service of SERVICES) {
    if (service === 'gateway')
      await runToEnd('gateway', 'bootstrap', { ...shared.gateway, ADMIN_KEY_FILE: home.path('admin.key') }, signal);
    const listening = service === 'gateway' ? 'PORT' : 'RPC_PORT';
    for (const [index, port] of ports[service].entries()) {
      signal.throwIfAborted();
      await put({ service, number: index + 1, port, variables: { ...shared[service], [listening]: String(port) } });
    }
  }
}

async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
