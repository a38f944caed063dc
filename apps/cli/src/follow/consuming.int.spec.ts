import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AUDIT_CONTENT_TYPE, AUDIT_TOPIC } from '@kms/contracts';
import { KafkaPublisher } from '@kms/kafka';
import { createLogger } from '@kms/platform';
import { startTestBroker, type TestBroker } from '@kms/testing';
import ts from 'typescript';
import { FixtureTopic, organization, writerId } from './topic.fixture.ts';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
const EXAMPLES = join(ROOT, 'docs', 'events', 'examples');
/** Where the Python client is, from one run to the next. */
const VENV = join(ROOT, 'node_modules', '.cache', 'kms-python');

const succeeds = (command: string, ...args: string[]) => spawnSync(command, args, { stdio: 'ignore', timeout: 120_000 }).status === 0;

function hasPythonClient(): boolean {
  const python = join(VENV, 'bin', 'python');
  if (succeeds(python, '-c', 'import confluent_kafka')) return true;
  return (
    succeeds('python3', '-m', 'venv', VENV) && succeeds(python, '-m', 'pip', 'install', '-q', '-r', join(EXAMPLES, 'requirements.txt'))
  );
}

const clients = {
  typescript: true,
  python: hasPythonClient(),
  kcat: succeeds('kcat', '-V') && succeeds('python3', '-V'),
};

let broker: TestBroker;
let folder: string;

beforeAll(async () => {
  broker = await startTestBroker(AUDIT_TOPIC);
  // The TypeScript example as Node runs it, beside packages that it finds.
  folder = mkdtempSync(join(tmpdir(), 'kms-examples-'));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  const { outputText } = ts.transpileModule(readFileSync(join(EXAMPLES, 'consume.ts'), 'utf8'), { compilerOptions });
  writeFileSync(join(folder, 'consume.mjs'), outputText);
}, 90_000);

afterAll(async () => {
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
}, 30_000);

const COMMANDS: Record<keyof typeof clients, () => string[]> = {
  typescript: () => [process.execPath, join(folder, 'consume.mjs')],
  python: () => [join(VENV, 'bin', 'python'), join(EXAMPLES, 'consume.py')],
  kcat: () => ['sh', join(EXAMPLES, 'consume.sh')],
};

/** What the example prints, line by line without regard to their order, and its exit code. */
async function run(client: keyof typeof clients): Promise<{ code: number; lines: string[]; stderr: string }> {
  const [command = '', ...args] = [...COMMANDS[client](), broker.brokers().join(',')];
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
    env: { PATH: process.env['PATH'], PYTHONDONTWRITEBYTECODE: '1' },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, lines: stdout.trim().split('\n').sort(), stderr: stderr.trim() };
}

const topic = new FixtureTopic();

async function publish(...messages: [key: string, value: Buffer][]): Promise<void> {
  const logger = createLogger('test');
  logger.level = 'silent';
  const connection = { brokers: () => broker.brokers(), security: {} };
  const publisher = new KafkaPublisher({ connection, clientId: 'test', logger, topic: AUDIT_TOPIC, contentType: AUDIT_CONTENT_TYPE });
  await publisher.publish(messages.map(([key, value]) => ({ key, value })));
  await publisher.close();
}

const named = Object.keys(clients) as (keyof typeof clients)[];

/** Where the client is not to be had, the test says so by being skipped; CI makes sure of all of them. */
const each = (client: keyof typeof clients) => (clients[client] || process.env['KMS_REQUIRE_CLIENTS'] !== undefined ? it : it.skip);

describe('the examples of consuming.md, with a topic that is in order', () => {
  beforeAll(async () => {
    const values = Array.from(
      { length: 40 },
      (_, index) => [organization(index % 5), topic.send(index % 3, index % 5).value as Buffer] as const,
    );
    const [first] = values;
    await publish(...values.map(([key, value]): [string, Buffer] => [key, value]), [first?.[0] ?? '', first?.[1] as Buffer]);
  }, 30_000);

  for (const client of named)
    each(client)(
      `${client}: says that all is good, and drops the double`,
      async () => {
        expect(await run(client)).toEqual({ code: 0, lines: ['40 events, 1 doubles, 0 findings'], stderr: '' });
      },
      90_000,
    );
});

describe('the examples of consuming.md, with a topic that is not', () => {
  const expected = [
    expect.stringMatching(/^schema: \d\/\d+ is no audit event$/),
    expect.stringMatching(/^schema: \d\/\d+ is no audit event$/),
    expect.stringMatching(/^key: \d\/\d+ is not under its organization's key$/),
    expect.stringMatching(new RegExp(`^conflict: \\d/\\d+ has other bytes than ${writerId(0)}/1 had before$`)),
    `chain: ${writerId(7)}/2 does not continue the chain`,
    `gap: ${writerId(8)}/1 to 2 did not come`,
    '43 events, 1 doubles, 6 findings',
  ];

  beforeAll(async () => {
    const key = organization(1);
    const conflicting = Buffer.from(String(topic.partitions[0]?.[0]?.value).replace('"success"', '"denied"'));
    const broken = Buffer.from(String(topic.make(7, 1)).replace('"success"', '"denied"'));
    const skipped = [topic.make(8, 1), topic.make(8, 1)];
    expect(skipped.length).toBe(2);
    await publish(
      [key, Buffer.from('no\nevent')],
      [key, Buffer.from([0xff, 0x0a])],
      [organization(2), topic.make(9, 1)],
      [organization(0), conflicting],
      [key, broken],
      [key, topic.make(7, 1)],
      [key, topic.make(8, 1)],
    );
  }, 30_000);

  for (const client of named)
    each(client)(
      `${client}: names all of it`,
      async () => {
        const { code, lines, stderr } = await run(client);
        expect([code, stderr]).toEqual([1, '']);
        expect(lines).toHaveLength(expected.length);
        expect(lines).toEqual(expect.arrayContaining(expected));
      },
      90_000,
    );
});

describe('consuming.md', () => {
  it('shows each example', () => {
    const text = readFileSync(join(ROOT, 'docs', 'events', 'consuming.md'), 'utf8');
    for (const file of ['consume.ts', 'consume.py', 'check_events.py', 'consume.sh']) expect(text).toContain(`(examples/${file})`);
    const kcat = readFileSync(join(EXAMPLES, 'consume.sh'), 'utf8')
      .split('\n')
      .find((line) => line.startsWith('kcat')) as string;
    expect(text).toContain(kcat.slice(kcat.indexOf('-f '), kcat.indexOf(' | ')));
  });
});
