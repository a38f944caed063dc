import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from '@jest/globals';
import { ROOT, type Suite } from './suite.ts';

/** The README's fenced shell blocks, as they are printed. */
export function readmeBlocks(): string[] {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  return [...readme.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block as string);
}

/**
 * Runs lines of the README in the folder that holds `.kms`, and answers what they print. Only the port is another one: the README's own
 * may be taken. Node's stand-in for curl is used where the machine has no curl, or where `PATH` is to begin with it.
 */
export function runShell(lines: string, suite: Suite, { standInFirst = false } = {}): string {
  const folder = join(suite.folder, 'bin');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'curl'), `#!/bin/sh\nexec node '${fileURLToPath(new URL('curl.mjs', import.meta.url))}' "$@"\n`);
  chmodSync(join(folder, 'curl'), 0o755);
  const { PATH } = process.env;
  const { stdout, stderr, status } = spawnSync('sh', ['-e', '-c', lines.replace(':3000/', `:${suite.port}/`)], {
    cwd: suite.folder,
    env: { PATH: standInFirst ? `${folder}:${PATH}` : `${PATH}:${folder}` },
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([0, '']);
  return stdout;
}
