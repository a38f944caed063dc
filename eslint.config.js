import js from '@eslint/js';
import nx from '@nx/eslint-plugin';
import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';

const PURE_BANS = ['@nestjs/*', 'typeorm', 'pg', 'kafkajs', 'fastify', 'rxjs'];

export default tseslint.config(
  { ignores: ['**/dist/**', '**/node_modules/**', '.nx/**', '.kms/**'] },
  js.configs.recommended,
  ...tseslint.configs.strict,
  ...tseslint.configs.stylistic,
  {
    files: ['**/*.ts'],
    plugins: { '@nx': nx },
    languageOptions: { parserOptions: { projectService: false } },
    rules: {
      '@nx/enforce-module-boundaries': [
        'error',
        {
          enforceBuildableLibDependency: false,
          banTransitiveDependencies: false,
          // The journal's specs use the fakes of its ports, which are made of its types. Its other code may not: see the rule below.
          ignoredCircularDependencies: [['@kms/journal', '@kms/testing']],
          depConstraints: [
            { sourceTag: 'layer:contract', onlyDependOnLibsWithTags: [], bannedExternalImports: PURE_BANS },
            {
              sourceTag: 'layer:pure',
              onlyDependOnLibsWithTags: ['layer:contract', 'layer:pure', 'layer:testing'],
              bannedExternalImports: PURE_BANS,
            },
            { sourceTag: 'layer:platform', onlyDependOnLibsWithTags: ['layer:contract'] },
            {
              sourceTag: 'layer:adapter',
              onlyDependOnLibsWithTags: ['layer:contract', 'layer:pure', 'layer:platform', 'layer:testing'],
            },
            {
              sourceTag: 'layer:assembly',
              onlyDependOnLibsWithTags: ['layer:contract', 'layer:pure', 'layer:platform', 'layer:adapter'],
            },
            { sourceTag: 'layer:embedded', onlyDependOnLibsWithTags: ['layer:contract', 'layer:platform', 'layer:embedded'] },
            {
              sourceTag: 'layer:testing',
              onlyDependOnLibsWithTags: ['layer:contract', 'layer:pure', 'layer:platform', 'layer:adapter', 'layer:embedded'],
            },
            {
              sourceTag: 'layer:app',
              onlyDependOnLibsWithTags: [
                'layer:contract',
                'layer:pure',
                'layer:platform',
                'layer:adapter',
                'layer:assembly',
                'layer:testing',
              ],
            },
            {
              sourceTag: 'layer:tool',
              onlyDependOnLibsWithTags: [
                'layer:contract',
                'layer:pure',
                'layer:platform',
                'layer:adapter',
                'layer:embedded',
                'layer:testing',
                'scope:launcher',
              ],
            },
          ],
        },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/no-extraneous-class': 'off',
      '@typescript-eslint/consistent-type-imports': 'off',
      '@typescript-eslint/consistent-type-definitions': 'off',
      'no-restricted-syntax': [
        'error',
        { selector: 'CatchClause > BlockStatement[body.length=0]', message: 'An error that is caught is handled or passed on.' },
      ],
    },
  },
  {
    files: ['apps/{gateway,vault,audit,cli}/src/**/*.ts', 'libs/*/src/**/*.ts', 'tools/*/src/**/*.ts'],
    ignores: ['**/*.spec.ts', 'libs/testing/**', 'tools/chaos/**', 'apps/*/src/domain/**'],
    rules: { 'no-restricted-imports': ['error', { patterns: [{ group: ['@kms/testing'], message: 'Test helpers are for specs.' }] }] },
  },
  {
    files: ['libs/{merkle,evidence}/src/**/*.ts'],
    ignores: ['**/*.spec.ts', '**/*.fixture.ts', 'libs/merkle/src/node-crypto.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: [{ group: ['node:*', '@kms/testing'], message: 'It runs in browsers too: Node is in node-crypto.ts only.' }] },
      ],
      'no-restricted-globals': ['error', 'Buffer', 'process', 'setImmediate'],
    },
  },
  {
    files: ['apps/*/src/domain/**/*.ts'],
    ignores: ['**/*.spec.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              group: ['@nestjs/*', 'typeorm', 'pg', 'kafkajs', 'fastify', 'rxjs', 'node:fs*', 'node:net', 'node:http*'],
              message: 'The domain is pure.',
            },
            { group: ['@kms/postgres', '@kms/kafka', '@kms/rpc', '@kms/platform'], message: 'The domain knows ports, not adapters.' },
          ],
        },
      ],
    },
  },
  { files: ['**/*.mjs'], languageOptions: { globals: { process: 'readonly', URL: 'readonly', console: 'readonly', fetch: 'readonly' } } },
  prettier,
);
