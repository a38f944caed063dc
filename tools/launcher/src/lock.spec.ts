import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { lockHome } from './lock.ts';

/** Says that it is up, tries to take the lock at its parent's word, says what came of it, and lives on. */
const PROGRAM = `
  import { lockHome } from '${new URL('../dist/lock.js', import.meta.url).href}';
  process.stdin.once('data', () => {
    try {
      lockHome(process.argv[1]);
      console.log('won');
    } catch (error) {
      console.log(error.message);
    }
  });
  console.log('up');`;

let home: string;
let children: ChildProcess[];

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'kms-lock-'));
  children = [];
});

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(home, { recursive: true });
});

async function contender() {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, home], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next();
  const compete = async () => {
    child.stdin.write('go\n');
    return (await lines.next()).value as string;
  };
  return { child, compete };
}

/** Lets five processes go for the lock at the same moment. Answers the winner, once it is checked that it is the only one. */
async function compete(): Promise<ChildProcess> {
  const contenders = await Promise.all(Array.from({ length: 5 }, contender));
  const answers = await Promise.all(contenders.map((one) => one.compete()));
  expect(answers.filter((answer) => answer === 'won')).toHaveLength(1);
  const winner = contenders[answers.indexOf('won')] as (typeof contenders)[number];
  const refusal = `Another Donutwork KMS (process ${winner.child.pid}) uses this KMS_HOME already.`;
  expect(answers.filter((answer) => answer !== 'won')).toEqual(Array.from({ length: 4 }, () => refusal));
  return winner.child;
}

describe('the lock of a home', () => {
  it('is taken by one of five that start at the same moment, and taken over by one of five once that one was killed', async () => {
    for (let round = 0; round < 3; round += 1) {
      const winner = await compete();
      const exit = once(winner, 'exit');
      winner.kill('SIGKILL');
      await exit;
    }
    expect(readdirSync(home)).toEqual(['launcher.3.lock']);
  });

  it('can be given back and taken again, and is nobody else’s meanwhile', () => {
    const release = lockHome(home);
    expect(() => lockHome(home)).toThrow(`process ${process.pid}`);
    release();
    lockHome(home)();
    expect(readdirSync(home)).toEqual(['launcher.2.lock']);
  });

  it('is not held by a process that only has its holder’s number', () => {
    writeFileSync(join(home, 'launcher.7.lock'), `${process.pid} 1 another-boot`);
    lockHome(home)();
    expect(readdirSync(home)).toEqual(['launcher.8.lock']);
  });
});
