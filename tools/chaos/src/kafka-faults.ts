import { AUDIT_TOPIC } from '@kms/contracts';
import { Kafka, logLevel } from 'kafkajs';
import { apache, insist, moment, pause, pick, within, type Fault, type Random } from './fault.ts';
import type { KafkaProxy } from './kafka-proxy.ts';
import type { System } from './system.ts';

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

/** The brokers, or the way to them, are away or lose what they have. */
export const KAFKA_FAULTS: readonly Fault[] = [
  {
    name: 'kill a leader',
    count: 20,
    lacks: ({ settings }) => (settings.brokers === 3 ? null : 'three brokers'),
    mayRefuse: false,
    async strike(system, { random }) {
      const { topics } = await admin(system, (client) => client.fetchTopicMetadata({ topics: [AUDIT_TOPIC] }));
      const leaders = (topics[0]?.partitions ?? []).map(({ leader }) => leader).filter((leader) => leader > 0);
      await allDown(system, [pick(leaders, random)], random);
    },
  },
  {
    name: 'kill all brokers',
    count: 3,
    lacks: apache,
    mayRefuse: false,
    strike: (system, { random }) =>
      allDown(
        system,
        system.brokers.map((_, index) => index + 1),
        random,
      ),
  },
  {
    name: 'drop the answer to a produce request',
    count: 100,
    lacks: apache,
    needs: 'broker proxy',
    mayRefuse: false,
    async strike(system, { random }) {
      // A connection that breaks is noticed at once, silence only when the client's own patience ends.
      const afterwards = random() < 0.75 ? 'cut' : 'silence';
      await within('an answer to a produce request', (system.brokerProxy as KafkaProxy).dropNextAnswer(afterwards));
    },
  },
  {
    name: 'delete what was not read yet',
    count: 5,
    lacks: apache,
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
    count: 5,
    lacks: apache,
    mayRefuse: true,
    // A group that a member left a moment ago, or whose coordinator is being chosen anew, is not deleted yet.
    strike: (system) => withoutAudit(system, () => insist(() => admin(system, (client) => client.deleteGroups(['kms-audit'])))),
  },
];
