import { EvidenceError } from './evidence-error.ts';

/**
 * Where a log's files are, in the layout of C2SP tlog-tiles: `checkpoint`, `tile/<level>/<index>`, `tile/entries/<index>`. A folder, a server,
 * a database and a table in memory are all one. Nothing that it answers is believed.
 */
export interface LogFiles {
  /** The bytes of the file at that path, or null where there is none. Rejects with an error of its own when it cannot tell. */
  read(path: string): Promise<Uint8Array | null>;
}

/** The file's bytes, as a plain array: to take a part of a Buffer costs three times as much. Throws a `missing-file` {@link EvidenceError}. */
export async function requireFile(files: LogFiles, path: string): Promise<Uint8Array> {
  const bytes = await files.read(path);
  if (bytes === null) throw new EvidenceError('missing-file', `The file ${path} is missing.`);
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
