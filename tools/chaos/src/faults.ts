import { AUDIT_TOPIC } from '@kms/contracts';
import type { Service, Variables } from '@kms/launcher';
import type { Failpoint } from '@kms/platform';
import { whileStopped } from '@kms/testing/while-stopped';
import { Kafka, logLevel } from 'kafkajs';
import { query } from './evidence.ts';
import type { Instance, System } from './system.ts';

/** A number from 0 up to 1, from a seed. */
export type Random = () => number;

export interface Fault {
  name: string;
  /** Whether the system is made of what it needs. */
  suits(system: System): boolean;
  /** Strikes, and mends what it broke. */
  strike(system: System, random: Random): Promise<void>;
  /** Whether a request that fails may also fail when it is asked again at another gateway. */
  mayRefuse: boolean;
}

const SHIFT_CLOCK = new URL('./shift-clock.js', import.meta.url).href.replace('/src/', '/dist/');
/** Longest wait for something that a fault brings about, in milliseconds. */
const PATIENCE_MS = 60_000;

const any = () => true;
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const pick = <T>(items: readonly T[], random: Random) => items[Math.floor(random() * items.length)] as T;
const one = (system: System, service: Service, random: Random) => pick(system.of(service), random);

async function within<T>(what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>(
    (_, reject) => (timer = setTimeout(() => reject(new Error(`Waited too long for ${what}.`)), PATIENCE_MS)),
  );
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Tries again until it works. */
async function insist(work: () => Promise<unknown>): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; ; await pause(500)) {
    try {
      await work();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}

/** A short time at a random length, so that strikes do not keep step with anything. */
const moment = (random: Random, longest = 300) => pause(random() * longest);

/** An instance ends and is started again: killed, which may cost what was under way on it, or in order, which may not. */
function restarting(service: Service, end: 'kill' | 'stop'): Fault {
  const isKill = end === 'kill';
  return {
    name: isKill ? `kill ${service}` : `end ${service} in order`,
    suits: ({ settings }) => isKill || settings.instances > 1,
    mayRefuse: isKill,
    async strike(system, random) {
      const instance = one(system, service, random);
      await moment(random);
      await instance[end]();
      await instance.start();
    },
  };
}

function killingAt(point: Failpoint, service: Service, passages: number): Fault {
  return {
    name: `kill ${service} at ${point}`,
    suits: any,
    mayRefuse: true,
    async strike(system, random) {
      const instance = one(system, service, random);
      // An organization's events are read by one audit service at a time: it has to be this one.
      const others = service === 'audit' ? system.of(service).filter((other) => other !== instance) : [];
      for (const running of [instance, ...others]) await running.stop();
      await startInto(instance, { KMS_FAILPOINTS: `${point}@${1 + Math.floor(random() * passages)}` });
      await within(`${instance.name} to be killed at ${point}`, instance.ended);
      for (const ended of [instance, ...others]) await ended.start();
    },
  };
}

/** Starts an instance that may be killed before it is ready. */
async function startInto(instance: Instance, variables: Variables): Promise<void> {
  await instance.start(variables).catch((error: unknown) => {
    if (!String(error).includes('ended before it was ready')) throw error;
  });
}

function shiftingClock(name: string, milliseconds: number): Fault {
  return {
    name: `clock ${name}`,
    suits: any,
    mayRefuse: true,
    async strike(system, random) {
      const instance = pick(system.instances, random);
      await instance.stop();
      await instance.start({ NODE_OPTIONS: `--import ${SHIFT_CLOCK}`, KMS_CLOCK_SHIFT_MS: String(milliseconds) });
      await pause(1_000);
      await instance.stop();
      await instance.start();
    },
  };
}

const POSTGRES: readonly Fault[] = [
  {
    name: 'crash PostgreSQL',
    suits: any,
    mayRefuse: true,
    strike: (system) => system.crashPostgres(),
  },
  {
    name: 'terminate database sessions',
    suits: any,
    mayRefuse: true,
    async strike(system, random) {
      await moment(random);
      const database = pick(['kms_gateway', 'kms_vault', 'kms_audit'], random);
      await query(system.superuserUrl, 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [database]);
    },
  },
  {
    name: 'stop PostgreSQL for a while',
    suits: any,
    mayRefuse: true,
    async strike(system, random) {
      const sessions = await query<{ pid: number }>(system.superuserUrl, 'SELECT pid FROM pg_stat_activity');
      const pids = [system.postgresPid, ...sessions.map(({ pid }) => pid)];
      await whileStopped(pids, () => pause(2_000 + random() * 2_000));
    },
  },
  {
    name: 'drop the answer to a commit',
    suits: any,
    mayRefuse: true,
    async strike(system, random) {
      const pattern = random() < 0.5 ? /^COMMIT$/ : /^INSERT INTO journal_blocks/;
      const moment = random() < 0.5 ? 'during' : 'after';
      (await within('a commit', system.proxy.catchNext(pattern, moment))).cut();
    },
  },
];

/**
 * A vault stands still and loses its sessions, so that the other takes its writer over; then it goes on, and there are two relays for
 * one writer.
 */
const TWO_RELAYS: Fault = {
  name: 'two relays for one writer',
  suits: (system) => system.settings.instances > 1,
  mayRefuse: true,
  async strike(system, random) {
    const { pid } = one(system, 'vault', random);
    const open = async () => {
      const rows = await query<{ id: string }>(system.databases.vault.ownerUrl, 'SELECT id FROM journal_writers WHERE closed_at IS NULL');
      return rows.map(({ id }) => id);
    };
    await whileStopped([pid], async () => {
      const before = await open();
      await query(system.superuserUrl, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'kms_vault'");
      await insist(async () => {
        if ((await open()).some((id) => before.includes(id)))
          throw new Error('The writers of a vault that stands still were not taken over.');
      });
    });
  },
};

const admin = async <T>(system: System, work: (admin: ReturnType<Kafka['admin']>) => Promise<T>): Promise<T> => {
  const client = new Kafka({ brokers: [...system.brokers], clientId: 'nemesis', logLevel: logLevel.NOTHING }).admin();
  await client.connect();
  return work(client).finally(() => client.disconnect());
};

async function withoutAudit(system: System, work: () => Promise<void>): Promise<void> {
  for (const instance of system.of('audit')) await instance.stop();
  await work();
  for (const instance of system.of('audit')) await instance.start();
}

async function allDown(system: System, brokers: readonly number[], random: Random): Promise<void> {
  for (const broker of brokers) await system.kafka?.kill(broker);
  await moment(random, 1_000);
  await Promise.all(brokers.map((broker) => system.kafka?.start(broker)));
}

const KAFKA: readonly Fault[] = [
  {
    name: 'kill a leader',
    suits: ({ settings }) => settings.brokers === 3,
    mayRefuse: false,
    async strike(system, random) {
      const { topics } = await admin(system, (client) => client.fetchTopicMetadata({ topics: [AUDIT_TOPIC] }));
      const leaders = (topics[0]?.partitions ?? []).map(({ leader }) => leader).filter((leader) => leader > 0);
      await allDown(system, [pick(leaders, random)], random);
    },
  },
  {
    name: 'kill all brokers',
    suits: ({ kafka }) => kafka !== undefined,
    mayRefuse: false,
    strike: (system, random) =>
      allDown(
        system,
        system.brokers.map((_, index) => index + 1),
        random,
      ),
  },
  {
    name: 'delete what was not read yet',
    suits: ({ kafka }) => kafka !== undefined,
    mayRefuse: true,
    strike: (system) =>
      withoutAudit(system, async () => {
        await pause(500);
        await admin(system, async (client) => {
          const partitions = (await client.fetchTopicOffsets(AUDIT_TOPIC)).map(({ partition, high }) => ({ partition, offset: high }));
          await client.deleteTopicRecords({ topic: AUDIT_TOPIC, partitions });
        });
      }),
  },
  {
    name: "delete the consumers' offsets",
    suits: ({ kafka }) => kafka !== undefined,
    mayRefuse: true,
    // A group that a member left a moment ago, or whose coordinator is being chosen anew, is not deleted yet.
    strike: (system) => withoutAudit(system, () => insist(() => admin(system, (client) => client.deleteGroups(['kms-audit'])))),
  },
];

/** Every fault there is. */
export const FAULTS: readonly Fault[] = [
  restarting('gateway', 'kill'),
  restarting('vault', 'kill'),
  restarting('audit', 'kill'),
  killingAt('journal.inserted', 'vault', 3),
  killingAt('journal.committed', 'vault', 40),
  killingAt('relay.read', 'vault', 20),
  killingAt('relay.produced', 'vault', 20),
  killingAt('ledger.appended', 'audit', 10),
  killingAt('ledger.tree-extended', 'audit', 10),
  killingAt('checkpoint.signed', 'audit', 2),
  killingAt('checkpoint.kept', 'audit', 2),
  restarting('gateway', 'stop'),
  restarting('vault', 'stop'),
  restarting('audit', 'stop'),
  ...POSTGRES,
  TWO_RELAYS,
  ...KAFKA,
  shiftingClock('+5 min', 5 * 60_000),
  shiftingClock('-5 min', -5 * 60_000),
  shiftingClock('+61 min', 61 * 60_000),
  shiftingClock('-24 h', -24 * 3_600_000),
];
