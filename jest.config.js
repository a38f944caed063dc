/**
 * Specs of what only Apache Kafka has, which needs Java, run where `KMS_TEST_KAFKA` is `apache`. There the ones to which no broker makes a
 * difference are left out, and the one of what the journals bring back without it: the run against the stand-in has them.
 */
const IGNORED =
  process.env.KMS_TEST_KAFKA === 'apache'
    ? ['/(?:containers|evidence|launcher|metrics|own-databases|proofs|restore|retention|traces|witness)\\.e2e\\.spec\\.ts$']
    : ['\\.apache\\.spec\\.ts$'];

/** One run over the whole workspace: unit, property, integration (`*.int.spec.ts`) and end-to-end (`*.e2e.spec.ts`) specs. */
export default {
  testEnvironment: 'node',
  testEnvironmentOptions: { customExportConditions: ['@kms/source', 'node', 'node-addons'] },
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2023',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
        },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  testMatch: ['<rootDir>/{apps,libs,tools}/**/*.spec.ts'],
  testPathIgnorePatterns: [
    '/node_modules/',
    '/dist/',
    '-interop\\.int\\.spec\\.ts$',
    '/tools/(?:bench|chaos)/.*\\.int\\.spec\\.ts$',
    ...IGNORED,
  ],
  modulePathIgnorePatterns: ['/dist/'],
  testTimeout: 30_000,
  maxWorkers: 2,
};
