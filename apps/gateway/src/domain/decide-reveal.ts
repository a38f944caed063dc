import { allowsAddress, type Address, type Whitelist } from '@kms/access';
import type { Policy } from '@kms/contracts';

/** A policy with its whitelist compiled, and when it was asked for (milliseconds on a clock that never goes back). */
export interface KnownPolicy extends Policy {
  allows: Whitelist;
  askedAt: number;
}

export type RevealDenial = 'unknown-handler' | 'not-whitelisted' | 'disabled' | 'expired' | 'unknown-version';

/** Decides a reveal by a policy; `null` grants it. No policy, no address, an empty whitelist: nobody gets in. `now` is wall-clock time. */
export function decideReveal(policy: KnownPolicy | null, address: Address | null, now: number): RevealDenial | null {
  if (policy === null) return 'unknown-handler';
  if (!allowsAddress(policy.allows, address)) return 'not-whitelisted';
  if (!policy.enabled) return 'disabled';
  if (policy.expiresAt !== null && policy.expiresAt <= now) return 'expired';
  return null;
}
