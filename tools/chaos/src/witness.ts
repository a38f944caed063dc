import { createHash, randomBytes } from 'node:crypto';
import { freePort } from '@kms/embedded';
import type { Variables } from '@kms/launcher';
import { COSIGNATURE_V1, NODE_CRYPTOGRAPHY, parseVerifierKey, writeSignerKey, writeVerifierKey, type SignerKey } from '@kms/merkle';
import { KeptFiles } from '@kms/platform';

const NAME = 'witness.example';

/** A witness's place in a system: what it is started with, and what it keeps. */
export class Witness {
  private constructor(
    readonly directory: string,
    readonly port: number,
    readonly signerKey: SignerKey,
    /** The public key that it cosigns with (C2SP signed-note). */
    readonly key: string,
  ) {}

  /** `directory` is the folder of its state, which it makes itself. */
  static async make(directory: string): Promise<Witness> {
    const [type, seed] = [COSIGNATURE_V1.type, randomBytes(32)];
    const { publicKey } = NODE_CRYPTOGRAPHY.ed25519.signingKey(seed);
    return new Witness(directory, await freePort(), { name: NAME, type, seed }, writeVerifierKey({ name: NAME, type, publicKey }));
  }

  /** What has an audit service publish nothing that it has not cosigned. */
  get forAudit(): Variables {
    return { WITNESSES: `http://127.0.0.1:${this.port} ${this.key}` };
  }

  /** Its own environment: it knows the logs of all organizations of the deployment whose public key that is. */
  variables(logKey: string): Variables {
    return {
      PORT: String(this.port),
      WITNESS_KEY: writeSignerKey(this.signerKey),
      WITNESS_LOGS: `${parseVerifierKey(logKey).name}/* ${logKey}`,
      WITNESS_STATE_DIRECTORY: this.directory,
    };
  }

  /** The last checkpoint of a log that it has cosigned, as it keeps it, or null. */
  async lastOf(origin: string): Promise<Uint8Array | null> {
    const name = createHash('sha256').update(origin).digest('hex');
    return (await new KeptFiles(this.directory).read(name))?.bytes ?? null;
  }
}
