import { AuditClient, type AuditTrust } from './audit-client.ts';
import { HttpClient, type HttpOptions } from './http-client.ts';
import { KmsClient } from './kms-client.ts';

export interface SdkOptions extends HttpOptions {
  /** By what the audit log is believed. Without it `sdk.audit` checks nothing, and so shows nothing. */
  readonly audit?: AuditTrust;
}

export interface Sdk {
  readonly kms: KmsClient;
  readonly audit: AuditClient;
}

/** A client of one gateway with one API key. It holds no connection. Throws an `invalid-argument` `KmsError`. */
export function createSdk({ audit = undefined, ...options }: SdkOptions): Sdk {
  const http = new HttpClient(options);
  return { kms: new KmsClient(http), audit: new AuditClient(http, audit ?? null) };
}
