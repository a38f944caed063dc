import { describe, expect, it } from '@jest/globals';
import { StallDetector } from './stall-detector.ts';

const waiting = { position: 5n, attempts: 1, high: 9n };

describe('a stall detector', () => {
  it('finds a reader that has messages and neither moves nor tries for the whole time', () => {
    let now = 0;
    const detector = new StallDetector(60, () => now);
    expect(detector.isStalled(0, waiting)).toBe(false);
    now = 59;
    expect(detector.isStalled(0, waiting)).toBe(false);
    now = 60;
    expect(detector.isStalled(0, waiting)).toBe(true);
  });

  it.each([
    ['moves', { ...waiting, position: 6n }],
    ['tries', { ...waiting, attempts: 2 }],
    ['has nothing to read', { ...waiting, position: 9n }],
  ])('starts its time anew where the reader %s', (_what, standing) => {
    let now = 0;
    const detector = new StallDetector(60, () => now);
    detector.isStalled(0, waiting);
    now = 59;
    expect(detector.isStalled(0, standing)).toBe(false);
    now = 118;
    expect(detector.isStalled(0, standing)).toBe(false);
  });

  it('starts anew for everybody after a reset', () => {
    let now = 0;
    const detector = new StallDetector(60, () => now);
    detector.isStalled(0, waiting);
    detector.reset();
    now = 100;
    expect(detector.isStalled(0, waiting)).toBe(false);
  });
});
