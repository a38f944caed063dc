import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { flipBit, MadeLog, makeRecords, ORIGIN, seeded, verifierKey } from '@kms/testing/made-log';
import { COMMANDS } from '../commands.ts';
import { kmsAudit } from '../kms-audit.ts';
import { writeFolder } from './pack-folder-writer.ts';

/*
 * A gateway that has one log, and gives other bytes or none where a test says so.
 */

const random = seeded(11);
let folder: string;
let server: Server;
let url: string;
let log: MadeLog;
let given: Map<string, Uint8Array>;
let onRequest: (path: string) => void = () => undefined;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kms-export-'));
  log = await new MadeLog(makeRecords(700, random)).sign();
  server = createServer((request, response) => {
    const path = (request.url ?? '').slice('/2026-02-01/audit/'.length);
    onRequest(path);
    const bytes = path === 'keys.json' ? Buffer.from(JSON.stringify({ keys: [verifierKey()] })) : given.get(path);
    if (bytes === undefined) response.writeHead(404).end('{"error":"This record does not exist"}');
    else response.end(bytes);
  });
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

async function run(args: readonly string[], signal = new AbortController().signal) {
  const [printed, noted]: [string[], string[]] = [[], []];
  const context = {
    environment: { KMS_API_KEY: 'key' },
    signal,
    print: (line: string) => void printed.push(line),
    note: (line: string) => void noted.push(line),
  };
  const code = await kmsAudit(args, COMMANDS, context);
  return { code, printed: printed.join('\n'), noted: noted.join('\n') };
}

const exportTo = (out: string, signal?: AbortSignal, ...more: string[]) =>
  run(['export', '--url', url, '--out', join(folder, out), '--key', verifierKey(), '--origin', ORIGIN, ...more], signal);

describe('kms-audit export', () => {
  it('takes all of a log, or a part with what proves it', async () => {
    given = log.files;
    expect(await exportTo('all')).toMatchObject({
      code: 0,
      printed: expect.stringMatching(/^ok: 700 records, size 700, root /),
      noted: '',
    });
    expect(await exportTo('part', undefined, '--from', '300', '--to', '301')).toMatchObject({
      code: 0,
      printed: expect.stringMatching(/^ok: 256 records \(indexes 256 to 511\), size 700/),
    });
    expect(readdirSync(join(folder, 'part', 'tile', 'entries'))).toEqual(['001']);
    expect(readFileSync(join(folder, 'part', 'README.md'), 'utf8')).toContain('--from 256 --to 512');
    const part = join(folder, 'part');
    expect(await run(['verify', part, '--key', verifierKey()])).toMatchObject({
      code: 1,
      printed: expect.stringContaining('(incomplete)'),
    });
    expect(await run(['verify', part, '--key', verifierKey(), '--from', '256', '--to', '512'])).toMatchObject({ code: 0 });
    rmSync(join(folder, 'all'), { recursive: true });
    rmSync(part, { recursive: true });
  });

  it('refuses a server that lies in any of its files, and leaves nothing behind', async () => {
    const paths = [...log.files.keys()];
    for (let round = 0; round < 40; round += 1) {
      const path = paths[round % paths.length] as string;
      const bytes = log.files.get(path) as Uint8Array;
      given = new Map(log.files).set(path, flipBit(bytes, random.below(bytes.length * 8)));
      expect(await exportTo('pack')).toMatchObject({ code: 1, printed: expect.stringMatching(/^bad: .+\([a-z-]+\)$/) });
    }
    expect(readdirSync(folder)).toEqual([]);
  }, 60_000);

  it.each(['checkpoint', 'tile/entries/001', 'tile/0/002.p/188'])('leaves nothing behind where Ctrl-C comes at %s', async (path) => {
    given = log.files;
    const ending = new AbortController();
    onRequest = (asked) => asked === path && ending.abort();
    expect(await exportTo('pack', ending.signal)).toEqual({ code: 2, printed: '', noted: 'Interrupted: nothing was written.' });
    onRequest = () => undefined;
    expect(readdirSync(folder)).toEqual([]);
  });

  it('says that a log has no checkpoint yet, or not so many records', async () => {
    given = new Map();
    expect(await exportTo('pack')).toMatchObject({ code: 2, noted: 'The log has no checkpoint yet: try again in some seconds.' });
    given = log.files;
    expect(await exportTo('pack', undefined, '--to', '701')).toMatchObject({
      code: 1,
      printed: expect.stringContaining('the log has 700'),
    });
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('a folder that gets its name last', () => {
  it('is not there while it is filled, nor after what filled it failed', async () => {
    const target = join(folder, 'late');
    const filling = writeFolder(target, async (writer) => {
      await writer.write('a/b/c', Buffer.from('1'));
      expect(readdirSync(folder)).toEqual([expect.stringMatching(/^\.late\.partial-/)]);
      throw new Error('full');
    });
    await expect(filling).rejects.toThrow('full');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('says in one sentence what the disk does not do, and writes over nothing', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, 'mine');
    await expect(writeFolder(file, async () => undefined)).rejects.toThrow('There is something at');
    await expect(writeFolder(join(file, 'below'), async () => undefined)).rejects.toMatchObject({ name: 'CannotRunError' });
    await expect(writeFolder(join(folder, 'none', 'below'), async () => undefined)).rejects.toThrow(
      'The folder could not be written (ENOENT).',
    );
    expect(readFileSync(file, 'utf8')).toBe('mine');
  });
});
