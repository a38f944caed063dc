// Plain JavaScript that any Node can read: it checks the ground before anything newer is loaded.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const REQUIRED = [20, 19, 0];
const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const [major, minor, patch] = process.versions.node.split('.').map(Number);
const isTooOld = major < REQUIRED[0] || (major === REQUIRED[0] && (minor < REQUIRED[1] || (minor === REQUIRED[1] && patch < REQUIRED[2])));

function refuse(sentence) {
  process.stderr.write(sentence + '\n');
  process.exit(1);
}

if (isTooOld) refuse('Node ' + process.versions.node + ' is too old: ' + REQUIRED.join('.') + ' or newer is needed.');
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
if (!existsSync(compiler)) refuse('The dependencies are not installed: run npm ci first.');
const build = spawnSync(process.execPath, [compiler, '-b'], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
if (build.status !== 0) refuse('The build failed: the lines above say why.');
await import('./dist/main.js');
