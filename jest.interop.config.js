import base from './jest.config.js';

/** What needs more than Node: other people's implementations. See `npm run test:interop`. */
export default { ...base, testMatch: ['<rootDir>/**/*-interop.int.spec.ts'], testPathIgnorePatterns: ['/node_modules/', '/dist/'] };
