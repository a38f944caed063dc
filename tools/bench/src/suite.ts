import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startKafka } from '@kms/apache-kafka';
import { AUDIT_TOPIC, CHECKPOINT_TOPIC } from '@kms/contracts';
import { startBroker, startPostgres } from '@kms/embedded';
import {
  assemble,
  makeDatabases,
  makeHome,
  startService,
  type DatabaseUrls,
  type Home,
  type Place,
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
  readonly gateways: string[] = [];
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
    const suite = new Suite(settings, await makeHome(join(settings.directory, 'home')));
    try {
      await suite.#start();
    } catch (error) {
      await suite.stop();
      throw error;
    }
    return suite;
  }

  async #start(): Promise<void> {
    const { signal, broker, instances } = this.settings;
    await this.#startPostgres();
    signal.throwIfAborted();
    const brokers = { addresses: await this.#startBrokers(), isStandIn: broker === 'stand-in' };
    const assembly = { home: this.#home, databases: this.databases, brokers, instances, signal };
    await assemble(assembly, (place) => this.#startInstance(place));
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

  async #startBrokers(): Promise<readonly string[]> {
    const { broker, brokers, directory } = this.settings;
    if (broker === 'stand-in') {
      const standIn = await startBroker({ topics: [AUDIT_TOPIC, CHECKPOINT_TOPIC] });
      this.#ends.push(() => standIn.stop());
      this.#pids.set('broker', [standIn.pid]);
      return [standIn.address];
    }
    const kafka = await startKafka({ brokers, directory: join(directory, 'kafka'), isForLoad: true });
    this.#ends.push(() => kafka.stop());
    this.#pids.set(
      'broker',
      kafka.brokers.map((_, index) => kafka.pid(index + 1) as number),
    );
    return kafka.brokers;
  }

  async #startInstance({ service, number, port, variables }: Place): Promise<void> {
    const name = `${service}-${number}`;
    const environment = { LOG_LEVEL: 'warn', ...variables, ...this.settings.variables };
    const logFile = this.#home.path('logs', `${name}.log`);
    const { pid, stop } = await startService(service, environment, logFile, () => this.#died(name), this.settings.signal);
    this.#ends.push(stop);
    this.#pids.set(service, [...this.pids(service), pid]);
    if (service === 'gateway') this.gateways.push(`127.0.0.1:${port}`);
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
