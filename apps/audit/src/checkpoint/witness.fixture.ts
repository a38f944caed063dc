import {
  checkConsistency,
  COSIGNATURE_V1,
  cosigner,
  MerkleError,
  NODE_CRYPTOGRAPHY,
  noteVerifier,
  parseAddCheckpoint,
  parseCheckpoint,
  SHA256_TREE,
  signNote,
  writeSignatureLines,
  type TreeHead,
} from '@kms/merkle';
import { WitnessClient } from './witness-client.ts';

const NAME = 'witness.example';
const pair = NODE_CRYPTOGRAPHY.ed25519.signingKey(Buffer.alloc(32, 7));

/** A witness in memory that believes every log's key and is strict about histories, as tlog-witness has it. */
export class StrictWitness {
  readonly verifier = noteVerifier({ name: NAME, type: COSIGNATURE_V1.type, publicKey: pair.publicKey }, [COSIGNATURE_V1]);
  /** What was cosigned last of each log. */
  readonly cosigned = new Map<string, TreeHead>();
  readonly #requests = new Map<string, number>();
  readonly #held = new Map<string, Promise<void>>();

  /** A process's connection to it. */
  client(): WitnessClient {
    const answer = (_url: string, { body }: { body: Uint8Array }) => this.#answer(body);
    return new WitnessClient({ url: 'http://witness', verifier: this.verifier, fetch: answer as unknown as typeof fetch });
  }

  /** Leaves a log without an answer, and without an end of the connection, until what this answers is called. */
  hold(origin: string): () => void {
    let release: () => void = () => undefined;
    this.#held.set(origin, new Promise((resolve) => (release = resolve)));
    return () => {
      this.#held.delete(origin);
      release();
    };
  }

  requestsFor(origin: string): number {
    return this.#requests.get(origin) ?? 0;
  }

  async #answer(body: Uint8Array): Promise<Response> {
    const { oldSize, proof, checkpoint } = parseAddCheckpoint(body);
    const { origin, size, root } = parseCheckpoint(checkpoint.text);
    this.#requests.set(origin, this.requestsFor(origin) + 1);
    await this.#held.get(origin);
    const last = this.cosigned.get(origin) ?? { size: 0, root: SHA256_TREE.emptyRoot() };
    if (oldSize !== last.size) return new Response(`${last.size}\n`, { status: 409, headers: { 'content-type': 'text/x.tlog.size' } });
    try {
      checkConsistency(last, { size, root }, proof);
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
      return new Response('', { status: 422 });
    }
    this.cosigned.set(origin, { size, root });
    const { signatures } = await signNote({ text: checkpoint.text, signatures: [] }, [cosigner(NAME, pair, () => 1_764_000_000)]);
    return new Response(Buffer.from(writeSignatureLines(signatures)));
  }
}
