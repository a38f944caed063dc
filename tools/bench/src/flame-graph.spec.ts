import { describe, expect, it } from '@jest/globals';
import { hottest, toFrames, toPage, type CpuProfile } from './flame-graph.ts';

const frame = (functionName: string, url = '', lineNumber = 0) => ({ functionName, url, lineNumber });

/** root → main (twice: V8 keeps optimized code apart) → hash, and the time in which nothing was to do. */
const PROFILE: CpuProfile = {
  nodes: [
    { id: 1, callFrame: frame('(root)'), children: [2, 3, 6] },
    { id: 2, callFrame: frame('main', 'file:///somewhere/apps/vault/dist/main.js', 9), children: [4] },
    { id: 3, callFrame: frame('main', 'file:///somewhere/apps/vault/dist/main.js', 9), children: [5] },
    { id: 4, callFrame: frame('hash', 'node:crypto', 1) },
    { id: 5, callFrame: frame('hash', 'node:crypto', 1) },
    { id: 6, callFrame: frame('(idle)') },
  ],
  samples: [2, 4, 6, 5, 3],
  timeDeltas: [1_000, 10, 20, 400, 30, 50],
};

describe('a flame graph', () => {
  it('adds up what each function took, from one look to the next, and leaves waiting out', () => {
    const root = toFrames(PROFILE);
    expect(root.totalUs).toBe(10 + 20 + 30 + 50);
    const [main] = root.children;
    expect(main).toMatchObject({ name: 'main apps/vault/dist/main.js:10', selfUs: 60, totalUs: 110 });
    expect(main?.children).toEqual([{ name: 'hash node:crypto:2', selfUs: 50, totalUs: 50, children: [] }]);
    expect(root.children).toHaveLength(1);
    expect(hottest(root, 1)).toEqual([{ name: 'main apps/vault/dist/main.js:10', part: 60 / 110 }]);
  });

  it('of nothing is empty', () => {
    expect(toFrames({ nodes: [], samples: [], timeDeltas: [] })).toEqual({ name: 'all', selfUs: 0, totalUs: 0, children: [] });
  });

  it('is a page that needs nothing else, and that a name cannot break', () => {
    const page = toPage('a<b', { name: '</script><b>', selfUs: 1, totalUs: 1, children: [] });
    expect(page.match(/<\/script>/g)).toHaveLength(1);
    expect(page).toContain('<title>a&lt;b</title>');
    expect(page).not.toMatch(/src=|href=/);
  });
});
