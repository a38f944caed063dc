import type { IncomingMessage } from 'node:http';
import type { Address } from '@kms/access';
import type { ApiAccessPermission, Id } from '@kms/contracts';
import type { Journal, PlaceEvent } from '@kms/journal';
import type { AuthenticationFailure, Principal } from '../domain/api-key.ts';
import { byPrincipal, gatewayEvent, type RequestFacts } from '../domain/audit-event.ts';
import { auditUnavailable, forbidden, invalidToken } from '../domain/http-error.ts';
import { within } from '../within.ts';
import { ApiKeyVerifier, type StoredKeys } from './api-key-verifier.ts';
import { observe, type RequestContext } from './request-context.ts';

/** Longest wait for a refusal's record, in milliseconds: with the look-up of the key before it, it stays within the contract's 2 s. */
const RECORD_TIMEOUT_MS = 900;
const BEARER = /^Bearer ([\x21-\x7e]{1,256})$/i;

export interface GateDependencies {
  keys: StoredKeys;
  journal: Pick<Journal, 'append'>;
  pepper: string;
  isTrustedProxy: (address: Address) => boolean;
  operatorOrganizationId: Id;
  nextId: () => Id;
}

/** Who may come in: the one place that decides it, whichever way a request comes. */
export class Gate {
  readonly #verifier: ApiKeyVerifier;

  constructor(readonly dependencies: GateDependencies) {
    this.#verifier = new ApiKeyVerifier(dependencies.keys, dependencies.pepper);
  }

  /**
   * Lets a request in whose key is valid and has the permission. Else throws HttpError, and only after the refusal is recorded durably.
   * Reads the request's headers and its peer's address, never its body.
   */
  async admit(request: IncomingMessage, requestId: string, permission: ApiAccessPermission): Promise<RequestContext> {
    const { facts, address } = observe(request, requestId, this.dependencies.isTrustedProxy);
    const principal = await this.#authenticate(request.headers.authorization, facts);
    if (!principal.permissions.has(permission)) {
      await this.#recordMissingPermission(principal, facts);
      throw forbidden();
    }
    return { facts, address, principal };
  }

  async #authenticate(authorization: string | undefined, facts: RequestFacts): Promise<Principal> {
    const [, token = ''] = BEARER.exec(authorization ?? '') ?? [];
    // The keys are where this service's journal is: who cannot be known cannot be recorded either.
    const verified = await this.#verifier.verify(token, Date.now()).catch((error: unknown) => {
      throw auditUnavailable(error);
    });
    if ('principal' in verified) return verified.principal;
    await this.#recordFailure(verified.failure, verified.id, facts);
    throw invalidToken();
  }

  /** The failure belongs to the operator's organization: whose key it would be is not known, or not proven. */
  #recordFailure(reason: AuthenticationFailure, apiKey: Id | null, facts: RequestFacts): Promise<void> {
    const { nextId, operatorOrganizationId } = this.dependencies;
    const event = gatewayEvent(nextId(), new Date().toISOString(), facts, {
      type: 'kms.request.refused.v1',
      action: 'authenticate',
      outcome: 'denied',
      reason: `${reason}-key`,
      organizationId: operatorOrganizationId,
      environment: null,
      apiKeyId: apiKey,
      apiKeyName: null,
    });
    return this.#record(event);
  }

  #recordMissingPermission(principal: Principal, facts: RequestFacts): Promise<void> {
    const event = gatewayEvent(this.dependencies.nextId(), new Date().toISOString(), facts, {
      type: 'kms.request.refused.v1',
      action: 'authenticate',
      outcome: 'denied',
      reason: 'missing-permission',
      ...byPrincipal(principal),
    });
    return this.#record(event);
  }

  async #record(event: PlaceEvent): Promise<void> {
    try {
      await within(RECORD_TIMEOUT_MS, this.dependencies.journal.append(event), () => new Error('The refusal was not durable in time.'));
    } catch (error) {
      throw auditUnavailable(error);
    }
  }
}
