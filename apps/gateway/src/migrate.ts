import { runMigrations } from '@kms/postgres';
import { gatewayGrants, Initial1764000000000 } from './migrations/1764000000000-initial.ts';

await runMigrations('gateway', { migrations: [Initial1764000000000], grants: gatewayGrants });
