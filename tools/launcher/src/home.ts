import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makePrivateFolder } from '@kms/embedded';
import { StartupError, syncFolder } from '@kms/platform';
import { z } from 'zod';

const Secret = z.string().regex(/^[0-9a-f]{64}$/);

/** What the parts of one installation share, made once. */
const Secrets = z.strictObject({
  operatorOrganizationId: z.string().regex(/^[0-9a-f]{24}$/),
  postgresPassword: Secret,
  apiKeyPepper: Secret,
  rpcSecret: Secret,
});
export type Secrets = z.infer<typeof Secrets>;

/** The folder that holds an installation's state. */
export interface Home {
  directory: string;
  secrets: Secrets;
  /** 32 bytes in base64. */
  rootKeyFile: string;
  path(...names: string[]): string;
}

/** What only an installation that has run leaves in its folder. */
const TRACES = ['root.key', 'log-wrapping.key', 'log.key', 'checkpoints', 'admin.key', 'admin.json', 'postgres'];

/** Opens a home whose folder is there and locked, and on the first start makes its secrets. Throws StartupError. */
export async function openHome(directory: string, organizationId: () => string): Promise<Home> {
  const path = (...names: string[]) => join(directory, ...names);
  const rootKeyFile = path('root.key');
  if (!existsSync(path('secrets.json'))) await makeSecrets(path, organizationId());
  await placeRootKey(rootKeyFile);
  if (!existsSync(rootKeyFile)) throw new StartupError(`${rootKeyFile} is missing: the stored secrets cannot be decrypted without it.`);
  return { directory, secrets: await readSecrets(path('secrets.json')), rootKeyFile, path };
}

/** Makes the folder where it is missing. Throws StartupError. */
export async function makeHomeFolder(directory: string): Promise<void> {
  try {
    await makePrivateFolder(directory);
    await mkdir(join(directory, 'logs'), { recursive: true, mode: 0o700 });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const sentence = code === 'EEXIST' || code === 'ENOTDIR' ? 'is not a folder' : `cannot be written: ${code}`;
    throw new StartupError(`KMS_HOME ${directory} ${sentence}.`, { cause });
  }
}

/**
 * The root key is made first and put in its place last. So a start that was cut short in between is begun anew or finished by the next
 * one, and a root key in its place always has its secrets beside it.
 */
async function makeSecrets(path: (name: string) => string, operatorOrganizationId: string): Promise<void> {
  const trace = TRACES.find((name) => existsSync(path(name)));
  if (trace !== undefined)
    throw new StartupError(`${path('secrets.json')} is missing, but there is a ${trace}: the stored data cannot be used without it.`);
  const secret = () => randomBytes(32).toString('hex');
  await writeWhole(unplaced(path('root.key')), randomBytes(32).toString('base64'));
  const secrets: Secrets = { operatorOrganizationId, postgresPassword: secret(), apiKeyPepper: secret(), rpcSecret: secret() };
  await writeWhole(path('secrets.json'), JSON.stringify(secrets, null, 2));
}

const unplaced = (rootKeyFile: string) => `${rootKeyFile}.first`;

async function placeRootKey(rootKeyFile: string): Promise<void> {
  if (existsSync(rootKeyFile) || !existsSync(unplaced(rootKeyFile))) return;
  await rename(unplaced(rootKeyFile), rootKeyFile);
  await syncFolder(dirname(rootKeyFile));
}

async function readSecrets(file: string): Promise<Secrets> {
  try {
    return Secrets.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (cause) {
    throw new StartupError(`${file} cannot be read: it is damaged.`, { cause });
  }
}

/** Writes a private file so that it is there whole or not at all, also after a power cut. */
export async function writeWhole(file: string, text: string): Promise<void> {
  const temporary = `${file}.new`;
  await writeFile(temporary, `${text}\n`, { mode: 0o600, flush: true });
  await rename(temporary, file);
  await syncFolder(dirname(file));
}

/** A role's password, derived from the installation's own so that there is one secret to keep. */
export function rolePassword({ postgresPassword }: Secrets, role: string): string {
  return createHash('sha256').update(`${postgresPassword}/${role}`).digest('hex');
}
