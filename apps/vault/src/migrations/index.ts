import { journalGrants } from '@kms/postgres';
import { Initial1764000000000 } from './1764000000000-initial.ts';
import { EntryCounts1764900000000 } from './1764900000000-entry-counts.ts';

export const VAULT_MIGRATIONS = [Initial1764000000000, EntryCounts1764900000000];

/** What the vault's role may do, and no more. */
export const vaultGrants = (role: string): readonly string[] => [
  ...journalGrants(role),
  `GRANT SELECT, INSERT, UPDATE ON entries, entry_counts TO ${role}`,
  `GRANT SELECT, INSERT ON entry_versions TO ${role}`,
  `GRANT SELECT, INSERT, UPDATE (wraps, retired_at) ON organization_keys TO ${role}`,
  `GRANT SELECT, INSERT ON sealed_contents TO ${role}`,
];
