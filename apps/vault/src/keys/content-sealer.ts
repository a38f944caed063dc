import { randomBytes } from 'node:crypto';
import { prepareContent, sealContent, unwrapKey, wrapKey, zeroize, type ContentContext, type PreparedContent } from '@kms/envelope';
import type pg from 'pg';
import type { KeyRing } from './key-ring.ts';

/** A version's content at rest: encrypted under a data key of its own, which the organization's key wraps. */
export interface SealedContent {
  organization_key_id: string;
  data_key_id: string;
  wrapped_data_key: Buffer;
  sealed: Buffer;
}

/** Encrypts a new version's content and stores it, in the caller's transaction. */
export async function storeContent(client: pg.ClientBase, keyRing: KeyRing, context: ContentContext, plaintext: Buffer): Promise<void> {
  const { organizationId, entryId, version } = context;
  const dataKeyId = randomBytes(12).toString('hex');
  const organizationKey = await keyRing.keyForWrapping(client, organizationId);
  const { dataKey, sealed } = sealContent({ dataKeyId, context, plaintext });
  const wrapped = wrapKey({
    wrappingKey: organizationKey.key,
    wrappingKeyId: organizationKey.id,
    key: dataKey,
    context: { purpose: 'data-key', keyId: dataKeyId, organizationId, entryId, version },
  });
  zeroize(dataKey);
  zeroize(organizationKey.key);
  await client.query(
    `INSERT INTO sealed_contents (entry_id, version, organization_key_id, data_key_id, wrapped_data_key, sealed)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [entryId, version, organizationKey.id, dataKeyId, wrapped, sealed],
  );
}

/** Unwraps a content's data key and checks it once, ready to be opened any number of times. Throws EnvelopeError. */
export async function openContent(
  pool: pg.Pool,
  keyRing: KeyRing,
  context: ContentContext,
  { organization_key_id, data_key_id: dataKeyId, wrapped_data_key: wrapped, sealed }: SealedContent,
): Promise<PreparedContent> {
  const { organizationId, entryId, version } = context;
  const organizationKey = await keyRing.keyForUnwrapping(pool, organizationId, organization_key_id);
  const dataKey = unwrapKey({
    wrappingKey: organizationKey.key,
    wrappingKeyId: organizationKey.id,
    wrapped,
    context: { purpose: 'data-key', keyId: dataKeyId, organizationId, entryId, version },
  });
  zeroize(organizationKey.key);
  return prepareContent({ dataKey, dataKeyId, sealed, context });
}
