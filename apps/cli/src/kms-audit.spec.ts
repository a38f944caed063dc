import { describe, expect, it } from '@jest/globals';
import { CannotRunError, EXIT, parseArguments, type Context, type ListedCommand } from './command.ts';
import { kmsAudit } from './kms-audit.ts';

const COMMANDS: Record<string, ListedCommand> = {
  check: {
    summary: 'Checks it.',
    load: async () => ({
      help: 'kms-audit check <file> [--deep]\n',
      run: async (args, { print }) => {
        const { values, positionals } = parseArguments({ args: [...args], options: { deep: { type: 'boolean' } }, allowPositionals: true });
        if (positionals[0] === 'missing') throw new CannotRunError('There is no such file.');
        if (positionals[0] === 'defect') throw new Error('defect');
        print(`deep ${values.deep}`);
        return EXIT.bad;
      },
    }),
  },
};

async function run(...args: string[]): Promise<{ code: number; printed: string; noted: string }> {
  const [printed, noted]: [string[], string[]] = [[], []];
  const context: Context = {
    environment: {},
    signal: new AbortController().signal,
    print: (line) => printed.push(line),
    note: (line) => noted.push(line),
  };
  const code = await kmsAudit(args, COMMANDS, context);
  return { code, printed: printed.join('\n'), noted: noted.join('\n') };
}

describe('kms-audit', () => {
  it('runs the command that is named, and ends with its exit code', async () => {
    expect(await run('check', 'file', '--deep')).toEqual({ code: 1, printed: 'deep true', noted: '' });
  });

  it('lists its commands, and says what one of them takes', async () => {
    expect(await run('--help')).toMatchObject({ code: 0, printed: expect.stringContaining('  check  Checks it.') });
    expect(await run()).toMatchObject({ code: 2, printed: expect.stringContaining('kms-audit <command>') });
    expect(await run('check', 'file', '--help')).toEqual({ code: 0, printed: 'kms-audit check <file> [--deep]', noted: '' });
  });

  it.each([
    [['chekc'], 'There is no command of that name: kms-audit --help lists them.'],
    [['toString'], 'There is no command of that name: kms-audit --help lists them.'],
    [['check', '--deeep'], "Unknown option '--deeep'. kms-audit check --help says more."],
    [['check', '--deep=1'], "Option '--deep' does not take an argument. kms-audit check --help says more."],
    [['check', 'missing'], 'There is no such file.'],
  ])('answers %j with one sentence and 2', async (args, sentence) => {
    expect(await run(...args)).toEqual({ code: 2, printed: '', noted: sentence });
  });

  it('hides no defect', async () => {
    await expect(run('check', 'defect')).rejects.toThrow('defect');
  });
});
