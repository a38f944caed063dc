import { runMigrations } from '@kms/postgres';
import { AUDIT_MIGRATIONS, auditGrants } from './migrations/index.ts';

await runMigrations('audit', { migrations: AUDIT_MIGRATIONS, grants: auditGrants });
