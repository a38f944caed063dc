import { SECONDS, type Distribution, type Metrics } from '@kms/platform';
import type { OnCall } from './server-connection.ts';

/** What calls answer as their `status`, and `failed` for those that threw. Anything else counts as `ok`. */
const OUTCOMES = ['ok', 'refused', 'revealed', 'policy-changed', 'unknown-version', 'audit-unavailable', 'failed'] as const;
const KNOWN: ReadonlySet<unknown> = new Set(OUTCOMES);

/** Times a server's calls by their pattern and outcome, for {@link FramesServerOptions.onCall}. Only patterns that have a handler come here. */
export function observeCalls(metrics: Metrics): OnCall {
  const calls = new Map<string, Map<string, Distribution>>();
  const begin = (call: string, outcome: string) => {
    const labels = { call, outcome };
    const seconds = metrics.distribution('kms_rpc_call_seconds', 'How long a call of another service took here', SECONDS, labels);
    const outcomes = calls.get(call) ?? new Map<string, Distribution>();
    calls.set(call, outcomes.set(outcome, seconds));
    return seconds;
  };
  return (call, milliseconds, answer, hasFailed) => {
    const outcome = hasFailed ? 'failed' : outcomeOf(answer);
    (calls.get(call)?.get(outcome) ?? begin(call, outcome)).observe(milliseconds / 1_000);
  };
}

function outcomeOf(answer: unknown): string {
  const { status } = (answer ?? {}) as { status?: unknown };
  return KNOWN.has(status) ? (status as string) : 'ok';
}
