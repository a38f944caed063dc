import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { KeptFiles, KeptMeanwhileError } from './kept-files.ts';

let folder: string;
let files: KeptFiles;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kms-kept-'));
  files = new KeptFiles(join(folder, 'state'));
  await files.prepare();
});
afterEach(() => rmSync(folder, { recursive: true }));

const keep = async (text: string) => files.replace('thing', await files.read('thing'), Buffer.from(text));
const kept = async () => (await files.read('thing'))?.bytes.toString() ?? null;
const listed = () => readdirSync(join(folder, 'state', 'thing'));

describe('kept files', () => {
  it('hold the last state of each thing, and no other', async () => {
    expect(await kept()).toBeNull();
    for (const text of ['first', 'second', 'third']) await keep(text);
    expect([await kept(), listed()]).toEqual(['third', ['3']]);
    expect(await files.read('other')).toBeNull();
  });

  it('are replaced by one of several processes that read the same state', async () => {
    for (let round = 0; round < 20; round += 1) {
      const previous = await files.read('thing');
      const others = Array.from({ length: 8 }, () => new KeptFiles(join(folder, 'state')));
      const outcomes = await Promise.allSettled(
        others.map((one, index) => one.replace('thing', previous, Buffer.from(`${round} ${index}`))),
      );
      const winners = outcomes.flatMap(({ status }, index) => (status === 'fulfilled' ? [`${round} ${index}`] : []));
      expect([winners.length, await kept()]).toEqual([1, winners[0]]);
      for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(KeptMeanwhileError);
    }
  });

  it('are never gone back from by a process that read long ago', async () => {
    await keep('first');
    const longAgo = await files.read('thing');
    for (const text of ['second', 'third', 'fourth']) await keep(text);
    // Its number is free: the file that had it was removed since.
    await expect(files.replace('thing', longAgo, Buffer.from('late'))).rejects.toThrow(KeptMeanwhileError);
    expect([await kept(), listed()]).toEqual(['fourth', ['4']]);
  });

  it('are as they were after an end in between, whose rest is cleared away', async () => {
    await keep('first');
    writeFileSync(join(folder, 'state', 'thing', '0123456789abcdef.new'), 'half');
    expect(await kept()).toBe('first');
    await keep('second');
    expect([await kept(), listed()]).toEqual(['second', ['2']]);
  });
});
