import {
  CompactRange,
  ED25519_NOTE,
  NODE_CRYPTOGRAPHY,
  noteSigner,
  proveConsistency,
  SHA256_TREE,
  signNote,
  writeAddCheckpoint,
  writeCheckpoint,
  writeVerifierKey,
  type Note,
  type NoteSigner,
} from '@kms/merkle';

export const NAME = 'example.org/audit';
export const ORIGIN = `${NAME}/${'1'.repeat(24)}`;

const pair = (seed: number) => NODE_CRYPTOGRAPHY.ed25519.signingKey(Buffer.alloc(32, seed));

/** The log key of a seed, and how it is written. */
export const logSigner = (seed: number, name = NAME): NoteSigner => noteSigner(name, pair(seed));
export const logKey = (seed: number, name = NAME) => writeVerifierKey({ name, type: ED25519_NOTE.type, publicKey: pair(seed).publicKey });

/** A log that signs whatever it is told to: with other `records` it is a fork of another one. */
export class TestLog {
  readonly #nodes = new Map<string, Uint8Array>();
  readonly #range = CompactRange.empty();
  readonly #roots = [this.#range.root()];

  constructor(
    readonly size: number,
    readonly records: (index: number) => string = (index) => `record ${index}`,
    readonly origin = ORIGIN,
    readonly signers: readonly NoteSigner[] = [logSigner(1)],
  ) {
    for (let index = 0; index < size; index += 1) {
      const leaf = SHA256_TREE.leaf(Buffer.from(records(index)));
      this.#range.append(leaf, (node, hash) => this.#nodes.set(`${node.level}/${node.index}`, hash));
      this.#roots.push(this.#range.root());
    }
  }

  note(size: number): Promise<Note> {
    const text = writeCheckpoint({ origin: this.origin, size, root: this.#roots[size] as Uint8Array, extensions: [] });
    return signNote({ text, signatures: [] }, this.signers);
  }

  async proof(oldSize: number, size: number): Promise<Uint8Array[]> {
    const reader = { readNodes: async (nodes: readonly { level: number; index: number }[]) => nodes.map((node) => this.#node(node)) };
    return proveConsistency(reader, oldSize, size);
  }

  /** The body of a request to `add-checkpoint`. */
  async request(oldSize: number, size: number): Promise<Uint8Array> {
    return writeAddCheckpoint({ oldSize, proof: await this.proof(oldSize, size), checkpoint: await this.note(size) });
  }

  #node({ level, index }: { level: number; index: number }): Uint8Array {
    return this.#nodes.get(`${level}/${index}`) as Uint8Array;
  }
}
