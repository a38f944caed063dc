import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startKafka, type KafkaCluster } from '@kms/apache-kafka';
import { AUDIT_TOPIC, CHECKPOINT_TOPIC } from '@kms/contracts';
import { freePort, startBroker, startPostgres, type Broker, type Postgres, type PostgresOptions } from '@kms/embedded';
import {
  assemble,
  makeDatabases,
  makeHome,
  startService,
  type App,
  type DatabaseUrls,
  type Home,
  type Place,
  type Service,
  type ServiceProcess,
  type Variables,
} from '@kms/launcher';
import { PostgresProxy } from '@kms/testing/postgres-proxy';
import type { Equipment } from './fault.ts';
import { KafkaProxy } from './kafka-proxy.ts';
import { SmallDisk } from './small-disk.ts';
import { Witness } from './witness.ts';

export interface SystemSettings {
  /** An empty folder. */
  directory: string;
  /** Apache Kafka with so many brokers, or the stand-in. */
  brokers: 'stand-in' | 1 | 3;
  /** How many of each service; one audit service beside the stand-in. */
  instances: number;
  /** The vault's program, beside its `main`. */
  vaultProgram?: string;
  /** What it has for the faults that are to strike; the small disk only where mounting one is permitted. */
  equipment: readonly Equipment[];
}

/** One instance of a service, or the witness: it is started again with the same variables and others besides. */
export interface Instance {
  readonly service: App;
  readonly name: string;
  readonly pid: number;
  /** Resolves when its process has ended. */
  readonly ended: Promise<void>;
  /** Whether it is meant to run. */
  readonly isIn: boolean;
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
  /** One more of each service, known to its peers and not started. */
  readonly #spares: Instance[] = [];
  readonly #gatewayUrls = new Map<Instance, string>();
  kafka: KafkaCluster | undefined;
  brokerProxy: KafkaProxy | undefined;
  databaseProxy: PostgresProxy | undefined;
  disk: SmallDisk | undefined;
  witness: Witness | undefined;
  readonly #ends: (() => Promise<void>)[] = [];
  #standIn: Broker | undefined;
  #postgres!: Postgres;
  #home!: Home;
  #postgresSettings!: PostgresOptions & { port: number };
  #isEnding = false;
  #postgresRestart: Promise<void> = Promise.resolve();
  databases!: Record<Service, DatabaseUrls>;

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
    const home = await makeHome(join(this.settings.directory, 'home'));
    this.#home = home;
    const onLog = (line: string) => appendFileSync(home.path('logs', 'postgres.log'), `${line}\n`);
    const { postgresPassword: password } = home.secrets;
    if (this.#has('small disk')) await this.#mountDisk();
    const folder = this.disk === undefined ? home.path('postgres') : join(this.disk.directory, 'postgres');
    // As a supervisor does with a server that ends by itself: with a full disk it cannot go on, nor start.
    const onExit = () => (this.#postgresRestart = this.#startPostgresAgain());
    this.#postgresSettings = { directory: folder, password, port: await freePort(), onLog, onExit };
    this.#postgres = await startPostgres(this.#postgresSettings);
    this.#ends.push(() => this.#stopPostgres());
    this.databases = await makeDatabases(this.#postgres.superuserUrl, home.secrets);
    const databases = this.#has('database proxy') ? await this.#startDatabaseProxy() : this.databases;
    await this.#startKafka();
    const brokers = { addresses: this.brokers, isStandIn: this.kafka === undefined };
    const assembly = { home, databases, brokers, instances: this.settings.instances + 1, signal: never };
    if (this.#has('witness')) this.witness = await Witness.make(join(this.settings.directory, 'witness'));
    await assemble(assembly, (place) => this.#put(place));
    if (this.witness !== undefined) await this.#add('witness', 'witness', this.witness.variables(this.logKey)).start();
  }

  async #startKafka(): Promise<void> {
    const { brokers, directory } = this.settings;
    if (brokers === 'stand-in') {
      const standIn = await startBroker({ topics: [AUDIT_TOPIC, CHECKPOINT_TOPIC] });
      this.#standIn = standIn;
      this.#ends.push(() => standIn.stop());
      return;
    }
    const proxy = new KafkaProxy();
    const front = this.#has('broker proxy') ? { front: (address: string) => proxy.before(address) } : {};
    this.brokerProxy = proxy;
    this.#ends.push(() => proxy.stop());
    const kafka = await startKafka({ brokers, directory: join(directory, 'kafka'), ...front });
    this.kafka = kafka;
    this.#ends.push(() => kafka.stop());
  }

  #has(equipment: Equipment): boolean {
    return this.settings.equipment.includes(equipment);
  }

  /** Answers the databases as the services are to reach them. */
  async #startDatabaseProxy(): Promise<Record<Service, DatabaseUrls>> {
    const { vault } = this.databases;
    const proxy = await PostgresProxy.before(vault.serviceUrl);
    this.databaseProxy = proxy;
    this.#ends.push(() => proxy.stop());
    return { ...this.databases, vault: { ...vault, serviceUrl: proxy.through(vault.serviceUrl) } };
  }

  async #mountDisk(): Promise<void> {
    const disk = await SmallDisk.mount(join(this.settings.directory, 'disk'));
    if (disk === null) return;
    this.disk = disk;
    this.#ends.push(() => disk.unmount());
  }

  async #put({ service, number, port, variables }: Place): Promise<void> {
    const more = service === 'audit' ? this.witness?.forAudit : undefined;
    const isSpare = number > this.settings.instances;
    const instance = this.#add(service, `${service}-${number}`, { ...variables, ...more }, isSpare ? this.#spares : this.instances);
    if (service === 'gateway') this.#gatewayUrls.set(instance, `http://127.0.0.1:${port}/2026-02-01`);
    if (!isSpare) await instance.start();
  }

  #add(service: App, name: string, variables: Variables, among: Instance[] = this.instances): Instance {
    const program = service === 'vault' ? this.settings.vaultProgram : undefined;
    const instance = new ServiceInstance(service, name, { ...variables, NODE_ENV: 'test' }, this.#logFile(name), program);
    this.#ends.push(() => instance.stop());
    among.push(instance);
    return instance;
  }

  #logFile(name: string): string {
    return this.#home.path('logs', `${name}.log`);
  }

  /** Base URLs of the gateways that clients know: those that are in, and those that are about to come back. */
  get gateways(): readonly string[] {
    const spare = this.spare('gateway');
    const known = spare?.isIn === true ? [...this.of('gateway'), spare] : this.of('gateway');
    return known.map((instance) => this.#gatewayUrls.get(instance) as string);
  }

  /** The instance of a service that its peers know and that is not started, where there can be one. */
  spare(service: Service): Instance | undefined {
    return this.#spares.find((instance) => instance.service === service);
  }

  /** What all instances of a service have logged so far. */
  logText(service: Service): string {
    return this.of(service)
      .map(({ name }) => readFileSync(this.#logFile(name), 'utf8'))
      .join('');
  }

  get apiKey(): string {
    return readFileSync(this.#home.path('admin.key'), 'utf8').trim();
  }

  /** The public key of what checkpoints are signed with, which stands open in its file. */
  get logKey(): string {
    return readFileSync(this.#home.path('log.key'), 'utf8').split(' ')[1] as string;
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

  of(service: App): Instance[] {
    return this.instances.filter((instance) => instance.service === service);
  }

  /** Ends PostgreSQL as a crash would, and starts it on what it left. */
  async crashPostgres(): Promise<void> {
    await this.#postgresRestart;
    await this.#postgres.kill();
    this.#postgres = await startPostgres(this.#postgresSettings);
  }

  async #startPostgresAgain(): Promise<void> {
    while (!this.#isEnding) {
      await new Promise((resolve) => setTimeout(resolve, RESTART_AFTER_MS));
      try {
        this.#postgres = await startPostgres(this.#postgresSettings);
        return;
      } catch (error) {
        this.#postgresSettings.onLog?.(`It is not started yet: ${(error as Error).message}`);
      }
    }
  }

  async #stopPostgres(): Promise<void> {
    await this.#postgresRestart;
    await this.#postgres.stop();
  }

  /** Ends everything that was started, in the opposite order. */
  async stop(): Promise<void> {
    this.#isEnding = true;
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop()) await end();
  }
}

class ServiceInstance implements Instance {
  #process: ServiceProcess | undefined;
  #isWanted = false;
  #restart: Promise<void> = Promise.resolve();
  ended: Promise<void> = Promise.resolve();

  constructor(
    readonly service: App,
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

  get isIn(): boolean {
    return this.#isWanted;
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
