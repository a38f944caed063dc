import { generateKey, prepareContent, sealContent, unwrapKey, wrapKey } from '@kms/envelope';
import type { Id } from '@kms/contracts';
import type pg from 'pg';
import type { KeyRing, Queryable } from './key-ring.ts';

/** What a content belongs to, and is bound to by its encryption. */
export interface ContentOwner {
  organizationId: Id;
  entryId: Id;
  version: number;
}

/** A version's content at rest: encrypted under a data key of its own, which the organization's key wraps. */
export interface SealedContent {
  organizationKeyId: string;
  dataKeyId: string;
  wrappedDataKey: Buffer;
  sealed: Buffer;
}

const contextOf = ({ organizationId, entryId, version }: ContentOwner) => [organizationId, entryId, String(version)];

/** Encrypts a new version's content and stores it, in the caller's transaction. */
export async function storeContent(client: pg.ClientBase, keyRing: KeyRing, owner: ContentOwner, content: Buffer): Promise<void> {
  const organizationKey = await keyRing.keyForWrapping(client, owner.organizationId);
  const dataKey = generateKey();
  const wrapped = wrapKey(organizationKey, dataKey, ['data-key', ...contextOf(owner)]);
  const sealed = sealContent(dataKey, contextOf(owner), content);
  dataKey.key.fill(0);
  await client.query(
    `INSERT INTO sealed_contents (entry_id, version, organization_key_id, data_key_id, wrapped_data_key, sealed)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [owner.entryId, owner.version, organizationKey.id, dataKey.id, wrapped, sealed],
  );
}

/** Unwraps a content's data key and checks it; each call of the answered function is one decryption. Throws EnvelopeError. */
export async function openContent(database: Queryable, keyRing: KeyRing, owner: ContentOwner, content: SealedContent): Promise<() => Buffer> {
  const organizationKey = await keyRing.keyForUnwrapping(database, owner.organizationId, content.organizationKeyId);
  const dataKey = unwrapKey(organizationKey, content.dataKeyId, ['data-key', ...contextOf(owner)], content.wrappedDataKey);
  return prepareContent(dataKey, contextOf(owner), content.sealed);
}
