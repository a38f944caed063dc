import type { App, Service, Variables } from '@kms/launcher';
import type { Failpoint } from '@kms/platform';
import { several, moment, nothing, one, pause, pick, within, type Equipment, type Fault } from './fault.ts';
import type { Instance } from './system.ts';

const SHIFT_CLOCK = new URL('./shift-clock.js', import.meta.url).href.replace('/src/', '/dist/');
const JOINED_MS = 1_500;

/** An instance ends and is started again: killed, which may cost what was under way on it, or in order, which may not. */
function restarting(service: Service, end: 'kill' | 'stop', count: number): Fault {
  const isKill = end === 'kill';
  return {
    name: isKill ? `kill ${service}` : `end ${service} in order`,
    count,
    lacks: isKill ? nothing : several,
    mayRefuse: isKill,
    async strike(system, { random }) {
      const instance = one(system, service, random);
      await moment(random);
      await instance[end]();
      await instance.start();
    },
  };
}

/** An instance is killed at a named moment, the n-th time that it passes it, and started again. */
function killingAt(point: Failpoint, service: App, passages: number, count: number, needs?: Equipment): Fault {
  return {
    name: `kill ${service} at ${point}`,
    count,
    lacks: nothing,
    ...(needs && { needs }),
    mayRefuse: service !== 'witness',
    async strike(system, { random }) {
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
    count: 5,
    lacks: nothing,
    mayRefuse: true,
    async strike(system, { random }) {
      const instance = pick(system.instances, random);
      await instance.stop();
      await instance.start({ NODE_OPTIONS: `--import ${SHIFT_CLOCK}`, KMS_CLOCK_SHIFT_MS: String(milliseconds) });
      await pause(1_000);
      await instance.stop();
      await instance.start();
    },
  };
}

/** One more instance joins under load, an old one leaves in order, comes back, and the new one leaves. */
function joining(service: Service): Fault {
  return {
    name: `${service} joins and leaves`,
    count: 10,
    lacks: (system) => several(system) ?? (system.spare(service) === undefined ? 'consumer groups that take in a second member' : null),
    mayRefuse: false,
    async strike(system, { random }) {
      const old = one(system, service, random);
      const spare = system.spare(service) as Instance;
      await spare.start();
      await pause(JOINED_MS);
      await old.stop();
      await pause(JOINED_MS);
      await old.start();
      await moment(random);
      await spare.stop();
    },
  };
}

/** A process is ended or its clock is wrong. */
export const SERVICE_FAULTS: readonly Fault[] = [
  restarting('gateway', 'kill', 100),
  restarting('vault', 'kill', 100),
  restarting('audit', 'kill', 100),
  killingAt('journal.inserted', 'vault', 3, 50),
  killingAt('journal.committed', 'vault', 40, 50),
  killingAt('relay.read', 'vault', 20, 50),
  killingAt('relay.produced', 'vault', 20, 50),
  killingAt('ledger.appended', 'audit', 10, 50),
  killingAt('ledger.tree-extended', 'audit', 10, 20),
  killingAt('checkpoint.signed', 'audit', 2, 20),
  killingAt('checkpoint.kept', 'audit', 2, 20),
  killingAt('checkpoint.cosigned', 'audit', 2, 20, 'witness'),
  killingAt('checkpoint.published', 'audit', 2, 20, 'witness'),
  killingAt('witness.stored', 'witness', 2, 20, 'witness'),
  restarting('gateway', 'stop', 50),
  restarting('vault', 'stop', 50),
  restarting('audit', 'stop', 50),
  joining('gateway'),
  joining('vault'),
  joining('audit'),
  shiftingClock('+5 min', 5 * 60_000),
  shiftingClock('-5 min', -5 * 60_000),
  shiftingClock('+61 min', 61 * 60_000),
  shiftingClock('-24 h', -24 * 3_600_000),
];
