// Makes what docker-compose.yml needs and what no default may stand in for: .env and the files in secrets/. It never replaces one.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createIdGenerator } from '@kms/contracts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = resolve(process.argv[2] ?? root);
const keyMaker = join(root, 'apps/audit/dist/make-log-key.js');
const witnessKeyMaker = join(root, 'apps/witness/dist/make-witness-key.js');

function refuse(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}

const there = ['.env', 'secrets'].map((name) => join(folder, name)).find((path) => existsSync(path));
if (there !== undefined) refuse(`${there} is there already: what it holds may be in use, and is not replaced.`);
if (!existsSync(folder)) refuse(`The folder ${folder} is not there.`);
if (!existsSync(keyMaker)) refuse('The services are not built: run npm ci and npm run build first.');

/** What stays empty until somebody has a reason to set it. */
const OPTIONAL = ['TRUSTED_PROXIES', 'WITNESSES', 'WITNESS_QUORUM'];
const value = (name) => (name === 'OPERATOR_ORGANIZATION_ID' ? randomBytes(12) : randomBytes(32)).toString('hex');
const environment = readFileSync(join(root, '.env.example'), 'utf8')
  .split('\n')
  .map((line) => (/^[A-Z_]+=$/.test(line) && !OPTIONAL.includes(line.slice(0, -1)) ? line + value(line.slice(0, -1)) : line))
  .join('\n');

const secrets = join(folder, 'secrets');
mkdirSync(secrets, { mode: 0o700 });
for (const name of ['root.key', 'log-wrapping.key'])
  writeFileSync(join(secrets, name), `${randomBytes(32).toString('base64')}\n`, { mode: 0o600, flag: 'wx', flush: true });
const made = spawnSync(process.execPath, [keyMaker], {
  env: {
    LOG_KEY_PATH: join(secrets, 'log.key'),
    LOG_WRAPPING_KEY_FILE: join(secrets, 'log-wrapping.key'),
    ...(process.env.DEPLOYMENT && { DEPLOYMENT: process.env.DEPLOYMENT }),
  },
  stdio: ['ignore', 'pipe', 'inherit'],
  encoding: 'utf8',
});
if (made.status !== 0) {
  rmSync(secrets, { recursive: true });
  process.exit(1);
}
const witness = spawnSync(process.execPath, [witnessKeyMaker], {
  env: { WITNESS_KEY_PATH: join(secrets, 'witness.key'), WITNESS_NAME: `witness.${process.env.DEPLOYMENT ?? 'localhost'}` },
  stdio: ['ignore', 'pipe', 'inherit'],
  encoding: 'utf8',
});
const logKey = made.stdout.trim();
writeFileSync(join(secrets, 'witness.pub'), witness.stdout, { flag: 'wx', flush: true });
writeFileSync(join(secrets, 'witness.logs'), `${logKey.split('+', 1)[0]}/* ${logKey}\n`, { flag: 'wx', flush: true });
const { formatApiKey, SECRET_BYTES } = await import('../../apps/gateway/dist/domain/api-key.js');
const adminKey = formatApiKey('production', createIdGenerator({ now: Date.now, randomBytes })(), randomBytes(SECRET_BYTES));
writeFileSync(join(secrets, 'admin.key'), `${adminKey}\n`, { mode: 0o600, flag: 'wx', flush: true });
// Compose mounts the files as they are, for a user who is not their owner; the folder around them lets nobody else in.
for (const name of ['root.key', 'log-wrapping.key', 'log.key', 'admin.key', 'witness.key', 'witness.logs'])
  chmodSync(join(secrets, name), 0o444);
writeFileSync(join(folder, '.env'), environment, { mode: 0o600, flag: 'wx', flush: true });
process.stdout.write(`Made ${join(folder, '.env')} and the keys in ${secrets}. Keep both: the data cannot be used without them.\n`);
