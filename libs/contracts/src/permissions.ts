/** What an API key may be allowed to do, as `resource:action`. */
export enum ApiAccessPermission {
  PING_READ = 'ping:read',
  CONNECTION_READ = 'connection:read',
  KMS_READ = 'kms:read',
  KMS_WRITE = 'kms:write',
  AUDIT_READ = 'audit:read',
}

export const ALL_PERMISSIONS: readonly ApiAccessPermission[] = Object.values(ApiAccessPermission);
