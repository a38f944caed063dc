import { compileWhitelist, parseRange } from '@kms/access';
import { VaultCall, type Environment, type Handler, type Id, type Policy, type PolicyReply } from '@kms/contracts';
import { LRUCache } from 'lru-cache';
import type { KnownPolicy } from '../domain/decide-reveal.ts';

/** The oldest policy that a refusal may be decided on, in milliseconds (design rule 2). */
export const REFUSAL_MAX_AGE_MS = 250;
/** Most that is kept, in bytes: more than 100,000 policies with short whitelists. */
const MAX_BYTES = 192 * 1_048_576;
/** What a policy takes beside its whitelist, and for each of its ranges, in bytes, measured. */
const POLICY_BYTES = 1_700;
const RANGE_BYTES = 128;

export interface PolicyKey {
  organizationId: Id;
  environment: Environment;
  handler: Handler;
}

/** Longest wait for a policy, in milliseconds: less than half of what a reveal may take, since a reveal comes after it. */
const POLICY_TIMEOUT_MS = 800;

/** Calls a peer: `pattern`, payload, answer. `timeoutMs` is for the call in all. */
export interface Peer {
  call<T>(pattern: string, payload: unknown, timeoutMs?: number): Promise<T>;
}

/**
 * Policies by handler. A grant may be decided on one of any age, because the vault checks its revision in the commit; a refusal may not,
 * so it asks again first. What does not exist is not kept.
 */
export class PolicyCache {
  readonly #policies = new LRUCache<string, KnownPolicy>({ maxSize: MAX_BYTES });
  readonly lookups = { hit: 0, miss: 0 };
  readonly #asking = new Map<string, Promise<KnownPolicy | null>>();

  constructor(
    readonly vault: Peer,
    readonly clock: () => number = () => performance.now(),
  ) {}

  /** The policy as far as it is known, else asked for. */
  known(key: PolicyKey): KnownPolicy | null | Promise<KnownPolicy | null> {
    const known = this.#policies.get(keyText(key));
    this.lookups[known === undefined ? 'miss' : 'hit'] += 1;
    return known ?? this.#ask(key);
  }

  /** The policy, at most 250 ms old. */
  fresh(key: PolicyKey): KnownPolicy | Promise<KnownPolicy | null> {
    const known = this.#policies.get(keyText(key));
    return known !== undefined && this.clock() - known.askedAt <= REFUSAL_MAX_AGE_MS ? known : this.#ask(key);
  }

  /** Takes over what the vault said in answer to a call that was made at `askedAt`. */
  learn(key: PolicyKey, policy: Policy | null, askedAt: number): KnownPolicy | null {
    if (policy === null) {
      this.#policies.delete(keyText(key));
      return null;
    }
    const known = { ...policy, allows: compileWhitelist(policy.whitelist.map(parseRange)), askedAt };
    this.#policies.set(keyText(key), known, { size: POLICY_BYTES + policy.whitelist.length * RANGE_BYTES });
    return known;
  }

  /** One question at a time for a handler; those who ask meanwhile share its answer. */
  #ask(key: PolicyKey): Promise<KnownPolicy | null> {
    const text = keyText(key);
    const asking = this.#asking.get(text);
    if (asking !== undefined) return asking;
    const askedAt = this.clock();
    const answer = this.vault
      .call<PolicyReply>(VaultCall.Policy, key, POLICY_TIMEOUT_MS)
      .then(({ policy }) => this.learn(key, policy, askedAt))
      .finally(() => this.#asking.delete(text));
    this.#asking.set(text, answer);
    return answer;
  }
}

const keyText = ({ organizationId, environment, handler }: PolicyKey) => `${organizationId}/${environment}/${handler}`;
