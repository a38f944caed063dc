import { runMigrations } from '@kms/postgres';
import { auditGrants, Initial1764000000000 } from './migrations/1764000000000-initial.ts';

await runMigrations('audit', { migrations: [Initial1764000000000], grants: auditGrants });
