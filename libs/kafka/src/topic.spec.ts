import { describe, expect, it } from '@jest/globals';
import { untilLed } from './topic.ts';

/** An admin whose brokers do not know of a topic the first `failures` times. */
function slowBrokers(failures: number) {
  let asked = 0;
  return {
    fetchTopicMetadata: () => {
      asked += 1;
      return asked > failures
        ? Promise.resolve({ topics: [] })
        : Promise.reject(new Error('This server does not host this topic-partition'));
    },
    asked: () => asked,
  };
}

describe('a new topic', () => {
  it('is waited for until the brokers know of it', async () => {
    const brokers = slowBrokers(3);
    await untilLed(brokers, 'topic');
    expect(brokers.asked()).toBe(4);
  });

  it('that the brokers never know of is an error', async () => {
    await expect(untilLed(slowBrokers(Infinity), 'topic', 0)).rejects.toThrow('does not host');
  });
});
