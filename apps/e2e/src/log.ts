import { ED25519_NOTE, noteVerifier, parseVerifierKey, type CheckpointPolicy } from '@kms/merkle';
import type { Suite } from './suite.ts';

/** What an auditor believes: the keys that the log is known by, and which log it is. */
export async function logPolicy(suite: Suite): Promise<CheckpointPolicy> {
  const { keys } = (await suite.call('GET', '/audit/keys.json')).body as { keys: string[] };
  const logKeys = keys.map((key) => noteVerifier(parseVerifierKey(key), [ED25519_NOTE]));
  return { origin: `localhost/audit/${suite.admin.organizationId}`, logKeys };
}

/** The newest checkpoint, or nothing where there is none yet. */
export async function checkpoint(suite: Suite): Promise<string> {
  const response = await fetch(`${suite.admin.baseUrl}/audit/checkpoint`, { headers: { authorization: `Bearer ${suite.admin.apiKey}` } });
  return response.status === 200 ? response.text() : '';
}

/** How many records a checkpoint is over. */
export const sizeOf = (note: string) => Number(note.split('\n')[1]);
