import { createRequire } from 'node:module';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import './client.ts';

interface Queue {
  maybeThrottle(milliseconds: number): void;
  checkPendingRequests(): void;
  push(request: object): void;
  destroy(): void;
}

const RequestQueue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as new (options: object) => Queue;

const sent: number[] = [];
let queue: Queue;

const request = (correlationId: number) => ({
  entry: { correlationId, apiName: 'Fetch', apiKey: 1, apiVersion: 11, resolve: () => undefined, reject: () => undefined },
  expectResponse: true,
  sendRequest: () => void sent.push(correlationId),
});

beforeEach(() => {
  jest.useFakeTimers();
  sent.length = 0;
  queue = new RequestQueue({
    maxInFlightRequests: 1,
    requestTimeout: 1_000,
    enforceRequestTimeout: false,
    clientId: 'test',
    broker: 'test',
    logger: { debug: () => undefined },
  });
});

afterEach(() => {
  queue.destroy();
  jest.useRealTimers();
});

describe('a connection’s queue of requests', () => {
  it('sets no timer while no request waits', () => {
    queue.push(request(1));
    queue.checkPendingRequests();
    expect([sent, jest.getTimerCount()]).toEqual([[1], 0]);
  });

  it('sends what waits once the broker’s pause is over, and then sets no timer any more', () => {
    queue.maybeThrottle(500);
    queue.push(request(1));
    jest.advanceTimersByTime(490);
    expect(sent).toEqual([]);
    jest.advanceTimersByTime(20);
    expect([sent, jest.getTimerCount()]).toEqual([[1], 0]);
  });
});
