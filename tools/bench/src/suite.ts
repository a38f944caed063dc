import { randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startKafka } from '@kms/apache-kafka';
import { AUDIT_TOPIC, CHECKPOINT_TOPIC, createIdGenerator } from '@kms/contracts';
import { freePort, startBroker, startPostgres } from '@kms/embedded';
import {
  makeDatabases,
  makeHomeFolder,
  makeLogKey,
  migrate,
  openHome,
  runToEnd,
  serviceVariables,
  SERVICES,
  startService,
  type DatabaseUrls,
  type Home,
  type Service,
  type Variables,
} from '@kms/launcher';

export interface SuiteSettings {
  /** An empty folder. */
  directory: string;
  broker: 'stand-in' | 'apache';
  /** How many brokers there are of Apache Kafka. */
  brokers: 1 | 3;
  /** How many of each service; one audit service beside the stand-in. */
  instances: number;
  /** More variables for every service. */
  variables?: Variables;
  signal: AbortSignal;
}

/** A whole suite of its own, measured from outside. */
export class Suite {
  /** The gateways, `host:port`. */
  gateways: string[] = [];
  databases!: Record<Service, DatabaseUrls>;
  superuserUrl!: string;
  postgresPid!: number;
  readonly #home: Home;
  readonly #pids = new Map<Service | 'broker', number[]>();
  readonly #ends: (() => Promise<void>)[] = [];

  private constructor(
    readonly settings: SuiteSettings,
    home: Home,
  ) {
    this.#home = home;
  }

  /** Starts everything, and ends what was started where a step fails or the signal is aborted. Throws StartupError. */
  static async start(settings: SuiteSettings): Promise<Suite> {
    const directory = join(settings.directory, 'home');
    await makeHomeFolder(directory);
    const suite = new Suite(settings, await openHome(directory, createIdGenerator({ now: Date.now, randomBytes })));
    try {
      await suite.#start();
    } catch (error) {
      await suite.stop();
      throw error;
    }
    return suite;
  }

  async #start(): Promise<void> {
    const { signal } = this.settings;
    const home = this.#home;
    await this.#startPostgres();
    signal.throwIfAborted();
    const kafka = await this.#startBrokers();
    for (const service of SERVICES) {
      signal.throwIfAborted();
      await migrate(service, this.databases[service], signal);
    }
    await makeLogKey({}, home, signal);
    await this.#startServices(kafka);
  }

  async #startPostgres(): Promise<void> {
    const home = this.#home;
    const postgres = await startPostgres({
      directory: home.path('postgres'),
      password: home.secrets.postgresPassword,
      onLog: (line) => appendFileSync(home.path('logs', 'postgres.log'), `${line}\n`),
    });
    this.#ends.push(() => postgres.stop());
    this.superuserUrl = postgres.superuserUrl;
    this.postgresPid = postgres.pid;
    this.databases = await makeDatabases(postgres.superuserUrl, home.secrets);
  }

  async #startBrokers(): Promise<Variables> {
    const { broker, brokers, directory, signal } = this.settings;
    if (broker === 'stand-in') {
      const standIn = await startBroker({ topics: [AUDIT_TOPIC, CHECKPOINT_TOPIC] });
      this.#ends.push(() => standIn.stop());
      this.#pids.set('broker', [standIn.pid]);
      return { KAFKA_BROKERS: standIn.address };
    }
    const kafka = await startKafka({ brokers, directory: join(directory, 'kafka'), isForLoad: true });
    this.#ends.push(() => kafka.stop());
    this.#pids.set(
      'broker',
      kafka.brokers.map((_, index) => kafka.pid(index + 1) as number),
    );
    const variables = { KAFKA_BROKERS: kafka.brokers.join(',') };
    const topic = { KAFKA_REPLICATION_FACTOR: String(brokers), KAFKA_MIN_INSYNC_REPLICAS: String(Math.max(1, brokers - 1)) };
    await runToEnd('audit', 'create-topic', { ...variables, ...topic }, signal);
    return variables;
  }

  async #startServices(kafka: Variables): Promise<void> {
    const { instances, broker, variables: more, signal } = this.settings;
    // The stand-in's consumer groups do not work with more than one member.
    const audits = broker === 'stand-in' ? 1 : instances;
    const ports = { vault: await freePorts(instances), audit: await freePorts(audits), gateway: await freePorts(instances) };
    const shared = serviceVariables(this.#home, this.databases, kafka, ports);
    for (const service of SERVICES) {
      if (service === 'gateway') {
        await runToEnd('gateway', 'bootstrap', { ...shared.gateway, ADMIN_KEY_FILE: this.#home.path('admin.key') }, signal);
      }
      for (const [index, port] of ports[service].entries()) {
        signal.throwIfAborted();
        const variables = { LOG_LEVEL: 'warn', ...shared[service], [service === 'gateway' ? 'PORT' : 'RPC_PORT']: String(port), ...more };
        const name = `${service}-${index + 1}`;
        const onExit = () => this.#died(name);
        const { pid, stop } = await startService(service, variables, this.#home.path('logs', `${name}.log`), onExit, signal);
        this.#ends.push(stop);
        this.#pids.set(service, [...this.pids(service), pid]);
      }
    }
    this.gateways = ports.gateway.map((port) => `127.0.0.1:${port}`);
  }

  #isStopping = false;

  /** What it costs without one of its processes is no figure. */
  #died(name: string): void {
    if (!this.#isStopping) this.failure ??= `${name} ended by itself while it was measured.`;
  }

  /** Why what was measured does not count; undefined while nothing is wrong. */
  failure: string | undefined;

  get apiKey(): string {
    return readFileSync(this.#home.path('admin.key'), 'utf8').trim();
  }

  get rootKeyFile(): string {
    return this.#home.rootKeyFile;
  }

  get organizationId(): string {
    return this.#home.secrets.operatorOrganizationId;
  }

  get baseUrl(): string {
    return `http://${this.gateways[0]}/2026-02-01`;
  }

  pids(part: Service | 'broker'): readonly number[] {
    return this.#pids.get(part) ?? [];
  }

  /** Ends everything that was started, in the opposite order. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop()) await end();
  }
}

async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
