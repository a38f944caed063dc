import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import type { ApiAccessPermission, Environment, Id } from '@kms/contracts';

/** Bytes of randomness in a key's secret: 160 bits. */
export const SECRET_BYTES = 20;

const KEY = /^dk_(production|staging)_([0-9a-f]{24})_([0-9a-f]{40})_([0-9a-f]{8})$/;

/** Who a request comes from, once its key is verified. */
export interface Principal {
  organizationId: Id;
  environment: Environment;
  apiKeyId: Id;
  apiKeyName: string;
  permissions: ReadonlySet<ApiAccessPermission>;
}

/** A key as it is stored: never the key itself. Times are milliseconds since the epoch. */
export interface StoredApiKey {
  principal: Principal;
  /** HMAC-SHA256 of the whole key under the pepper: 32 bytes. */
  digest: Buffer;
  expiresAt: number | null;
  revoked: boolean;
}

/** Puts a key together: `dk_<environment>_<id>_<secret>_<checksum>`. `secret` has 20 random bytes. */
export function formatApiKey(environment: Environment, id: Id, secret: Uint8Array): string {
  const body = `dk_${environment}_${id}_${Buffer.from(secret).toString('hex')}`;
  return `${body}_${checksum(body)}`;
}

/** The id in a well-formed key whose checksum is right, else null: a typo needs no database. */
export function apiKeyId(text: string): Id | null {
  const [, , id, , given] = KEY.exec(text) ?? [];
  if (id === undefined || given === undefined) return null;
  return checksum(text.slice(0, -given.length - 1)) === given ? id : null;
}

/** The digest that a key is stored and compared as. */
export function apiKeyDigest(pepper: string, text: string): Buffer {
  return createHmac('sha256', pepper).update(text).digest();
}

/** Finds typos, not attackers: the first 4 bytes of SHA-256. */
const checksum = (body: string) => hash('sha256', body, 'hex').slice(0, 8);

export type AuthenticationFailure = 'missing' | 'malformed' | 'unknown' | 'wrong-secret' | 'expired' | 'revoked';

/** What stands in for an unknown key, so that the same comparison is made for it. */
const NOBODY = Buffer.alloc(32);

/** Whether the key presented is the stored one and may be used. The comparison takes the same time for every outcome. */
export function verifyApiKey(stored: StoredApiKey | null, digest: Buffer, now: number): Principal | AuthenticationFailure {
  const matches = timingSafeEqual(stored?.digest ?? NOBODY, digest);
  if (stored === null) return 'unknown';
  if (!matches) return 'wrong-secret';
  if (stored.revoked) return 'revoked';
  if (stored.expiresAt !== null && stored.expiresAt <= now) return 'expired';
  return stored.principal;
}
