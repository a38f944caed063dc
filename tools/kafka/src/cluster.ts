import { randomUUID } from 'node:crypto';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync, closeSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@kms/embedded';
import { StartupError } from '@kms/platform';
import { Kafka, logLevel } from 'kafkajs';
import { installKafka, run, type Installation } from './install.ts';
import { nodeProperties, type ClientSecurity, type NodePorts } from './node-properties.ts';

const START_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 20_000;
const POLL_MS = 200;
/** A start is short and a test's load is small: the cheaper compiler and collector suit them. */
const FOR_TESTS = ['-Xmx320m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
/** What Kafka's own start script sets. */
const FOR_LOAD = ['-Xms1g', '-Xmx1g', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', '-XX:InitiatingHeapOccupancyPercent=35'];
/** A lower one than that of other processes, which have 0. */
const BROKER_PRIORITY = 10;

export interface KafkaSettings {
  /** How many brokers: 1 or 3. Each is a controller too. */
  brokers: number;
  /** An empty folder, or one that does not exist: the brokers' data and logs. */
  directory: string;
  /** Without it clients connect in the clear and unnamed. */
  security?: ClientSecurity;
  /** Brokers whose cost and speed count: with the machine's full compiler, and at the priority of other processes. */
  isForLoad?: boolean;
  /**
   * Called with the address, `host:port`, that a broker will listen on; answers the port of 127.0.0.1 where clients are told to find it. So
   * they come by way of whatever listens there.
   */
  front?: (address: string) => Promise<number>;
}

/** A running Apache Kafka. Brokers are counted from 1. */
export interface KafkaCluster {
  /** The brokers' addresses, `host:port`; they stay the same over a restart. */
  brokers: readonly string[];
  /** Kills a broker as a power cut would. */
  kill(broker: number): Promise<void>;
  /** Starts a killed broker on its data, and waits until it serves. */
  start(broker: number): Promise<void>;
  /** The process of a broker that runs. */
  pid(broker: number): number | undefined;
  /** Ends all brokers in order. */
  stop(): Promise<void>;
}

/** Starts Apache Kafka on loopback and waits until all brokers serve. Throws {@link StartupError}. */
export async function startKafka({ brokers: count, directory, security, isForLoad = false, front }: KafkaSettings): Promise<KafkaCluster> {
  if (count !== 1 && count !== 3) throw new StartupError('The number of brokers must be 1 or 3.');
  const installation = await installKafka();
  const ports: NodePorts[] = [];
  for (let id = 1; id <= count; id += 1) {
    const client = await freePort();
    const advertised = (await front?.(`127.0.0.1:${client}`)) ?? client;
    ports.push({ client, advertised, internal: await freePort(), controller: await freePort() });
  }
  const nodes = ports.map((_, index) => new KafkaNode(installation, join(directory, `broker-${index + 1}`), isForLoad));
  const clusterId = toClusterId(randomUUID());
  await Promise.all(
    nodes.map((node, index) => {
      const properties = nodeProperties({ id: index + 1, ports, directory: join(node.directory, 'data'), security });
      return node.format(properties, clusterId, security);
    }),
  );
  const cluster = new Cluster(nodes, ports, security);
  await cluster.startAll();
  return cluster;
}

/** Kafka writes a UUID as its 16 bytes in base64url. */
const toClusterId = (uuid: string) => Buffer.from(uuid.replaceAll('-', ''), 'hex').toString('base64url');

class Cluster implements KafkaCluster {
  readonly brokers: readonly string[];

  constructor(
    readonly nodes: readonly KafkaNode[],
    readonly ports: readonly NodePorts[],
    readonly security: ClientSecurity | undefined,
  ) {
    this.brokers = ports.map(({ advertised }) => `127.0.0.1:${advertised}`);
  }

  async startAll(): Promise<void> {
    try {
      for (const node of this.nodes) node.start();
      await this.#untilServing();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async kill(broker: number): Promise<void> {
    await this.#node(broker).end('SIGKILL');
  }

  async start(broker: number): Promise<void> {
    this.#node(broker).start();
    await this.#untilServing();
  }

  pid(broker: number): number | undefined {
    return this.#node(broker).pid;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.end('SIGTERM')));
  }

  #node(broker: number): KafkaNode {
    const node = this.nodes[broker - 1];
    if (node === undefined) throw new RangeError(`There is no broker ${broker}.`);
    return node;
  }

  /** Waits until every broker that was started is a member that clients are told of. */
  async #untilServing(): Promise<void> {
    const deadline = performance.now() + START_DEADLINE_MS;
    while (!(await this.#serves())) {
      const ended = this.nodes.find((node) => node.hasEndedByItself);
      if (ended !== undefined) throw new StartupError(`Apache Kafka ended at its start: see ${ended.logFile}.`);
      if (performance.now() > deadline) throw new StartupError(`Apache Kafka was not ready within ${START_DEADLINE_MS / 1000} s.`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Each running broker is asked itself: the others may count it among them while it still starts. */
  async #serves(): Promise<boolean> {
    const running = this.brokers.filter((_, index) => this.nodes[index]?.pid !== undefined);
    const answers = await Promise.all(running.map((broker) => this.#knownBrokers(broker)));
    return answers.every((known) => known >= running.length);
  }

  async #knownBrokers(broker: string): Promise<number> {
    const retry = { retries: 0 };
    const security = this.security && clientOptions(this.security);
    const admin = new Kafka({ brokers: [broker], clientId: 'start', logLevel: logLevel.NOTHING, retry, ...security }).admin();
    try {
      await admin.connect();
      return (await admin.describeCluster()).brokers.length;
    } catch {
      return 0; // Not yet: what is wrong for good shows in the broker's end or at the deadline.
    } finally {
      await admin.disconnect();
    }
  }
}

const clientOptions = ({ certificate, username, password }: ClientSecurity) => ({
  ssl: { ca: [certificate] },
  sasl: { mechanism: 'scram-sha-512', username, password } as const,
});

/** One broker's process. */
class KafkaNode {
  #child: ChildProcess | undefined;
  #ending = false;

  constructor(
    readonly installation: Installation,
    readonly directory: string,
    readonly isForLoad: boolean,
  ) {}

  get logFile(): string {
    return join(this.directory, 'broker.log');
  }

  get pid(): number | undefined {
    return this.#isRunning ? this.#child?.pid : undefined;
  }

  get hasEndedByItself(): boolean {
    return this.#child !== undefined && !this.#isRunning && !this.#ending;
  }

  async format(properties: string, clusterId: string, security: ClientSecurity | undefined): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    await writeFile(this.#configuration, properties, { mode: 0o600 });
    const scram = security ? ['--add-scram', `SCRAM-SHA-512=[name=${security.username},password=${security.password}]`] : [];
    const parameters = ['format', `--cluster-id=${clusterId}`, '--config', this.#configuration, ...scram];
    const { code, output } = await run('java', this.#java('kafka.tools.StorageTool', parameters));
    if (code !== 0) throw new StartupError(`Apache Kafka's storage could not be formatted: ${output.trim().split('\n').at(-1)}`);
  }

  start(): void {
    if (this.#isRunning) throw new StartupError('This broker runs already.');
    this.#ending = false;
    const log = openSync(this.logFile, 'a', 0o600);
    // In a process group of its own: Ctrl-C at a terminal reaches whoever started it, and not the brokers.
    this.#child = spawn('java', this.#java('kafka.Kafka', [this.#configuration]), { stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    // Brokers have machines of their own where it matters: their start does not hold up what shares this one with them.
    if (this.#child.pid !== undefined && !this.isForLoad) setPriority(this.#child.pid, BROKER_PRIORITY);
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.#isRunning) return;
    this.#ending = true;
    const exit = once(child, 'exit');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
    child.kill(signal);
    await exit;
    clearTimeout(timer);
  }

  get #isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get #configuration(): string {
    return join(this.directory, 'server.properties');
  }

  #java(program: string, parameters: readonly string[]): string[] {
    const { classPath, log4jFile } = this.installation;
    const machine = [...(this.isForLoad ? FOR_LOAD : FOR_TESTS), `-Dlog4j2.configurationFile=${log4jFile}`];
    return [...machine, '-classpath', classPath, program, ...parameters];
  }
}
