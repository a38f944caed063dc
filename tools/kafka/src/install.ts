import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StartupError } from '@kms/platform';

const PACKAGE = fileURLToPath(new URL('../', import.meta.url));
const OLDEST_JAVA = 17;

/** Where Apache Kafka is, once it is installed. */
export interface Installation {
  /** The class path of Kafka's programs. */
  classPath: string;
  /** Where they take the configuration of their log from. */
  log4jFile: string;
}

/**
 * Fetches Apache Kafka with Maven where it is not there yet, into `.kafka` beside this package's `pom.xml`. A folder appears whole or not
 * at all, so that two calls at once, or one that was cut off, do no harm. Throws {@link StartupError} without Java 17 or newer, or Maven.
 */
export async function installKafka(): Promise<Installation> {
  await assertJava();
  const pom = join(PACKAGE, 'pom.xml');
  const version = createHash('sha256')
    .update(await readFile(pom))
    .digest('hex')
    .slice(0, 16);
  const folder = join(PACKAGE, `.kafka-${version}`);
  if (!existsSync(folder)) await fetchInto(folder, pom);
  return { classPath: join(folder, '*'), log4jFile: join(PACKAGE, 'log4j2.properties') };
}

/** Whether {@link installKafka} finds what it needs on this machine. */
export async function canInstallKafka(): Promise<boolean> {
  try {
    await assertJava();
    return (await run('mvn', ['--version'])).code === 0;
  } catch (error) {
    if (error instanceof StartupError) return false;
    throw error;
  }
}

async function fetchInto(folder: string, pom: string): Promise<void> {
  const temporary = await mkdtemp(`${folder}.new-`);
  try {
    const goal = ['dependency:copy-dependencies', `-DoutputDirectory=${temporary}`, '-DincludeScope=runtime'];
    const { code, output } = await run('mvn', ['--batch-mode', '--quiet', '--file', pom, ...goal]);
    if (code !== 0) throw new StartupError(`Maven could not fetch Apache Kafka: ${lastLine(output)}`);
    await rename(temporary, folder).catch((error: NodeJS.ErrnoException) => {
      // Somebody else was faster.
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function assertJava(): Promise<void> {
  const { output } = await run('java', ['-version']);
  const version = javaVersion(output);
  if (version === null || version < OLDEST_JAVA)
    throw new StartupError(`Apache Kafka needs Java ${OLDEST_JAVA} or newer; found: ${lastLine(output.split('\n')[0] ?? '')}.`);
}

/** The major version that `java -version` prints, or null. Up to Java 8 it was the second number. */
export function javaVersion(output: string): number | null {
  const [, first, second] = /version "([0-9]+)(?:\.([0-9]+))?/.exec(output) ?? [];
  if (first === undefined) return null;
  return first === '1' ? Number(second) : Number(first);
}

const lastLine = (text: string) => text.trim().split('\n').at(-1) ?? '';

/** Runs a program to its end. Throws {@link StartupError} where it is not there. */
export async function run(program: string, parameters: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(program, parameters, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, output };
  } catch (cause) {
    throw new StartupError(`${program} is not installed: it is needed for Apache Kafka.`, { cause });
  }
}
