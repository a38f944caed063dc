import { Initial1764000000000 } from './1764000000000-initial.ts';
import { Tree1764500000000 } from './1764500000000-tree.ts';
import { SentCheckpoints1764600000000 } from './1764600000000-sent-checkpoints.ts';
import { WriterChains1764700000000 } from './1764700000000-writer-chains.ts';
import { ParkedEvents1764790000000 } from './1764790000000-parked-events.ts';
import { AppendedAt1764795000000 } from './1764795000000-appended-at.ts';
import { Eras1764800000000 } from './1764800000000-eras.ts';

export const AUDIT_MIGRATIONS = [
  Initial1764000000000,
  Tree1764500000000,
  SentCheckpoints1764600000000,
  WriterChains1764700000000,
  ParkedEvents1764790000000,
  AppendedAt1764795000000,
  Eras1764800000000,
];

const TABLES = [
  'ledger_records',
  'ledger_nodes',
  'ledger_heads',
  'ledger_checkpoints',
  'sent_checkpoints',
  'writer_chains',
  'parked_messages',
  'parked_events',
  'consumed_offsets',
];
/** Written by the owner alone, when an era is opened or retired. */
const OWNERS_TABLES = ['ledger_eras', 'retired_leaves', 'retired_logs', 'retired_writers'];

/** The ledger's role may add and read, nothing else; of a partition it knows through the table that it is a part of. */
export const auditGrants = (role: string): readonly string[] => [
  `GRANT SELECT, INSERT ON ${TABLES.join(', ')} TO ${role}`,
  `GRANT SELECT ON ${OWNERS_TABLES.join(', ')} TO ${role}`,
];
