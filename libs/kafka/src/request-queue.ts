import { createRequire } from 'node:module';

/** A connection's queue of requests in kafkajs, as far as it is put right here. */
interface RequestQueue {
  readonly pending: readonly unknown[];
  scheduleCheckPendingRequests(): void;
}

const { prototype: queue } = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as { prototype: RequestQueue };
const schedule = queue.scheduleCheckPendingRequests;

/**
 * kafkajs 2.2.4 looks for waiting requests after each look, every millisecond and for ever, whether any wait or not (its issues 1556 and
 * 1704): 5 % of a core for each process that has a connection. A request that has to wait asks for the look itself, so that there is
 * nothing to look for while none does.
 */
queue.scheduleCheckPendingRequests = function scheduleWhereOneWaits(this: RequestQueue): void {
  if (this.pending.length > 0) schedule.call(this);
};
