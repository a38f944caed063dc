import { runMigrations } from '@kms/postgres';
import { Initial1764000000000, vaultGrants } from './migrations/index.ts';

await runMigrations('vault', { migrations: [Initial1764000000000], grants: vaultGrants });
