import type { Address } from '@kms/access';
import { isHandler, VaultCall, type Id, type RevealedContent, type RevealReply } from '@kms/contracts';
import type { Journal } from '@kms/journal';
import type { Principal } from '../domain/api-key.ts';
import { byPrincipal, gatewayEvent, toCaller, type RequestFacts } from '../domain/audit-event.ts';
import { decideReveal, type KnownPolicy, type RevealDenial } from '../domain/decide-reveal.ts';
import { auditUnavailable, unauthorizedReveal, unknownEntry, vaultUnavailable, type HttpError } from '../domain/http-error.ts';
import { RpcError } from '@kms/rpc';
import { within } from '../within.ts';
import type { Peer, PolicyCache } from './policy-cache.ts';

/** What a reveal may take from its request's headers on, in milliseconds: the contract's 2 s, less what stands around it. */
export const REVEAL_DEADLINE_MS = 1_800;
/** How often a reveal is decided anew because the policy changed under it, before it is given up. */
const MAX_ROUNDS = 5;

export interface RevealDependencies {
  vault: Peer;
  policies: PolicyCache;
  journal: Pick<Journal, 'append'>;
  nextId: () => Id;
}

export interface RevealCall {
  /** When the request's headers were read, on the policies' clock. */
  receivedAt: number;
  principal: Principal;
  facts: RequestFacts;
  address: Address | null;
  handler: string;
  version: number | null;
}

/** What a reveal answers, and the receipt of its record. */
export interface Revealed {
  body: RevealedContent;
  receipt: string;
}

/** Reveals a secret, or records the refusal durably and throws {@link HttpError}. */
export class RevealSecret {
  /** How many reveals have ended so. */
  readonly outcomes: Record<'revealed' | RevealDenial | 'audit-unavailable' | 'vault-unavailable', number> = {
    revealed: 0,
    'unknown-handler': 0,
    'not-whitelisted': 0,
    disabled: 0,
    expired: 0,
    'unknown-version': 0,
    'audit-unavailable': 0,
    'vault-unavailable': 0,
  };

  constructor(readonly dependencies: RevealDependencies) {}

  async reveal(call: RevealCall): Promise<Revealed> {
    const { policies } = this.dependencies;
    const deadline = call.receivedAt + REVEAL_DEADLINE_MS;
    if (!isHandler(call.handler)) throw await this.#denied(call, null, 'unknown-handler');
    const key = { organizationId: call.principal.organizationId, environment: call.principal.environment, handler: call.handler };
    let policy = await this.#reachable(policies.known(key));
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      if (decideReveal(policy, call.address, Date.now()) !== null) policy = await this.#reachable(policies.fresh(key));
      const denial = decideReveal(policy, call.address, Date.now());
      if (denial !== null || policy === null) throw await this.#denied(call, policy, denial ?? 'unknown-handler');
      const askedAt = policies.clock();
      const reply = await this.#ask(call, policy, deadline - askedAt);
      if (reply.status === 'revealed') {
        this.outcomes.revealed += 1;
        return { body: toContent(reply), receipt: reply.receipt };
      }
      if (reply.status === 'audit-unavailable') {
        this.outcomes['audit-unavailable'] += 1;
        throw auditUnavailable();
      }
      if (reply.status === 'unknown-version') throw await this.#denied(call, policy, 'unknown-version');
      policy = policies.learn(key, reply.policy, askedAt);
    }
    this.outcomes['vault-unavailable'] += 1;
    throw vaultUnavailable();
  }

  #ask({ principal, facts, handler, version }: RevealCall, { revision }: KnownPolicy, timeoutMs: number): Promise<RevealReply> {
    const request = { caller: toCaller(principal, facts), handler, revision, version };
    return this.#reachable(this.dependencies.vault.call<RevealReply>(VaultCall.Reveal, request, timeoutMs));
  }

  async #denied(
    { receivedAt, principal, facts, handler, version }: RevealCall,
    policy: KnownPolicy | null,
    reason: RevealDenial,
  ): Promise<HttpError> {
    const { journal, nextId, policies } = this.dependencies;
    const event = gatewayEvent(nextId(), new Date().toISOString(), facts, {
      type: 'kms.secret.reveal-denied.v1',
      action: 'reveal',
      outcome: 'denied',
      reason,
      ...byPrincipal(principal),
      entry: { entryId: policy?.entryId ?? null, handler, version, revision: policy?.revision ?? null },
    });
    const left = receivedAt + REVEAL_DEADLINE_MS - policies.clock();
    try {
      await within(left, journal.append(event), () => new Error('The refusal was not durable in time.'));
    } catch (error) {
      this.outcomes['audit-unavailable'] += 1;
      throw auditUnavailable(error);
    }
    this.outcomes[reason] += 1;
    return reason === 'unknown-handler' || reason === 'unknown-version' ? unknownEntry() : unauthorizedReveal();
  }

  /**
   * Waits for the vault. One that took the call and does not answer it, or could not carry it out because its database is away, made no
   * record that is known of: that is what the client is told, whichever step of the reveal noticed it.
   */
  async #reachable<T>(answer: T | Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      const wasTaken = error instanceof RpcError && (error.code === 'timeout' || error.code === 'failed');
      this.outcomes[wasTaken ? 'audit-unavailable' : 'vault-unavailable'] += 1;
      throw wasTaken ? auditUnavailable(error) : vaultUnavailable(error);
    }
  }
}

const toContent = ({ content, encoding }: RevealReply & { status: 'revealed' }): RevealedContent =>
  encoding === 'base64' ? { content, encoding } : { content };
