import { runMigrations } from '@kms/postgres';
import { VAULT_MIGRATIONS, vaultGrants } from './migrations/index.ts';

await runMigrations('vault', { migrations: VAULT_MIGRATIONS, grants: vaultGrants });
