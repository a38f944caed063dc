import { ED25519_NOTE, MerkleError, noteVerifier, parseVerifierKey, type NoteVerifier } from '@kms/merkle';

/** An organization's log of a deployment: the deployment's part of the origin, and the organization's id. */
const ORGANIZATION_LOG = /^(.+)\/[0-9a-f]{24}$/;
const EACH_ORGANIZATION = '/*';

/** Which logs are witnessed, and by which keys each is believed. */
export class WitnessedLogs {
  readonly #keys: ReadonlyMap<string, readonly NoteVerifier[]>;

  constructor(keys: ReadonlyMap<string, readonly NoteVerifier[]>) {
    this.#keys = keys;
  }

  /**
   * The keys that speak for a log; none where it is not witnessed. What is said of the log itself counts, and only where nothing is, what is
   * said of all the organizations of its deployment.
   */
  keysOf(origin: string): readonly NoteVerifier[] {
    if (origin.endsWith(EACH_ORGANIZATION)) return [];
    const [, deployment] = ORGANIZATION_LOG.exec(origin) ?? [];
    return this.#keys.get(origin) ?? (deployment === undefined ? undefined : this.#keys.get(deployment + EACH_ORGANIZATION)) ?? [];
  }
}

/**
 * Reads lines of `<origin> <verifier key>` (C2SP signed-note); empty lines and lines that begin with `#` mean nothing. `<key's name>/*` in the
 * place of an origin stands for the logs of all organizations of a deployment, `<key's name>/<organization id>`: each of them has a history
 * of its own here, and nothing that its key signs reaches the log of another name. Several lines of one origin are several keys that it may be
 * signed by. Throws {@link MerkleError}.
 */
export function parseWitnessedLogs(text: string): WitnessedLogs {
  const keys = new Map<string, NoteVerifier[]>();
  for (const line of text.split(/\r?\n/).filter((candidate) => candidate !== '' && !candidate.startsWith('#'))) {
    const [, origin, key] = /^(\S(?:.*\S)?) (\S+)$/.exec(line) ?? [];
    if (origin === undefined || key === undefined)
      throw new MerkleError('format', 'Each line must be an origin, a space and a public key.');
    const verifier = noteVerifier(parseVerifierKey(key), [ED25519_NOTE]);
    if (origin.endsWith(EACH_ORGANIZATION) && origin !== verifier.name + EACH_ORGANIZATION)
      throw new MerkleError('format', 'What stands before "/*" must be the name of the key beside it.');
    keys.set(origin, [...(keys.get(origin) ?? []), verifier]);
  }
  if (keys.size === 0) throw new MerkleError('format', 'It must name a log.');
  return new WitnessedLogs(keys);
}
