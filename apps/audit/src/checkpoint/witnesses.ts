import { COSIGNATURE_V1, MerkleError, noteVerifier, parseVerifierKey, type NodeReader, type Note, type NoteSignature } from '@kms/merkle';
import { parsedBy } from '@kms/platform';
import type { SignedCheckpoint } from './sign-checkpoint.ts';
import { WitnessClient, WitnessError } from './witness-client.ts';

/** Fewer witnesses than the quorum have cosigned: the checkpoint must not be published. The cause is why the first of them has not. */
export class TooFewWitnessesError extends Error {
  override readonly name = 'TooFewWitnessesError';
}

/** Who must have cosigned a checkpoint before anybody sees it. */
export class Witnesses {
  readonly #clients: readonly WitnessClient[];

  constructor(
    clients: readonly WitnessClient[],
    /** How many of them. */
    readonly quorum: number,
    /** Their public keys as they are written (C2SP signed-note). */
    readonly verifierKeys: readonly string[],
  ) {
    this.#clients = clients;
  }

  /** Whether enough of them may be asked now: where not, nothing need be signed yet. */
  get canCosign(): boolean {
    return this.#clients.filter(({ isResting }) => !isResting).length >= this.quorum;
  }

  /**
   * The checkpoint with the cosignatures of as many witnesses as the quorum asks for, as soon as there are so many; the others are not
   * waited for. `guess` is the size of the last one that was published. `onConflict` is told of each witness that has cosigned another
   * history, also where the quorum is reached without it. Rejects with {@link TooFewWitnessesError}, or what `nodes` rejects with.
   */
  async cosign(
    origin: string,
    checkpoint: SignedCheckpoint,
    guess: number,
    nodes: NodeReader,
    end: AbortSignal,
    onConflict: (error: WitnessError) => void,
  ): Promise<Note> {
    const asked = this.#clients.filter(({ isResting }) => !isResting);
    const cosignatures = asked.map((client) => client.cosign(origin, checkpoint, guess, nodes, end));
    for (const cosignature of cosignatures) {
      cosignature.catch((error: unknown) => {
        if (error instanceof WitnessError && error.code === 'conflict') onConflict(error);
      });
    }
    const { text, signatures } = checkpoint.note;
    return { text, signatures: [...signatures, ...(await firstOf(cosignatures, this.quorum))] };
  }
}

/** The first `count` that resolve. */
function firstOf(cosignatures: readonly Promise<NoteSignature>[], count: number): Promise<NoteSignature[]> {
  const [made, failures]: [NoteSignature[], unknown[]] = [[], []];
  return new Promise((resolve, reject) => {
    const settle = () => {
      if (made.length >= count) return resolve(made.slice(0, count));
      if (cosignatures.length - failures.length >= count) return;
      const [cause] = failures;
      if (cause !== undefined && !(cause instanceof WitnessError)) return reject(cause as Error);
      reject(new TooFewWitnessesError('Too few witnesses have cosigned the checkpoint.', { cause }));
    };
    for (const cosignature of cosignatures) {
      cosignature.then(
        (signature) => {
          made.push(signature);
          settle();
        },
        (error: unknown) => {
          failures.push(error);
          settle();
        },
      );
    }
    settle();
  });
}

/** Who is asked for nothing. */
export const NO_WITNESSES = new Witnesses([], 0, []);

const WITNESS = /^(https?:\/\/[^\s,]+?)\/? ([^\s,]+)$/;

/** `WITNESSES`: `<url> <public key>` of each witness, with commas between. */
export const WitnessList = parsedBy(
  (text) => text.split(',').map(parseWitness),
  (error) => (error instanceof MerkleError ? error.message.replace(/\.$/, '').replace(/^It/, 'it') : null),
);

function parseWitness(member: string) {
  const [, url, key] = WITNESS.exec(member.trim()) ?? [];
  if (url === undefined || key === undefined || !URL.canParse(url))
    throw new MerkleError('format', 'It must be a URL, a space and a public key, or several of them with commas between.');
  return { url, key, verifier: noteVerifier(parseVerifierKey(key), [COSIGNATURE_V1]) };
}
