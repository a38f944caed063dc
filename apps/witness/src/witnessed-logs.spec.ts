import { describe, expect, it } from '@jest/globals';
import { logKey, NAME, ORIGIN } from './log.fixture.ts';
import { parseWitnessedLogs } from './witnessed-logs.ts';

const namesOf = (text: string, origin: string) => parseWitnessedLogs(text).keysOf(origin).length;

describe('the list of witnessed logs', () => {
  it('names logs one by one, and all organizations of a deployment', () => {
    const all = `# all organizations\n\n${NAME}/* ${logKey(1)}\n${NAME}/* ${logKey(2)}\nother ${logKey(3, 'other')}\n`;
    expect(namesOf(all, ORIGIN)).toBe(2);
    expect(namesOf(all, 'other')).toBe(1);
    for (const origin of [
      NAME,
      `${NAME}/`,
      `${NAME}/*`,
      `${NAME}/${'1'.repeat(23)}`,
      `${NAME}/${'A'.repeat(24)}`,
      `${NAME}/x/${'1'.repeat(24)}`,
      `x/${ORIGIN}`,
    ])
      expect([origin, namesOf(all, origin)]).toEqual([origin, 0]);
  });

  it('takes what it says of a log itself before what it says of all', () => {
    const both = parseWitnessedLogs(`${NAME}/* ${logKey(1)}\n${ORIGIN} ${logKey(2)}`);
    expect(both.keysOf(ORIGIN)).toHaveLength(1);
    expect(both.keysOf(ORIGIN)[0]?.keyId).toBe(parseWitnessedLogs(`x ${logKey(2)}`).keysOf('x')[0]?.keyId);
  });

  it.each([
    ['nothing', '', /must name a log/],
    ['comments alone', '# nothing\n', /must name a log/],
    ['no key', ORIGIN, /an origin, a space and a public key/],
    ['a key with a slip in it', `${ORIGIN} ${logKey(1).replace('+A', '+B')}`, /.+/],
    ['all organizations of another name than the key’s', `other.example/audit/* ${logKey(1)}`, /must be the name of the key/],
  ])('is refused with %s', (_what, text, sentence) => {
    expect(() => parseWitnessedLogs(text)).toThrow(sentence);
  });
});
