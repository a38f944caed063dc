import pg from 'pg';
import type { Service } from './processes.ts';
import { rolePassword, type Secrets } from './home.ts';

export const SERVICES: readonly Service[] = ['vault', 'audit', 'gateway'];

/** A service's database, seen by its owner's role and by the service's own. */
export interface DatabaseUrls {
  ownerUrl: string;
  serviceUrl: string;
}

/** Makes each service's database with an owner's role and a service's role, where they are missing. */
export async function makeDatabases(superuserUrl: string, secrets: Secrets): Promise<Record<Service, DatabaseUrls>> {
  const client = new pg.Client({ connectionString: superuserUrl });
  await client.connect();
  try {
    const urls = {} as Record<Service, DatabaseUrls>;
    for (const service of SERVICES) urls[service] = await makeDatabase(client, superuserUrl, secrets, `kms_${service}`);
    return urls;
  } finally {
    await client.end();
  }
}

async function makeDatabase(client: pg.Client, superuserUrl: string, secrets: Secrets, name: string): Promise<DatabaseUrls> {
  const owner = `${name}_owner`;
  for (const role of [owner, name]) {
    const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [role]);
    if (rowCount === 0) await client.query(`CREATE ROLE ${role} LOGIN PASSWORD '${rolePassword(secrets, role)}'`);
  }
  const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name]);
  if (rowCount === 0) await client.query(`CREATE DATABASE ${name} OWNER ${owner}`);
  const url = (role: string) => {
    const target = new URL(superuserUrl);
    target.username = role;
    target.password = rolePassword(secrets, role);
    target.pathname = `/${name}`;
    return target.href;
  };
  return { ownerUrl: url(owner), serviceUrl: url(name) };
}
