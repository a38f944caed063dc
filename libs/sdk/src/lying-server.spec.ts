import { beforeAll, describe, expect, it } from '@jest/globals';
import { verifyLog } from '@kms/evidence';
import { proveConsistency, proveInclusion, tileNodeReader, type Tile, tilePath } from '@kms/merkle';
import { flipBit, LOG_VERIFIER, MadeLog, makeRecords, ORIGIN, REMEMBERING, seeded, verifierKey } from '@kms/testing/made-log';
import { memoryCheckpointStore } from './checkpoint-store.ts';
import { KmsError } from './kms-error.ts';
import { createSdk, type Sdk } from './sdk.ts';

/*
 * A server that answers as the gateway does, until one of its answers is changed.
 */

const SIZE = 700;
const OLD = 300;
const random = seeded(7);
let log: MadeLog;
let old: Uint8Array;
let answers: Record<string, Uint8Array>;
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const idOf = (index: number) => (JSON.parse(Buffer.from(log.records[index] as Uint8Array).toString()) as { id: string }).id;

beforeAll(async () => {
  log = await new MadeLog(makeRecords(SIZE, random)).sign();
  old = await log.at(OLD);
  const nodes = tileNodeReader(
    { readTiles: async (tiles: readonly Tile[]) => tiles.map((tile) => log.files.get(tilePath(tile)) as Uint8Array) },
    SIZE,
  );
  const index = 500;
  const proof = (await proveInclusion(nodes, index, SIZE)).map(base64);
  const extension = (await proveConsistency(nodes, OLD, SIZE)).map(base64);
  answers = {
    '/audit/checkpoint': log.checkpoint,
    [`/audit/proof/${idOf(index)}.json`]: json({
      record: base64(log.records[index] as Uint8Array),
      index,
      proof,
      checkpoint: Buffer.from(log.checkpoint).toString(),
    }),
    [`/audit/consistency.json?from=${OLD}&to=${SIZE}`]: json({ from: OLD, to: SIZE, proof: extension }),
    ...Object.fromEntries([...log.files].filter(([path]) => path.startsWith('tile/')).map(([path, bytes]) => [`/audit/${path}`, bytes])),
  };
});

/** A client that knows an older checkpoint, of a server that gives these answers. */
async function client(given: Record<string, Uint8Array>): Promise<Sdk> {
  const store = memoryCheckpointStore();
  await store.save(old);
  const fetch = async (url: string | URL | Request) => {
    const body = given[String(url).slice('http://kms.example/2026-02-01'.length)];
    return body === undefined ? new Response('{"error":"This record does not exist"}', { status: 404 }) : new Response(Buffer.from(body));
  };
  return createSdk({ baseUrl: 'http://kms.example', apiKey: 'k', fetch, audit: { origin: ORIGIN, keys: [verifierKey()], store } });
}

/** A copy of a JSON value in which one string or number is another one, or a list is shorter or longer. */
function mutate(value: unknown): unknown {
  const copy = structuredClone(value) as Record<string, unknown>;
  const names = Object.keys(copy);
  const name = names[random.below(names.length)] as string;
  const member = copy[name];
  if (typeof member === 'number') copy[name] = member + 1 + random.below(5) - (member > 5 && random.below(2) === 0 ? 6 : 0);
  else if (typeof member === 'string')
    copy[name] = flipBit(Buffer.from(member), random.below(member.length * 8)).reduce((text, byte) => text + String.fromCharCode(byte), '');
  else copy[name] = mutateList(member as string[]);
  return copy;
}

function mutateList(list: string[]): string[] {
  const at = random.below(list.length);
  const other = base64(flipBit(Buffer.from(list[at] as string, 'base64'), random.below(256)));
  return [
    () => list.with(at, other),
    () => list.toSpliced(at, 1),
    () => list.toSpliced(at, 0, other),
    () => list.toReversed(),
    () => [...list, list[at] as string],
  ][random.below(5)]?.() as string[];
}

const refused = (error: unknown) => error instanceof KmsError && ['wrong-evidence', 'wrong-answer'].includes(error.code);

describe('a server that lies', () => {
  it('is believed as long as it does not', async () => {
    const { audit } = await client(answers);
    expect(await audit.checkpoint()).toMatchObject({ size: SIZE });
    expect(await audit.prove(idOf(500))).toMatchObject({ index: 500, event: { id: idOf(500) } });
    expect(await audit.consistency(old)).toMatchObject({ size: SIZE });
  });

  it('is refused for each of 600 changed checkpoints, proofs and records', async () => {
    for (let round = 0; round < 600; round += 1) {
      const paths = Object.keys(answers).filter((path) => !path.includes('/tile/'));
      const path = paths[round % paths.length] as string;
      const real = answers[path] as Uint8Array;
      const body = path.endsWith('checkpoint')
        ? flipBit(real, random.below(real.length * 8))
        : json(mutate(JSON.parse(Buffer.from(real).toString())));
      const { audit } = await client({ ...answers, [path]: body });
      const call = path.includes('proof') ? audit.prove(idOf(500)) : audit.checkpoint();
      const outcome = await call.then(
        () => 'believed',
        (error: unknown) => (refused(error) ? 'refused' : error),
      );
      if (outcome !== 'refused') throw new Error(`Round ${round}: ${Buffer.from(body).toString()} was ${String(outcome)}.`);
    }
  });

  it('is refused for each of 400 changed tiles and entry bundles', async () => {
    const paths = Object.keys(answers).filter((path) => path.includes('/tile/'));
    const policy = { origin: ORIGIN, logKeys: [LOG_VERIFIER] };
    for (let round = 0; round < 400; round += 1) {
      const path = paths[round % paths.length] as string;
      const real = answers[path] as Uint8Array;
      const other = answers[paths[(round + 1 + random.below(paths.length - 1)) % paths.length] as string] as Uint8Array;
      const cut = real.subarray(0, random.below(real.length));
      const body = [flipBit(real, random.below(real.length * 8)), cut, Buffer.concat([real, real]), other][random.below(4)] as Uint8Array;
      const { audit } = await client({ ...answers, [path]: body });
      const codes = /^(?:wrong-tile|wrong-root|wrong-record)$/;
      await expect(verifyLog(audit.files, { policy, sha256: REMEMBERING.sha256 })).rejects.toMatchObject({
        code: expect.stringMatching(codes),
      });
    }
  });

  it('is refused where it plays an older checkpoint back, forks, or answers for another record', async () => {
    const { audit } = await client(answers);
    await audit.checkpoint();
    const store = memoryCheckpointStore();
    await store.save(log.checkpoint);
    const trust = { origin: ORIGIN, keys: [verifierKey()], store };
    const serving = (bytes: Uint8Array) =>
      createSdk({ baseUrl: 'http://kms.example', apiKey: 'k', fetch: async () => new Response(Buffer.from(bytes)), audit: trust }).audit;
    await expect(serving(old).checkpoint()).rejects.toMatchObject({ code: 'wrong-evidence' });
    const fork = await new MadeLog(log.records.with(3, Buffer.from('other'))).sign();
    await expect(serving(fork.checkpoint).checkpoint()).rejects.toMatchObject({ code: 'wrong-evidence' });
    await expect(serving(answers[`/audit/proof/${idOf(500)}.json`] as Uint8Array).prove(idOf(499))).rejects.toMatchObject({
      code: 'wrong-evidence',
    });
    expect(await store.load()).toEqual(log.checkpoint);
  });
});
