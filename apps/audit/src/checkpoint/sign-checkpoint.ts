import type { Id } from '@kms/contracts';
import {
  checkConsistency,
  openCheckpoint,
  proveConsistency,
  signNote,
  writeCheckpoint,
  writeNote,
  type NodeReader,
  type Note,
  type TreeHead,
} from '@kms/merkle';
import { failpoint, type KeptFiles } from '@kms/platform';
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
  /**
   * The last checkpoint that was signed of each organization's log, in files of its own: a database that is restored from a backup does not
   * take them back, so that nobody signs another history over the one that was signed.
   */
  kept: Pick<KeptFiles, 'read' | 'replace'>;
}

/** A checkpoint that was signed. */
export interface SignedCheckpoint extends TreeHead {
  readonly note: Note;
}

/**
 * Signs a tree head, once it is shown to extend every checkpoint that is known to have been signed: the one that is kept in a file, and
 * `published`, the last one in the database. The new one is kept in the file before this resolves, and so before anybody sees it.
 * Rejects with {@link InconsistentLogError}, and has then signed nothing, or with `KeptMeanwhileError` where another process has kept one
 * meanwhile; what was signed then is seen by nobody.
 */
export async function signCheckpoint(
  { keys, kept }: SigningDependencies,
  organizationId: Id,
  head: TreeHead,
  published: Uint8Array | null,
  nodes: NodeReader,
  time: Date,
): Promise<SignedCheckpoint> {
  const previous = await kept.read(organizationId);
  for (const signed of [previous?.bytes ?? null, published]) {
    if (signed !== null) await assertExtends(keys, organizationId, signed, head, nodes);
  }
  const extensions = [`signed-at ${time.toISOString()}`];
  const text = writeCheckpoint({ origin: keys.origin(organizationId), ...head, extensions });
  const note = await signNote({ text, signatures: [] }, keys.signers);
  failpoint('checkpoint.signed');
  await kept.replace(organizationId, previous, writeNote(note));
  failpoint('checkpoint.kept');
  return { ...head, note };
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
