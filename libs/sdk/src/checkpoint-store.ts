import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Where the newest checkpoint is remembered that was believed. */
export interface CheckpointStore {
  /** The signed note that was saved last, or null. Rejects with an error of its own. */
  load(): Promise<Uint8Array | null>;
  /** Resolves once the note is kept. MUST NOT leave half a note behind. Rejects with an error of its own. */
  save(note: Uint8Array): Promise<void>;
}

/** Remembers for as long as the process runs. */
export function memoryCheckpointStore(): CheckpointStore {
  let kept: Uint8Array | null = null;
  return {
    load: async () => kept,
    save: async (note) => void (kept = note),
  };
}

/** Remembers in a file, for one process at a time. Keep it where a restored machine does not take it back. */
export function fileCheckpointStore(path: string): CheckpointStore {
  return {
    load: () =>
      readFile(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return null;
        throw error;
      }),
    async save(note) {
      await writeDurably(`${path}.new`, note);
      await rename(`${path}.new`, path);
      const folder = await open(dirname(path));
      await folder.sync().finally(() => folder.close());
    },
  };
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}
