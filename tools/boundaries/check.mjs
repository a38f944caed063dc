// Shows that the boundaries bite: each of these imports must be refused where it stands.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

const WRONG = [
  ['libs/journal/src/wrong.ts', 'pg', '@nx/enforce-module-boundaries'],
  ['libs/envelope/src/wrong.ts', '@nestjs/common', '@nx/enforce-module-boundaries'],
  ['libs/merkle/src/wrong.ts', 'pg', '@nx/enforce-module-boundaries'],
  ['libs/merkle/src/wrong.ts', 'node:fs', 'no-restricted-imports'],
  ['libs/contracts/src/wrong.ts', '@kms/platform', '@nx/enforce-module-boundaries'],
  ['libs/kafka/src/wrong.ts', '@kms/postgres', '@nx/enforce-module-boundaries'],
  ['libs/kafka/src/wrong.ts', '@kms/testing', 'no-restricted-imports'],
  ['libs/journal/src/wrong.ts', '@kms/testing', 'no-restricted-imports'],
  ['apps/vault/src/domain/wrong.ts', '@kms/postgres', 'no-restricted-imports'],
  ['apps/gateway/src/domain/wrong.ts', 'fastify', 'no-restricted-imports'],
];

// The rule reads the project graph from Nx's cache: in a fresh clone nobody has made it yet.
const graph = spawnSync(process.execPath, [join(root, 'node_modules', '.bin', 'nx'), 'show', 'projects'], { cwd: root, encoding: 'utf8' });
if (graph.status !== 0) {
  console.error(`The project graph cannot be made: ${graph.stderr || graph.stdout}`);
  process.exit(1);
}

let failed = 0;
for (const [file, imported, rule] of WRONG) {
  const source = `import * as wrong from '${imported}';\nexport const use = wrong;\n`;
  const eslint = join(root, 'node_modules', 'eslint', 'bin', 'eslint.js');
  const { stdout } = spawnSync(process.execPath, [eslint, '--format', 'json', '--stdin', '--stdin-filename', file], {
    cwd: root,
    input: source,
    encoding: 'utf8',
  });
  const rules = JSON.parse(stdout)[0].messages.map(({ ruleId }) => ruleId);
  const bites = rules.includes(rule);
  if (!bites) failed += 1;
  console.log(`${bites ? 'ok' : 'FAILED'}: ${file} may not import ${imported} (${rule})`);
}
process.exit(failed === 0 ? 0 : 1);
