import {
  ED25519_NOTE,
  MerkleError,
  NODE_CRYPTOGRAPHY,
  noteVerifier,
  parseVerifierKey,
  type Cryptography,
  type NoteVerifier,
} from '@kms/merkle';
import { EvidenceError } from './evidence-error.ts';
import { requireFile, type LogFiles } from './log-files.ts';
import { parseManifest, type Manifest } from './manifest.ts';
import { claimedCheckpoint, verifyLog, wholeBundles, type LogExpectations, type LogReport } from './verify-log.ts';

/** What an auditor brings along to judge a pack. */
export interface PackExpectations extends Omit<LogExpectations, 'policy'> {
  /** The log's keys. Where none is given the pack's own are taken, and then the pack only shows that it agrees with itself. */
  readonly logKeys?: readonly NoteVerifier[];
  /** Which log it must be; where it is not given, the one that the checkpoint names. */
  readonly origin?: string;
  readonly witnesses?: readonly NoteVerifier[];
  /** How many of the witnesses must have cosigned: all of them by default. */
  readonly quorum?: number;
  /** Node's by default. */
  readonly crypto?: Cryptography;
}

export interface PackReport extends LogReport {
  /** Whether the log keys were the pack's own. */
  readonly ownKeys: boolean;
}

/**
 * Verifies an evidence pack, as {@link verifyLog} does a log, and its manifest. Unless `from` and `to` are given, it must hold all records.
 * Throws an {@link EvidenceError} for the first thing that is wrong; an error of `files` passes on.
 */
export async function verifyPack(files: LogFiles, expectations: PackExpectations = {}): Promise<PackReport> {
  const { logKeys, witnesses = [], quorum = witnesses.length, crypto = NODE_CRYPTOGRAPHY, known = [], ...rest } = expectations;
  const manifest = parseManifest(await requireFile(files, 'manifest.json'));
  const origin = rest.origin ?? claimedCheckpoint(await requireFile(files, 'checkpoint')).origin;
  const policy = { origin, logKeys: logKeys ?? (await readKeys(files, crypto)), witnesses, quorum };
  const own = await Promise.all(manifest.checkpoints.map((size) => requireFile(files, `checkpoints/${size}`)));
  const range = requireHeld(manifest, rest);
  const report = await verifyLog(files, { ...rest, ...range, policy, known: [...known, ...own], sha256: crypto.sha256 });
  requireSame(manifest, report, known.length);
  return { ...report, ownKeys: logKeys === undefined };
}

/** Reads a pack's `keys`: verifier keys, one a line. Throws an {@link EvidenceError}: `missing-file` or `wrong-key`. */
async function readKeys(files: LogFiles, crypto: Cryptography): Promise<NoteVerifier[]> {
  const text = new TextDecoder().decode(await requireFile(files, 'keys'));
  try {
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => noteVerifier(parseVerifierKey(line, crypto.sha256), [ED25519_NOTE], crypto));
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new EvidenceError('wrong-key', `The pack’s own keys are refused: ${cause.message}`, { cause });
  }
}

/** The range that is asked for, within the one that the pack has. */
function requireHeld({ size, from, to }: Manifest, asked: Pick<LogExpectations, 'from' | 'to'>): { from: number; to: number } {
  const [start, end] = [asked.from ?? 0, asked.to ?? size];
  if (start > end || end > size)
    throw new EvidenceError('incomplete', `The records from ${start} to ${end} were asked for, and the log has ${size}.`);
  const wanted = wholeBundles(start, end, size);
  if (wanted.from < from || wanted.to > to)
    throw new EvidenceError(
      'incomplete',
      `The pack holds the records from ${from} to ${to}, not all from ${start} to ${end} that were asked for.`,
    );
  return wanted;
}

/** The manifest must say what the checkpoints say: whoever reads it alone must not be misled. */
function requireSame({ size, origin, checkpoints, from, to }: Manifest, report: LogReport, given: number): void {
  const { checkpoint } = report.checkpoint;
  const own = report.extends.slice(given);
  const range = wholeBundles(from, to, size);
  const isSame =
    size === checkpoint.size && origin === checkpoint.origin && from === range.from && to === range.to && from <= to && to <= size;
  if (!isSame || own.some((old, at) => old !== checkpoints[at]))
    throw new EvidenceError('wrong-manifest', 'The manifest says something else than the checkpoints.');
}
