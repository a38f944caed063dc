import { describe, expect, it } from '@jest/globals';
import {
  checkConsistency,
  CompactRange,
  COSIGNATURE_V1,
  cosigner,
  NODE_CRYPTOGRAPHY,
  noteVerifier,
  parseAddCheckpoint,
  SHA256_TREE,
  signNote,
  verifiedSignatures,
  writeCheckpoint,
  writeSignatureLines,
  type NodeReader,
  type Note,
} from '@kms/merkle';
import { parseLogKeys, signerKey } from './log.fixture.ts';
import type { SignedCheckpoint } from './sign-checkpoint.ts';
import { WitnessClient, type WitnessErrorCode } from './witness-client.ts';
import { Witnesses } from './witnesses.ts';

const ORIGIN = 'example.org/audit/x';
const SIZE = 20;
const never = new AbortController().signal;
const pair = (seed: number) => NODE_CRYPTOGRAPHY.ed25519.signingKey(Buffer.alloc(32, seed));
const verifierOf = (seed: number) =>
  noteVerifier({ name: `witness-${seed}`, type: COSIGNATURE_V1.type, publicKey: pair(seed).publicKey }, [COSIGNATURE_V1]);
const cosignature = async (note: Note, seed: number) =>
  (await signNote({ text: note.text, signatures: [] }, [cosigner(`witness-${seed}`, pair(seed), () => 1_764_000_000)])).signatures;

const nodes = new Map<string, Uint8Array>();
const roots: Uint8Array[] = [];
const range = CompactRange.empty();
for (let index = 0; index <= SIZE; index += 1) {
  roots.push(range.root());
  range.append(SHA256_TREE.leaf(Buffer.from(String(index))), (node, hash) => nodes.set(`${node.level}/${node.index}`, hash));
}
const reader: NodeReader = { readNodes: async (ids) => ids.map(({ level, index }) => nodes.get(`${level}/${index}`) as Uint8Array) };

async function checkpoint(): Promise<SignedCheckpoint> {
  const text = writeCheckpoint({ origin: ORIGIN, size: SIZE, root: roots[SIZE] as Uint8Array, extensions: [] });
  const note = await signNote({ text, signatures: [] }, parseLogKeys(signerKey(1)).signers);
  return { size: SIZE, root: roots[SIZE] as Uint8Array, note };
}

type Reply = (body: Uint8Array) => Response | Promise<Response>;
const sizeIs = (size: number | string) => new Response(`${size}\n`, { status: 409, headers: { 'content-type': 'text/x.tlog.size' } });
const cosigns =
  (seed: number, ...others: number[]): Reply =>
  async (body) => {
    const note = parseAddCheckpoint(body).checkpoint;
    const lines = [...(await Promise.all(others.map((other) => cosignature(note, other)))).flat(), ...(await cosignature(note, seed))];
    return new Response(Buffer.from(writeSignatureLines(lines)));
  };

/** A client of a witness that answers each request as the next of these has it, the last one again and again. */
function client(seed: number, replies: Reply[], clock = { now: 0 }): WitnessClient & { asked: Uint8Array[] } {
  const asked: Uint8Array[] = [];
  const answer = (async (_url: string, { body }: { body: Uint8Array }) => {
    asked.push(body);
    return (replies.length > 1 ? replies.shift() : replies[0])?.(body);
  }) as unknown as typeof fetch;
  const made = new WitnessClient({ url: 'http://witness', verifier: verifierOf(seed), fetch: answer, now: () => clock.now });
  return Object.assign(made, { asked });
}

const codeOf = (promise: Promise<unknown>) => promise.then(() => 'cosigned', ({ code }: { code: WitnessErrorCode }) => code); // prettier-ignore

describe('a log and its witness', () => {
  it('send the proof from where the witness says that it is', async () => {
    const subject = client(7, [() => sizeIs(3), cosigns(7)]);
    const signed = await checkpoint();
    const signature = await subject.cosign(ORIGIN, signed, 12, reader, never);
    expect(verifiedSignatures({ text: signed.note.text, signatures: [signature] }, [verifierOf(7)])).toHaveLength(1);
    const [first, second] = subject.asked.map(parseAddCheckpoint);
    expect([first?.oldSize, second?.oldSize]).toEqual([12, 3]);
    for (const { oldSize, proof } of [first, second] as NonNullable<typeof first>[])
      checkConsistency({ size: oldSize, root: roots[oldSize] as Uint8Array }, signed, proof);
  });

  it('leave out what other keys have cosigned beside it', async () => {
    const signature = await client(7, [cosigns(7, 8)]).cosign(ORIGIN, await checkpoint(), 0, reader, never);
    expect(signature.name).toBe('witness-7');
  });

  it.each<[WitnessErrorCode, string, Reply]>([
    ['away', 'is not there', () => Promise.reject(new TypeError('fetch failed'))],
    ['away', 'cannot', () => new Response('', { status: 500 })],
    ['away', 'answers without end', () => new Response('x'.repeat(20_000))],
    ['refused', 'does not know the log', () => new Response('', { status: 404 })],
    ['refused', 'does not know its key', () => new Response('', { status: 403 })],
    ['refused', 'takes it for no request', () => new Response('', { status: 400 })],
    ['conflict', 'knows another history', () => new Response('', { status: 422 })],
    ['conflict', 'has cosigned more than there is', () => sizeIs(21)],
    ['conflict', 'has cosigned another tree of this size', () => sizeIs(SIZE)],
    ['invalid', 'answers with nothing', () => new Response('')],
    ['invalid', 'answers with another’s cosignature', cosigns(8)],
    ['invalid', 'answers with another’s in its name', async () => cosignedInTheNameOf()],
    ['invalid', 'answers with the cosignature of another checkpoint', async () => cosignedElse()],
    ['invalid', 'says no size', () => sizeIs('many')],
    ['invalid', 'says its size as something else', () => new Response('3\n', { status: 409 })],
    [
      'invalid',
      'says another size each time',
      (
        (size) => () =>
          sizeIs((size += 1))
      )(0),
    ],
  ])('have no cosignature (%s) where it %s', async (code, _what, reply) => {
    expect(await codeOf(client(7, [reply]).cosign(ORIGIN, await checkpoint(), SIZE, reader, never))).toBe(code);
  });

  it('leave it alone for a while when it is away, ever longer, and not once it answered', async () => {
    const clock = { now: 0 };
    const subject = client(7, [() => new Response('', { status: 503 })], clock);
    const rests: number[] = [];
    for (let time = 0; time < 6; time += 1) {
      await codeOf(subject.cosign(ORIGIN, await checkpoint(), 0, reader, never));
      const begin = clock.now;
      while (subject.isResting) clock.now += 100;
      rests.push(clock.now - begin);
    }
    expect(rests).toEqual([500, 1_000, 2_000, 4_000, 5_000, 5_000]);
  });
});

describe('several witnesses', () => {
  const conflicts: string[] = [];
  const cosign = async (quorum: number, ...clients: WitnessClient[]) => {
    const witnesses = new Witnesses(clients, quorum, []);
    return (await witnesses.cosign(ORIGIN, await checkpoint(), 0, reader, never, ({ message }) => conflicts.push(message))).signatures;
  };
  const silent: Reply = () => new Promise(() => undefined);

  it('are enough as soon as the quorum has cosigned, and nobody waits for the others', async () => {
    const names = (await cosign(2, client(7, [silent]), client(8, [cosigns(8)]), client(9, [cosigns(9)]))).map(({ name }) => name);
    expect(names).toEqual(['example.org/audit', 'witness-8', 'witness-9']);
  });

  it('are too few where one less than the quorum cosigns', async () => {
    const away = client(7, [() => new Response('', { status: 503 })]);
    await expect(cosign(2, away, client(8, [cosigns(8)]))).rejects.toThrow('Too few witnesses');
    // It rests: that the others cannot do without it is known before anything is signed.
    expect(new Witnesses([away, client(8, [cosigns(8)])], 2, []).canCosign).toBe(false);
  });

  it('tell of another history, also where there are enough without it', async () => {
    await cosign(1, client(7, [() => new Response('', { status: 422 })]), client(8, [cosigns(8)]));
    expect(conflicts).toEqual([expect.stringMatching(/witness-7 has cosigned another history/)]);
  });
});

async function cosignedInTheNameOf(): Promise<Response> {
  const [made] = await cosignature((await checkpoint()).note, 8);
  const { name, keyId } = verifierOf(7);
  return new Response(Buffer.from(writeSignatureLines([{ name, keyId, signature: made?.signature as Uint8Array }])));
}

async function cosignedElse(): Promise<Response> {
  const text = writeCheckpoint({ origin: ORIGIN, size: 1, root: roots[1] as Uint8Array, extensions: [] });
  return new Response(Buffer.from(writeSignatureLines(await cosignature({ text, signatures: [] }, 7))));
}
