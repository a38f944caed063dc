import { z } from 'zod';
import { EvidenceError } from './evidence-error.ts';

/** The layout of a pack that this version writes and reads. */
export const PACK_FORMAT = 'kms-evidence/1';

/** What a pack says of itself. Nothing in it is believed: each member follows from the checkpoint, or is checked by the pack's other files. */
export interface Manifest {
  readonly format: typeof PACK_FORMAT;
  /** Which log. */
  readonly origin: string;
  /** How many records the log has at the checkpoint, and which of them are in the pack: from the index `from` up to `to`, which is not one. */
  readonly size: number;
  readonly from: number;
  readonly to: number;
  /** The sizes of the older checkpoints that are in the pack, ascending. */
  readonly checkpoints: readonly number[];
}

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const Schema = z.strictObject({
  format: z.literal(PACK_FORMAT),
  origin: z.string().min(1),
  size: count,
  from: count,
  to: count,
  checkpoints: z.array(count),
});

/** Writes a manifest, in the one spelling that {@link parseManifest} takes. */
export function writeManifest({ format, origin, size, from, to, checkpoints }: Manifest): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify({ format, origin, size, from, to, checkpoints }, null, 2)}\n`);
}

/** Reads what {@link writeManifest} writes, and nothing else. Throws a `wrong-manifest` {@link EvidenceError}. */
export function parseManifest(bytes: Uint8Array): Manifest {
  const manifest = Schema.safeParse(parseJson(bytes));
  if (!manifest.success) throw new EvidenceError('wrong-manifest', `The manifest is none of the format ${PACK_FORMAT}.`);
  const written = writeManifest(manifest.data);
  if (written.length !== bytes.length || written.some((byte, at) => byte !== bytes[at]))
    throw new EvidenceError('wrong-manifest', 'The manifest is not spelt as it is written.');
  return manifest.data;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new EvidenceError('wrong-manifest', 'The manifest is not JSON in UTF-8.', { cause });
  }
}
