import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Home } from './home.ts';
import { makeLogKey } from './installation.ts';

let directory: string;

const path = (...names: string[]) => join(directory, ...names);
const read = (name: string) => readFileSync(path(name), 'utf8');
const make = () => makeLogKey({}, { path } as Home, new AbortController().signal);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kms-installation-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('the log key of an installation', () => {
  it('is made wrapped, with the key that wraps it, once', async () => {
    await make();
    const [logKey, wrappingKey] = [read('log.key'), read('log-wrapping.key')];
    expect(logKey).toMatch(/^kms-log-key\/1 localhost\/audit\+\S+ \S+\n$/);
    expect(Buffer.from(wrappingKey, 'base64')).toHaveLength(32);
    for (const name of ['log.key', 'log-wrapping.key']) expect(statSync(path(name)).mode & 0o777).toBe(0o600);
    await make();
    expect([read('log.key'), read('log-wrapping.key')]).toEqual([logKey, wrappingKey]);
  });

  it('gets a wrapping key where a version before it left one that is not wrapped', async () => {
    writeFileSync(path('log.key'), 'PRIVATE+KEY+x\n');
    await make();
    expect(read('log.key')).toBe('PRIVATE+KEY+x\n');
    expect(Buffer.from(read('log-wrapping.key'), 'base64')).toHaveLength(32);
  });

  it('is refused without its wrapping key, and made anew only where nothing was signed', async () => {
    writeFileSync(path('log.key'), 'kms-log-key/1 x\n');
    await expect(make()).rejects.toThrow(/log-wrapping\.key is missing: the log key cannot be unwrapped without it\.$/);
    expect(existsSync(path('log-wrapping.key'))).toBe(false);
    rmSync(path('log.key'));
    mkdirSync(path('checkpoints'));
    await expect(make()).rejects.toThrow(/log\.key is missing: the audit log cannot be signed on/);
  });
});
