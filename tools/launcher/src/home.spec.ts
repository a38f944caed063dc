import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { makeHomeFolder, openHome } from './home.ts';

const ID = '6835c2cd0f3e5a7b9c1d2e3f';

let folder: string;
let directory: string;

const path = (name: string) => join(directory, name);
const open = async () => {
  await makeHomeFolder(directory);
  return openHome(directory, () => ID);
};
const rootKey = () => readFileSync(path('root.key'), 'utf8');

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kms-home-'));
  directory = join(folder, 'below', 'home');
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('a home', () => {
  it('is made with its secrets once, and is the same afterwards', async () => {
    const { secrets } = await open();
    const key = rootKey();
    expect(secrets.operatorOrganizationId).toBe(ID);
    expect(Buffer.from(key, 'base64')).toHaveLength(32);
    for (const name of ['secrets.json', 'root.key']) expect(statSync(path(name)).mode & 0o777).toBe(0o600);
    expect((await open()).secrets).toEqual(secrets);
    expect(rootKey()).toBe(key);
    expect(readdirSync(directory).sort()).toEqual(['logs', 'root.key', 'secrets.json']);
  });

  it('is finished where its first start was cut short before its root key was in place', async () => {
    const { secrets } = await open();
    const key = rootKey();
    renameSync(path('root.key'), path('root.key.first'));
    expect((await open()).secrets).toEqual(secrets);
    expect(rootKey()).toBe(key);
  });

  it('is begun anew where its first start was cut short before there were secrets', async () => {
    await open();
    renameSync(path('root.key'), path('root.key.first'));
    rmSync(path('secrets.json'));
    const key = readFileSync(path('root.key.first'), 'utf8');
    await open();
    expect(rootKey()).not.toBe(key);
  });

  it.each(['root.key', 'admin.key', 'admin.json', 'postgres'])('gets no new secrets where there is a %s', async (trace) => {
    mkdirSync(directory, { recursive: true });
    writeFileSync(path(trace), 'kept');
    await expect(open()).rejects.toThrow(`secrets.json is missing, but there is a ${trace}: the stored data cannot be used without it.`);
    expect(readFileSync(path(trace), 'utf8')).toBe('kept');
    expect(existsSync(path('secrets.json'))).toBe(false);
  });

  it('is refused without its root key, and with damaged secrets', async () => {
    await open();
    writeFileSync(path('secrets.json'), '{"operatorOrganizationId"');
    await expect(open()).rejects.toThrow(/secrets\.json cannot be read: it is damaged\./);
    rmSync(path('root.key'));
    await expect(open()).rejects.toThrow(/root\.key is missing: the stored secrets cannot be decrypted without it\./);
    expect(existsSync(path('root.key'))).toBe(false);
  });

  it.each(['/proc/kms', '/sys/kms/home'])('is refused where nothing can be written: %s', async (place) => {
    directory = place;
    await expect(open()).rejects.toThrow(new RegExp(`^KMS_HOME ${place} cannot be written: E[A-Z]+\\.$`));
    expect(existsSync(place)).toBe(false);
  });

  it('is refused below a file', async () => {
    writeFileSync(join(folder, 'below'), '');
    await expect(open()).rejects.toThrow(/ is not a folder\.$/);
  });
});
