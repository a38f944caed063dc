import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { LocalRootKey } from '@kms/envelope';
import { writeSignerKey } from '@kms/merkle';
import { parseLogKeys, signerKey } from './log.fixture.ts';
import { openLogKeys, replaceLogKeys } from './log-key-file.ts';
import { parseSignerKeys } from './log-keys.ts';
import { unwrapLogKeys, wrapLogKeys } from './wrapped-log-keys.ts';

const WRAPPING_KEY = Buffer.alloc(32, 7);
const OTHER_KEY = Buffer.alloc(32, 8);
const provider = new LocalRootKey(WRAPPING_KEY);
const other = new LocalRootKey(OTHER_KEY);
const plain = `${signerKey(1)}\n${signerKey(2)}\n`;
const seeds = [1, 2].map((byte) => Buffer.alloc(32, byte).toString('base64'));
const DAMAGED = /^The log key is damaged/;

let folder: string;
let file: string;
let said: unknown[];

const logger = { info: (...line: unknown[]) => void said.push(line) } as never;
const open = (by = provider, text = readFileSync(file, 'utf8')) => openLogKeys(text, file, by, logger);
const wrapped = (text = plain) => wrapLogKeys(parseSignerKeys(text), provider);
const plainOf = async (text: string) => (await unwrapLogKeys(text, provider)).map((key) => writeSignerKey(key)).join('\n');

/** A module that ends its process as a power cut would, after as many steps on the disk as `CUT_AFTER` says; of a write half is one too. */
const CUT_SHORT = `data:text/javascript,${encodeURIComponent(`
  import fs from 'node:fs/promises';
  import { syncBuiltinESMExports } from 'node:module';
  let left = Number(process.env.CUT_AFTER);
  const counted = (step) => async (...given) => {
    const answer = await step(...given);
    if ((left -= 1) === 0) process.kill(process.pid, 'SIGKILL');
    return answer;
  };
  const folder = process.env.LOG_KEY_PATH.replace(/.log.key$/, '');
  const inHalves = (handle) => {
    for (const name of ['chmod', 'sync', 'close']) handle[name] = counted(handle[name].bind(handle));
    const write = counted(handle.writeFile.bind(handle));
    handle.writeFile = async (text) => void (await write(text.slice(0, 150)), await write(text.slice(150)));
    return handle;
  };
  for (const name of ['stat', 'open', 'readdir', 'readFile', 'rename']) {
    const step = fs[name];
    const own = name === 'open' ? async (...given) => inHalves(await step(...given)) : step;
    fs[name] = (...given) => (String(given[0]).startsWith(folder) ? counted(own) : step)(...given);
  }
  syncBuiltinESMExports();
`)}`;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kms-log-key-'));
  file = join(folder, 'log.key');
  said = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('the log key at rest', () => {
  it('is opened by the key that wraps it, and nothing of it stands in its file', async () => {
    const text = await wrapped();
    writeFileSync(file, text);
    expect((await open()).verifierKeys).toEqual(parseLogKeys(plain).verifierKeys);
    for (const secret of [...seeds, 'PRIVATE']) expect(text).not.toContain(secret);
    expect([readFileSync(file, 'utf8'), said]).toEqual([text, []]);
  });

  it('is refused, with one sentence that names both ids, under another wrapping key', async () => {
    writeFileSync(file, await wrapped());
    await expect(open(other)).rejects.toThrow(
      `LOG_WRAPPING_KEY is not the key that the log key is wrapped under: its id is ${other.keyId}, the log key's is ${provider.keyId}.`,
    );
  });

  it('is refused where it was cut short, at any byte', async () => {
    const text = await wrapped();
    for (let length = 'kms-log-key/'.length; length < text.length - 1; length += 1)
      await expect(open(provider, text.slice(0, length))).rejects.toThrow(DAMAGED);
  });

  it('is refused where a character of it was changed', async () => {
    const text = await wrapped(`${signerKey(1)}\n`);
    for (let at = 0; at < text.length - 1; at += 1) {
      const changed = `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`;
      await expect(open(provider, changed)).rejects.toMatchObject({ name: 'StartupError', message: expect.not.stringContaining(text) });
    }
  });

  it('is refused where its lines are exchanged, or one is left out or comes from elsewhere', async () => {
    const [first = '', second = ''] = (await wrapped()).trim().split('\n');
    const [alone = ''] = (await wrapped(`${signerKey(1)}\n`)).trim().split('\n');
    for (const lines of [[second, first], [first], [second], [alone, second], [first, first]])
      await expect(open(provider, lines.join('\n'))).rejects.toThrow(DAMAGED);
  });

  it('is wrapped for its own place among the lines', async () => {
    const lines = (await wrapped()).trim().split('\n');
    const publicKeys = lines.map((line) => line.split(' ')[1] as string);
    for (const [index, line] of lines.entries())
      for (const place of [1, 2]) {
        const unwrapping = provider.unwrap(Buffer.from(line.split(' ')[2] as string, 'base64'), { purpose: 'log-key', publicKeys, place });
        if (place === index + 1) expect(Buffer.from(await unwrapping)).toEqual(Buffer.alloc(32, place));
        else await expect(unwrapping).rejects.toThrow();
      }
  });

  it.each(['', 'nothing', 'PRIVATE+KEY+x'])('is refused where its file holds %j', async (text) => {
    writeFileSync(file, text);
    await expect(open()).rejects.toThrow('The log key is damaged, or is none: it is neither wrapped nor a signer key.');
    expect(readdirSync(folder)).toEqual(['log.key']);
  });
});

describe('a log key of a version that did not wrap it', () => {
  it('is wrapped in its place at the first start, said once, and the same key signs', async () => {
    writeFileSync(file, plain);
    chmodSync(file, 0o440);
    const { verifierKeys } = await open();
    expect(verifierKeys).toEqual(parseLogKeys(plain).verifierKeys);
    expect(readFileSync(file, 'utf8')).toMatch(/^(kms-log-key\/1 \S+ \S+\n){2}$/);
    expect([statSync(file).mode & 0o777, readdirSync(folder)]).toEqual([0o440, ['log.key']]);
    expect(said).toEqual([[{ logKeys: verifierKeys }, 'The log key is wrapped in its file now.']]);
    await open();
    expect(said).toHaveLength(1);
  });

  it('is refused where it comes from no file', async () => {
    await expect(openLogKeys(plain, undefined, provider, logger)).rejects.toThrow(/^LOG_KEY is not wrapped: run rotate-log-key wrap/);
  });

  it('is wrapped all the same where the rest of a change that was cut short is beside it', async () => {
    writeFileSync(file, plain);
    for (const rest of ['new', '0123456789abcdef.new']) writeFileSync(`${file}.${rest}`, 'half');
    writeFileSync(`${file}.mine.new`, 'a file of somebody’s own');
    expect((await open()).verifierKeys).toEqual(parseLogKeys(plain).verifierKeys);
    expect(readdirSync(folder).sort()).toEqual(['log.key', 'log.key.mine.new']);
  });
});

describe('changes of the log key at the same time', () => {
  it('are each made, of what the others have made', async () => {
    writeFileSync(file, '');
    const letters = [...'abcdefghijkl'];
    const texts = await Promise.all(letters.map((letter) => replaceLogKeys(file, async (text) => text + letter)));
    expect(texts.map((text) => text.length).sort((a, b) => a - b)).toEqual(letters.map((_, index) => index + 1));
    expect([...readFileSync(file, 'utf8')].sort()).toEqual(letters);
    expect(readdirSync(folder)).toEqual(['log.key']);
  });
});

describe('the programs', () => {
  const run = (program: string, step: string[], variables: Record<string, string>) => {
    const path = fileURLToPath(new URL(`../../dist/${program}.js`, import.meta.url));
    const env = { PATH: process.env['PATH'], LOG_KEY_PATH: file, LOG_WRAPPING_KEY: WRAPPING_KEY.toString('base64'), ...variables };
    const { status, stdout, stderr } = spawnSync(process.execPath, [path, ...step], { env, encoding: 'utf8' });
    return { status, stdout, stderr };
  };
  const publicKeys = (text: string) => text.trim().split('\n').map((line) => line.split(' ')[1]); // prettier-ignore

  it('make a log key, change it in two steps, and wrap it anew', async () => {
    const made = run('make-log-key', [], { DEPLOYMENT: 'example.org' });
    expect([made.status, made.stdout]).toEqual([0, `${publicKeys(readFileSync(file, 'utf8'))[0]}\n`]);
    const [first] = (await open()).verifierKeys;
    const begun = run('rotate-log-key', ['begin'], {});
    expect([begun.stderr, begun.stdout.split('\n')[0], publicKeys(readFileSync(file, 'utf8')).length]).toEqual(['', first, 2]);
    const [, second] = (await open()).verifierKeys;
    const rewrapped = run('rotate-log-key', ['wrap'], { LOG_NEW_WRAPPING_KEY: OTHER_KEY.toString('base64') });
    expect([rewrapped.stderr, rewrapped.stdout]).toEqual(['', begun.stdout]);
    await expect(open()).rejects.toThrow('LOG_WRAPPING_KEY is not the key');
    const finished = run('rotate-log-key', ['finish'], { LOG_WRAPPING_KEY: OTHER_KEY.toString('base64') });
    expect([finished.stderr, finished.stdout]).toEqual(['', `${second}\n`]);
    expect(await unwrapLogKeys(readFileSync(file, 'utf8'), other)).toHaveLength(1);
  }, 30_000);

  it('leave the key as it was or as it is to be, wherever they are cut short, and the next one goes on from there', async () => {
    const text = await wrapped(`${signerKey(1)}\n`);
    const [first] = parseLogKeys(`${signerKey(1)}\n`).verifierKeys;
    const states: string[] = [];
    for (let [step, isCut] = [1, true]; isCut; step += 1) {
      writeFileSync(file, text);
      const begun = run('rotate-log-key', ['begin'], { NODE_OPTIONS: `--import ${CUT_SHORT}`, CUT_AFTER: String(step) });
      isCut = begun.status === null;
      const isBegun = readFileSync(file, 'utf8') !== text;
      const { verifierKeys } = await open();
      expect([verifierKeys[0], verifierKeys.length]).toEqual([first, isBegun ? 2 : 1]);
      if (!isBegun) await replaceLogKeys(file, async (before) => wrapped(`${await plainOf(before)}\n${signerKey(2)}\n`));
      else await replaceLogKeys(file, async (before) => before);
      expect([(await open()).verifierKeys.length, readdirSync(folder)]).toEqual([2, ['log.key']]);
      states.push(isBegun ? 'new' : 'old');
    }
    expect(states).toEqual([...states].sort().reverse());
    expect([states.includes('old'), states.filter((state) => state === 'new').length > 1]).toEqual([true, true]);
  }, 120_000);

  it('refuse with one sentence, exit code 1, and change nothing', async () => {
    const text = await wrapped(`${signerKey(1)}\n`);
    writeFileSync(file, text);
    const sentences = [
      run('make-log-key', [], { DEPLOYMENT: 'x' }),
      run('rotate-log-key', ['finish'], {}),
      run('rotate-log-key', ['begin'], { LOG_WRAPPING_KEY: OTHER_KEY.toString('base64') }),
      run('rotate-log-key', ['begin'], { LOG_WRAPPING_KEY: 'short' }),
      run('rotate-log-key', ['begin'], { LOG_WRAPPING_KEY: '' }),
      run('rotate-log-key', ['again'], {}),
      run('rotate-log-key', ['wrap'], { LOG_KEY_PATH: join(folder, 'none') }),
    ].map(({ status, stdout, stderr }) => [status, stdout, stderr.replace(/Error: (\w+):.*/, '$1')]);
    expect(sentences).toEqual([
      [1, '', 'audit: the log key could not be made: EEXIST\n'],
      [1, '', 'audit: There is one key: no rotation is under way.\n'],
      [1, '', expect.stringMatching(/^audit: LOG_WRAPPING_KEY is not the key that the log key is wrapped under: .*\.\n$/)],
      [1, '', 'audit: LOG_WRAPPING_KEY is not valid: it must be 32 bytes in base64.\n'],
      [1, '', 'audit: LOG_WRAPPING_KEY is not set: it is required.\n'],
      [1, '', expect.stringMatching(/^audit: Usage: /)],
      [1, '', `audit: The log key ${join(folder, 'none')} cannot be read: ENOENT.\n`],
    ]);
    expect([readFileSync(file, 'utf8'), readdirSync(folder)]).toEqual([text, ['log.key']]);
  }, 30_000);
});
