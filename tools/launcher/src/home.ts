import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makePrivateFolder } from '@kms/embedded';
import { StartupError } from '@kms/platform';
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

/** Opens the folder, and on the first start makes it with its secrets. Throws StartupError. */
export async function openHome(directory: string, organizationId: () => string): Promise<Home> {
  try {
    await makePrivateFolder(directory);
    await mkdir(join(directory, 'logs'), { recursive: true, mode: 0o700 });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const sentence = code === 'EEXIST' || code === 'ENOTDIR' ? 'is not a folder' : `cannot be written: ${code}`;
    throw new StartupError(`KMS_HOME ${directory} ${sentence}.`, { cause });
  }
  const path = (...names: string[]) => join(directory, ...names);
  const rootKeyFile = path('root.key');
  const isFirstStart = !existsSync(path('secrets.json'));
  if (isFirstStart && existsSync(path('postgres')))
    throw new StartupError(`${path('secrets.json')} is missing: the data cannot be used without it.`);
  if (isFirstStart) await makeSecrets(path, rootKeyFile, organizationId());
  if (!existsSync(rootKeyFile)) throw new StartupError(`${rootKeyFile} is missing: the stored secrets cannot be decrypted without it.`);
  return { directory, secrets: await readSecrets(path('secrets.json')), rootKeyFile, path };
}

async function makeSecrets(path: (name: string) => string, rootKeyFile: string, operatorOrganizationId: string): Promise<void> {
  const secret = () => randomBytes(32).toString('hex');
  if (!existsSync(rootKeyFile)) await writeWhole(rootKeyFile, randomBytes(32).toString('base64'));
  const secrets: Secrets = { operatorOrganizationId, postgresPassword: secret(), apiKeyPepper: secret(), rpcSecret: secret() };
  await writeWhole(path('secrets.json'), JSON.stringify(secrets, null, 2));
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
  await writeFile(temporary, `${text}\n`, { mode: 0o600 });
  const handle = await open(temporary, 'r');
  await handle.sync();
  await handle.close();
  await rename(temporary, file);
}

/** A role's password, derived from the installation's own so that there is one secret to keep. */
export function rolePassword({ postgresPassword }: Secrets, role: string): string {
  return createHash('sha256').update(`${postgresPassword}/${role}`).digest('hex');
}
