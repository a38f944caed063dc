import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { writePack } from '@kms/evidence';
import { parseCheckpoint, parseNote } from '@kms/merkle';
import { MadeLog, makeRecords, ORIGIN, seeded, verifierKey } from '@kms/testing/made-log';

/*
 * What the commands load, as Node tells it: the built program runs with a hook that writes down every module.
 */

const HOOK = `
  import { appendFileSync } from 'node:fs';
  export const load = (url, context, next) => (appendFileSync(process.env.MODULES, url + '\\n'), next(url, context));`;
const inUrl = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;
const REGISTER = inUrl(`import { register } from 'node:module'; register(${JSON.stringify(inUrl(HOOK))});`);

let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kms-commands-'));
  const log = await new MadeLog(makeRecords(300, seeded(300))).sign();
  const write = async (path: string, bytes: Uint8Array) => {
    mkdirSync(dirname(join(folder, 'pack', path)), { recursive: true });
    writeFileSync(join(folder, 'pack', path), bytes);
  };
  await writePack(log, { write }, { keys: [verifierKey()] });
});

afterAll(() => rmSync(folder, { recursive: true }));

/** Runs `kms-audit`: its exit code, its first line, and the packages and the workspace's own projects whose modules were loaded. */
function run(...args: string[]): { code: number | null; line: string; loaded: string[] } {
  const modules = join(folder, 'modules');
  writeFileSync(modules, '');
  const { status, stdout } = spawnSync(process.execPath, ['--import', REGISTER, 'apps/cli/bin/kms-audit.mjs', ...args], {
    env: { ...process.env, NODE_OPTIONS: '', MODULES: modules },
    encoding: 'utf8',
  });
  const urls = readFileSync(modules, 'utf8').split('\n');
  const names = urls.map((url) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)|\/(?:apps|libs)\/([^/]+)\/(?:dist|bin)\//.exec(url));
  const loaded = new Set(names.flatMap((name) => name?.[1] ?? (name?.[2] === undefined ? [] : `@kms/${name[2]}`)));
  return { code: status, line: stdout.split('\n', 1)[0] as string, loaded: [...loaded].sort() };
}

describe('kms-audit', () => {
  it('verifies a pack without loading a client of a database or a broker, or a framework', () => {
    expect(run('verify', join(folder, 'pack'), '--key', verifierKey())).toEqual({
      code: 0,
      line: expect.stringMatching(/^ok: 300 records/),
      loaded: ['@kms/cli', '@kms/contracts', '@kms/evidence', '@kms/merkle', 'zod'],
    });
  });

  it('verifies in an installation that has what it loads and nothing else, where other commands say that they need more', () => {
    const packages = join(folder, 'node_modules');
    for (const project of ['apps/cli', 'libs/contracts', 'libs/evidence', 'libs/merkle'])
      cpSync(project, join(packages, '@kms', basename(project)), {
        recursive: true,
        filter: (path) => !/[\\/](?:src|node_modules)$/.test(path),
      });
    cpSync('node_modules/zod', join(packages, 'zod'), { recursive: true });
    const call = (...args: string[]) =>
      spawnSync(process.execPath, [join(packages, '@kms/cli/bin/kms-audit.mjs'), ...args], { encoding: 'utf8' });
    expect(call('verify', join(folder, 'pack'), '--key', verifierKey())).toMatchObject({ status: 0, stderr: '' });
    expect(call('fsck')).toMatchObject({
      status: 2,
      stdout: '',
      stderr: 'kms-audit fsck needs packages that are not here: it needs the whole installation.\n',
    });
  });

  it('verifies a part of a pack in a thread, and tells of one that is bad by null', () => {
    const { size, root } = parseCheckpoint(parseNote(readFileSync(join(folder, 'pack', 'checkpoint'))).text);
    const inThread = (tree: { size: number; root: Uint8Array }) => {
      const part = JSON.stringify({ origin: ORIGIN, tree: { size: tree.size, root: [...tree.root] }, from: 256, to: 300 });
      const program = `
        import { inThread } from './apps/cli/dist/verify/in-thread.js';
        const part = ${part};
        const asked = { ...part, tree: { ...part.tree, root: new Uint8Array(part.tree.root) } };
        const state = await inThread(${JSON.stringify(join(folder, 'pack'))}).verify(asked, new AbortController().signal);
        console.log(state === null ? 'null' : state.writers.reduce((sum, { records }) => sum + records, 0));`;
      return spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' }).stdout;
    };
    expect(inThread({ size, root })).toBe('44\n');
    expect(inThread({ size, root: new Uint8Array(32) })).toBe('null\n');
  });

  it('loads nothing for its list of commands', () => {
    expect(run('--help')).toMatchObject({ code: 0, loaded: ['@kms/cli'] });
  });

  it('loads what follow and fsck need where they are called', () => {
    const { code, loaded } = run('fsck', '--help');
    expect(code).toBe(0);
    expect(loaded).toEqual(expect.arrayContaining(['kafkajs', 'pg']));
  });
});
