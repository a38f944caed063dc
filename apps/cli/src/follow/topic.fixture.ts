import { auditData, prepareEvent, type AuditData } from '@kms/contracts';
import { chainHash, GENESIS } from '@kms/journal';
import {
  CompactRange,
  ED25519_NOTE,
  NODE_CRYPTOGRAPHY,
  noteSigner,
  noteVerifier,
  SHA256_TREE,
  signNote,
  writeCheckpoint,
  writeNote,
  writeVerifierKey,
} from '@kms/merkle';
import type { FollowedMessage } from './follower.ts';

export const organization = (number: number) => number.toString(16).padStart(24, '0');
export const writerId = (number: number) => `aa${number.toString(16).padStart(22, '0')}`;

/** Writers that make events, and partitions that hold them: what the topic is in a test. */
export class FixtureTopic {
  readonly partitions: FollowedMessage[][];
  readonly #heads = new Map<number, { sequence: number; hash: Buffer }>();
  readonly trees = new Map<number, CompactRange>();
  #clock = 1_000_000;

  constructor(partitions = 3) {
    this.partitions = Array.from({ length: partitions }, () => []);
  }

  /** A writer's next event, which nobody has sent yet. */
  make(writer: number, organizationNumber: number, data: Partial<AuditData> = {}): Buffer {
    const { sequence, hash } = this.#heads.get(writer) ?? { sequence: 0, hash: GENESIS };
    const place = prepareEvent({
      id: `${writer.toString(16).padStart(8, '0')}${(sequence + 1).toString(16).padStart(16, '0')}`,
      source: '/vault',
      type: 'kms.secret.revealed.v1',
      time: '2026-01-01T00:00:00.000Z',
      data: auditData({ organizationId: organization(organizationNumber), action: 'reveal', outcome: 'success', ...data }),
    });
    const bytes = Buffer.from(place({ writer: writerId(writer), sequence: sequence + 1, previousHash: hash.toString('hex') }));
    this.#heads.set(writer, { sequence: sequence + 1, hash: chainHash(hash, bytes) });
    return bytes;
  }

  /** Appends a message to its organization's partition, as a new one or as a double. */
  append(organizationNumber: number, value: Buffer | null, key = organization(organizationNumber)): FollowedMessage {
    const partition = organizationNumber % this.partitions.length;
    const messages = this.partitions[partition] as FollowedMessage[];
    const offset = BigInt(messages.length);
    this.#clock += 1;
    const message = { partition, offset, key: Buffer.from(key), value, appendedAt: this.#clock };
    messages.push(message);
    return message;
  }

  /** Makes an event, appends it, and takes it into its organization's tree. */
  send(writer: number, organizationNumber: number): FollowedMessage {
    const value = this.make(writer, organizationNumber);
    const tree = this.trees.get(organizationNumber) ?? CompactRange.empty();
    this.trees.set(organizationNumber, tree);
    tree.append(SHA256_TREE.leaf(value));
    return this.append(organizationNumber, value);
  }

  /** Where reading begins when all of it is read. */
  starts(from: (partition: number) => number = () => 0) {
    return new Map(this.partitions.map(({ length }, partition) => [partition, { start: BigInt(from(partition)), end: BigInt(length) }]));
  }
}

const KEY_NAME = 'test/audit';
const pair = NODE_CRYPTOGRAPHY.ed25519.signingKey(Buffer.alloc(32, 7));
const otherPair = NODE_CRYPTOGRAPHY.ed25519.signingKey(Buffer.alloc(32, 8));
const verifierKey = { name: KEY_NAME, type: ED25519_NOTE.type, publicKey: pair.publicKey };

/** The public key of the log, as it is written. */
export const LOG_KEY = writeVerifierKey(verifierKey);
export const policyOf = (organizationId: string) => ({
  origin: `${KEY_NAME}/${organizationId}`,
  logKeys: [noteVerifier(verifierKey, [ED25519_NOTE])],
});

/** A signed checkpoint of an organization. */
export async function checkpointOf(
  organizationNumber: number,
  { size, root }: { size: number; root: Uint8Array },
  { signedAt = '2026-01-01T00:00:00.000Z', isStranger = false } = {},
): Promise<Buffer> {
  const origin = `${KEY_NAME}/${organization(organizationNumber)}`;
  const text = writeCheckpoint({ origin, size, root, extensions: [`signed-at ${signedAt}`] });
  const signer = noteSigner(KEY_NAME, isStranger ? otherPair : pair);
  return Buffer.from(writeNote(await signNote({ text, signatures: [] }, [signer])));
}
