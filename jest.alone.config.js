import base from './jest.config.js';

/** What loads the machine by itself and judges what a loaded suite does: one spec at a time, with nothing beside it. See `npm run test:alone`. */
export default {
  ...base,
  testMatch: ['<rootDir>/tools/{bench,chaos}/**/*.int.spec.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/dist/'],
  maxWorkers: 1,
};
