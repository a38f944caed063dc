import { prepareEvent, type Action, type AuditData, type Caller, type EventType, type Id } from '@kms/contracts';
import type { PlaceEvent } from '@kms/journal';
import type { Entry, EntryEvent } from './entry.ts';

const ACTIONS = {
  'kms.entry.created.v1': 'create',
  'kms.entry.updated.v1': 'update',
  'kms.entry.version-added.v1': 'add-version',
  'kms.entry.deleted.v1': 'delete',
} as const satisfies Record<EntryEvent['type'], Action>;

/** The audit event of a change that was decided, made by `caller`, and of the state that it led to. */
export function changeEvent(id: Id, caller: Caller, event: EntryEvent, { handler, currentVersion }: Entry): PlaceEvent {
  return vaultEvent(id, event.type, event.time, {
    ...callerData(caller),
    entryId: event.entryId,
    handler,
    version: currentVersion,
    revision: event.revision,
    action: ACTIONS[event.type],
    outcome: 'success',
    reason: null,
    ...('change' in event ? { change: event.change } : {}),
  });
}

/** The audit event of a reveal that is granted. One literal, without spreads: it is made for every reveal. */
export function revealEvent(
  id: Id,
  time: string,
  { organizationId, environment, apiKeyId, apiKeyName, address, userAgent, requestId }: Caller,
  { entryId, handler, version, revision }: { entryId: Id; handler: string; version: number; revision: number },
): PlaceEvent {
  return vaultEvent(id, 'kms.secret.revealed.v1', time, {
    organizationId,
    environment,
    apiKeyId,
    apiKeyName,
    address,
    userAgent,
    requestId,
    entryId,
    handler,
    version,
    revision,
    action: 'reveal',
    outcome: 'success',
    reason: null,
  });
}

function vaultEvent(id: Id, type: EventType, time: string, data: AuditData): PlaceEvent {
  return prepareEvent({ id, source: '/vault', type, time, data });
}

function callerData({ organizationId, environment, apiKeyId, apiKeyName, address, userAgent, requestId }: Caller) {
  return { organizationId, environment, apiKeyId, apiKeyName, address, userAgent, requestId };
}
