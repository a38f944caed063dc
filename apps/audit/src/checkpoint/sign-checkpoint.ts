import type { Id } from '@kms/contracts';
import {
  checkConsistency,
  openCheckpoint,
  proveConsistency,
  signNote,
  writeCheckpoint,
  writeNote,
  type NodeReader,
  type TreeHead,
} from '@kms/merkle';
import { failpoint } from '@kms/platform';
import type { KeptCheckpoints } from './kept-checkpoints.ts';
import type { LogKeys } from './log-keys.ts';

/** What was signed before is not a beginning of what is stored now: nothing more is signed of this log until a person has looked. */
export class InconsistentLogError extends Error {
  override readonly name = 'InconsistentLogError';

  constructor(origin: string, signedSize: number, storedSize: number, options?: ErrorOptions) {
    super(
      `The log ${origin} is not what was signed: a tree of ${signedSize} records was signed, and the ${storedSize} that are stored do not ` +
        `begin with it. Was an older database restored, or a record changed?`,
      options,
    );
  }
}

export interface SigningDependencies {
  keys: LogKeys;
  kept: Pick<KeptCheckpoints, 'read' | 'keep'>;
}

/**
 * Signs a tree head, once it is shown to extend every checkpoint that is known to have been signed: the one that is kept in a file, and
 * `published`, the last one in the database. The new one is kept in the file before this resolves, and so before anybody sees it.
 * Rejects with {@link InconsistentLogError}, and has then signed nothing.
 */
export async function signCheckpoint(
  { keys, kept }: SigningDependencies,
  organizationId: Id,
  head: TreeHead,
  published: Uint8Array | null,
  nodes: NodeReader,
  time: Date,
): Promise<Uint8Array> {
  for (const signed of [await kept.read(organizationId), published]) {
    if (signed !== null) await assertExtends(keys, organizationId, signed, head, nodes);
  }
  const extensions = [`signed-at ${time.toISOString()}`];
  const text = writeCheckpoint({ origin: keys.origin(organizationId), ...head, extensions });
  const note = writeNote(await signNote({ text, signatures: [] }, keys.signers));
  failpoint('checkpoint.signed');
  await kept.keep(organizationId, note);
  failpoint('checkpoint.kept');
  return note;
}

async function assertExtends(keys: LogKeys, organizationId: Id, signed: Uint8Array, head: TreeHead, nodes: NodeReader): Promise<void> {
  const { checkpoint } = openCheckpoint(signed, keys.policy(organizationId));
  try {
    if (checkpoint.size > head.size) throw new RangeError('The tree has shrunk.');
    checkConsistency(checkpoint, head, await proveConsistency(nodes, checkpoint.size, head.size));
  } catch (cause) {
    throw new InconsistentLogError(checkpoint.origin, checkpoint.size, head.size, { cause });
  }
}
