import {
  auditData,
  MAX_USER_AGENT_BYTES,
  prepareEvent,
  type Action,
  type Caller,
  type Environment,
  type EventType,
  type Id,
  type Outcome,
} from '@kms/contracts';
import type { PlaceEvent } from '@kms/journal';
import type { Principal } from './api-key.ts';

/** What is known of a request before its key is verified. */
export interface RequestFacts {
  requestId: string;
  /** Canonical text, or null where the client's address cannot be told. */
  address: string | null;
  userAgent: string | null;
}

/** Cuts a User-Agent, one character a byte as HTTP gives it, to what a record holds. */
export const cutUserAgent = (userAgent: string | undefined) => userAgent?.slice(0, MAX_USER_AGENT_BYTES) ?? null;

/** What the gateway records: who, from where, what, how it ended. */
export interface Observation {
  type: EventType;
  action: Action;
  outcome: Outcome;
  reason: string | null;
  organizationId: Id;
  environment: Environment | null;
  apiKeyId: Id | null;
  apiKeyName: string | null;
  entry?: { entryId: Id | null; handler: string; version: number | null; revision: number | null };
}

export function gatewayEvent(id: Id, time: string, facts: RequestFacts, { type, entry, ...observed }: Observation): PlaceEvent {
  const data = auditData({ ...observed, ...facts, ...entry });
  return prepareEvent({ id, source: '/gateway', type, time, data });
}

/** The principal's part of an observation. */
export function byPrincipal({ organizationId, environment, apiKeyId, apiKeyName }: Principal) {
  return { organizationId, environment, apiKeyId, apiKeyName };
}

/** The caller as the vault records it. */
export function toCaller({ organizationId, environment, apiKeyId, apiKeyName }: Principal, facts: RequestFacts): Caller {
  const { requestId, address, userAgent } = facts;
  return { organizationId, environment, apiKeyId, apiKeyName, address, userAgent, requestId };
}
