import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startKafka, type KafkaCluster } from '@kms/apache-kafka';
import { AUDIT_TOPIC, CHECKPOINT_TOPIC, createIdGenerator } from '@kms/contracts';
import { freePort, startBroker, startPostgres, type Broker, type Postgres } from '@kms/embedded';
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
  type ServiceProcess,
  type Variables,
} from '@kms/launcher';
import { PostgresProxy } from '@kms/testing/postgres-proxy';

export interface SystemSettings {
  /** An empty folder. */
  directory: string;
  /** Apache Kafka with so many brokers, or the stand-in. */
  brokers: 'stand-in' | 1 | 3;
  /** How many of each service; one audit service beside the stand-in. */
  instances: number;
  /** The vault's program, beside its `main`. */
  vaultProgram?: string;
}

/** One instance of a service: it is started again with the same variables and others besides. */
export interface Instance {
  readonly service: Service;
  readonly name: string;
  readonly pid: number;
  /** Resolves when its process has ended. */
  readonly ended: Promise<void>;
  start(more?: Variables): Promise<void>;
  kill(): Promise<void>;
  /** Ends it in order. */
  stop(): Promise<void>;
}

const never = new AbortController().signal;
const RESTART_AFTER_MS = 1_000;

/** The whole suite, several of each service, made of parts that can be struck one by one. */
export class System {
  readonly instances: Instance[] = [];
  kafka: KafkaCluster | undefined;
  proxy!: PostgresProxy;
  readonly #ends: (() => Promise<void>)[] = [];
  #standIn: Broker | undefined;
  #postgres!: Postgres;
  #home!: Home;
  #postgresSettings!: { directory: string; password: string; port: number; onLog: (line: string) => void };
  databases!: Record<Service, DatabaseUrls>;
  gateways: string[] = [];

  private constructor(readonly settings: SystemSettings) {}

  static async start(settings: SystemSettings): Promise<System> {
    const system = new System(settings);
    try {
      await system.#start();
    } catch (error) {
      await system.stop();
      throw error;
    }
    return system;
  }

  async #start(): Promise<void> {
    const directory = join(this.settings.directory, 'home');
    await makeHomeFolder(directory);
    const home = await openHome(directory, createIdGenerator({ now: Date.now, randomBytes }));
    this.#home = home;
    const onLog = (line: string) => appendFileSync(home.path('logs', 'postgres.log'), `${line}\n`);
    const { postgresPassword: password } = home.secrets;
    this.#postgresSettings = { directory: home.path('postgres'), password, port: await freePort(), onLog };
    this.#postgres = await startPostgres(this.#postgresSettings);
    this.#ends.push(() => this.#postgres.stop());
    this.databases = await makeDatabases(this.#postgres.superuserUrl, home.secrets);
    this.proxy = await PostgresProxy.before(this.databases.vault.serviceUrl);
    this.#ends.push(() => this.proxy.stop());
    const kafka = await this.#startKafka();
    for (const service of SERVICES) await migrate(service, this.databases[service], never);
    await makeLogKey({}, home, never);
    await this.#startServices(home, kafka);
  }

  async #startKafka(): Promise<Variables> {
    const { brokers, directory } = this.settings;
    if (brokers === 'stand-in') {
      const standIn = await startBroker({ topics: [AUDIT_TOPIC, CHECKPOINT_TOPIC] });
      this.#standIn = standIn;
      this.#ends.push(() => standIn.stop());
      return { KAFKA_BROKERS: standIn.address };
    }
    const kafka = await startKafka({ brokers, directory: join(directory, 'kafka') });
    this.kafka = kafka;
    this.#ends.push(() => kafka.stop());
    const variables = { KAFKA_BROKERS: kafka.brokers.join(',') };
    const topic = { KAFKA_REPLICATION_FACTOR: String(brokers), KAFKA_MIN_INSYNC_REPLICAS: String(Math.max(1, brokers - 1)) };
    await runToEnd('audit', 'create-topic', { ...variables, ...topic }, never);
    return variables;
  }

  async #startServices(home: Home, kafka: Variables): Promise<void> {
    const { instances, vaultProgram } = this.settings;
    // The stand-in's consumer groups do not work with more than one member.
    const audits = this.settings.brokers === 'stand-in' ? 1 : instances;
    const ports = { vault: await freePorts(instances), audit: await freePorts(audits), gateway: await freePorts(instances) };
    const databases = {
      ...this.databases,
      vault: { ...this.databases.vault, serviceUrl: this.proxy.through(this.databases.vault.serviceUrl) },
    };
    const shared = serviceVariables(home, databases, kafka, ports);
    for (const service of SERVICES) {
      if (service === 'gateway')
        await runToEnd('gateway', 'bootstrap', { ...shared.gateway, ADMIN_KEY_FILE: home.path('admin.key') }, never);
      for (const [index, port] of ports[service].entries()) {
        const variables = { ...shared[service], [service === 'gateway' ? 'PORT' : 'RPC_PORT']: String(port), NODE_ENV: 'test' };
        const name = `${service}-${index + 1}`;
        const program = service === 'vault' ? vaultProgram : undefined;
        const instance = new ServiceInstance(service, name, variables, home.path('logs', `${name}.log`), program);
        this.instances.push(instance);
        this.#ends.push(() => instance.stop());
        await instance.start();
      }
    }
    this.gateways = ports.gateway.map((port) => `http://127.0.0.1:${port}/2026-02-01`);
  }

  get apiKey(): string {
    return readFileSync(this.#home.path('admin.key'), 'utf8').trim();
  }

  get brokers(): readonly string[] {
    return this.kafka?.brokers ?? [this.#standIn?.address ?? ''];
  }

  get superuserUrl(): string {
    return this.#postgres.superuserUrl;
  }

  get postgresPid(): number {
    return this.#postgres.pid;
  }

  of(service: Service): Instance[] {
    return this.instances.filter((instance) => instance.service === service);
  }

  /** Ends PostgreSQL as a crash would, and starts it on what it left. */
  async crashPostgres(): Promise<void> {
    await this.#postgres.kill();
    this.#postgres = await startPostgres(this.#postgresSettings);
  }

  /** Ends everything that was started, in the opposite order. */
  async stop(): Promise<void> {
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop()) await end();
  }
}

class ServiceInstance implements Instance {
  #process: ServiceProcess | undefined;
  #isWanted = false;
  #restart: Promise<void> = Promise.resolve();
  ended: Promise<void> = Promise.resolve();

  constructor(
    readonly service: Service,
    readonly name: string,
    readonly variables: Variables,
    readonly logFile: string,
    readonly program: string | undefined,
  ) {
    mkdirSync(join(logFile, '..'), { recursive: true, mode: 0o700 });
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  async start(more: Variables = {}): Promise<void> {
    this.#isWanted = more['KMS_FAILPOINTS'] === undefined;
    let over: () => void = () => undefined;
    this.ended = new Promise((resolve) => (over = resolve));
    const onExit = () => {
      this.#process = undefined;
      over();
      if (this.#isWanted) this.#restart = this.#startAgain(more);
    };
    this.#process = await startService(this.service, { ...this.variables, ...more }, this.logFile, onExit, never, this.program);
  }

  /** As a supervisor does with a service that ends by itself; what it said is in its log. */
  async #startAgain(variables: Variables): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, RESTART_AFTER_MS));
    if (this.#isWanted) await this.start(variables).catch(() => this.#startAgain(variables));
  }

  async kill(): Promise<void> {
    await this.#unwant();
    this.#process?.kill();
    await this.ended;
  }

  async stop(): Promise<void> {
    await this.#unwant();
    await this.#process?.stop();
    await this.ended;
  }

  async #unwant(): Promise<void> {
    this.#isWanted = false;
    await this.#restart;
  }
}

async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
