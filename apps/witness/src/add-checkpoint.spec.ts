import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  COSIGNATURE_V1,
  cosignatureTime,
  cosigner,
  NODE_CRYPTOGRAPHY,
  noteVerifier,
  openCheckpointNote,
  parseSignatureLines,
  type CheckpointPolicy,
} from '@kms/merkle';
import { KeptFiles } from '@kms/platform';
import fc from 'fast-check';
import { Witness, type Answer } from './add-checkpoint.ts';
import { logKey, logSigner, ORIGIN, TestLog } from './log.fixture.ts';
import { parseWitnessedLogs } from './witnessed-logs.ts';

const NOW = 1_764_000_000;
const key = NODE_CRYPTOGRAPHY.ed25519.signingKey(Buffer.alloc(32, 9));
const verifier = noteVerifier({ name: 'witness.example', type: COSIGNATURE_V1.type, publicKey: key.publicKey }, [COSIGNATURE_V1]);
const logs = parseWitnessedLogs(`example.org/audit/* ${logKey(1)}`);
const log = new TestLog(300);
const fork = new TestLog(300, (index) => (index < 5 ? `record ${index}` : `other ${index}`));
const otherOrigin = `example.org/audit/${'2'.repeat(24)}`;

let folder: string;
let said: string[];
let clock = 0;

/** As after a start. */
const witness = () =>
  new Witness({
    signer: cosigner('witness.example', key, () => NOW),
    logs,
    kept: new KeptFiles(folder),
    logger: { warn: (_: object, line: string) => said.push(line), fatal: (_: object, line: string) => said.push(line) } as never,
    now: () => clock,
  });

const shown = ({ status, contentType, body }: Answer) => [status, contentType, Buffer.from(body).toString()];
const ask = async (body: Uint8Array | Promise<Uint8Array>) => witness().addCheckpoint(await body);
const statusOf = async (body: Uint8Array | Promise<Uint8Array>) => (await ask(body)).status;
/** Where the witness is, as it says itself. */
const last = async (of = log) => Number(shown(await ask(of.request(0, of.size)))[2]);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kms-witness-'));
  said = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('a witness', () => {
  it('cosigns what extends what it cosigned before, so that a verifier who asks for it believes', async () => {
    const policy: CheckpointPolicy = { origin: ORIGIN, logKeys: [], witnesses: [verifier], quorum: 1 };
    let before = 0;
    for (const size of [1, 5, 5, 256, 300]) {
      const { status, body } = await ask(log.request(before, size));
      expect(status).toBe(200);
      const [signature] = parseSignatureLines(body);
      const note = await log.note(size);
      const cosigned = { text: note.text, signatures: [...note.signatures, ...parseSignatureLines(body)] };
      const logKeys = [logVerifier(1)];
      expect(openCheckpointNote(cosigned, { ...policy, logKeys }).checkpoint.size).toBe(size);
      expect(() => openCheckpointNote(note, { ...policy, logKeys })).toThrow(/Too few witnesses/);
      expect(cosignatureTime(signature?.signature as Uint8Array)).toBe(NOW);
      before = size;
    }
  });

  it.each([
    ['what is no request', async () => Buffer.from('nonsense'), 400],
    ['a request cut short', async () => (await log.request(5, 9)).subarray(0, -1), 400],
    ['an old size above the checkpoint’s', async () => Buffer.from(Buffer.from(await log.request(5, 9)).toString().replace('old 5', 'old 10')), 400], // prettier-ignore
    ['a log that it does not know', () => new TestLog(9, undefined, 'example.org/audit').request(5, 9), 404],
    ['a log of another deployment', () => new TestLog(9, undefined, `other.example/audit/${'1'.repeat(24)}`).request(5, 9), 404],
    ['a key that it does not know', () => new TestLog(9, undefined, ORIGIN, [logSigner(2)]).request(5, 9), 403],
    ['another log’s signature', async () => swapOrigin(await new TestLog(9, undefined, otherOrigin).request(5, 9)), 403],
    ['an older checkpoint, played back', () => log.request(0, 3), 409],
    ['the one that it cosigned, once more from the beginning', () => log.request(0, 5), 409],
    ['a proof from another size', () => log.request(4, 9), 409],
    ['a fork of the same size', () => forkOfSize5().request(5, 5), 409],
    ['a fork that is longer', () => forkOfSize5().request(5, 9), 422],
    ['a proof that is not one', async () => wrongProof(await log.request(5, 9)), 422],
  ])('refuses %s, and is where it was', async (_what, body, status) => {
    expect(await statusOf(log.request(0, 5))).toBe(200);
    const answer = await ask(body());
    expect(answer.status).toBe(status);
    if (status === 409) expect(shown(answer)).toEqual([409, 'text/x.tlog.size', '5\n']);
    expect(await last()).toBe(5);
    expect(await statusOf(log.request(5, 9))).toBe(200);
  });

  it('says aloud, with both, that a log has signed two checkpoints of one size', async () => {
    await ask(log.request(0, 5));
    await ask(forkOfSize5().request(5, 5));
    expect(said).toEqual([expect.stringContaining('two histories')]);
  });

  it('has a history for each log, and one key for all of a deployment', async () => {
    const other = new TestLog(7, (index) => `another ${index}`, otherOrigin);
    expect(await statusOf(log.request(0, 5))).toBe(200);
    expect(await statusOf(other.request(0, 7))).toBe(200);
    expect([await last(), await last(other)]).toEqual([5, 7]);
  });

  it('never cosigns two histories, whatever is asked at the same time, of whichever process', async () => {
    const histories = [log, fork];
    const asked = fc.record({ of: fc.nat(1), from: fc.constantFrom(0, 3, 8, 20), to: fc.constantFrom(3, 8, 20, 40), process: fc.nat(1) });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(asked, { minLength: 2, maxLength: 6 }), { maxLength: 4 }), async (rounds) => {
        rmSync(folder, { recursive: true });
        await new KeptFiles(folder).prepare();
        const processes = [witness(), witness()];
        const cosigned = new Set<number>();
        for (const round of rounds) {
          await Promise.all(
            round.map(async ({ of, from, to, process }) => {
              const body = await (histories[of] as TestLog).request(Math.min(from, to), to);
              const { status } = await (processes[process] as Witness).addCheckpoint(body);
              // Up to 5 records both histories are the same.
              if (status === 200 && to > 5) cosigned.add(of);
            }),
          );
        }
        expect(cosigned.size).toBeLessThanOrEqual(1);
      }),
      { numRuns: 25 },
    );
  }, 60_000);

  it('cosigns nothing where what it cosigned last is damaged or another log’s: it does not begin anew', async () => {
    await ask(log.request(0, 5));
    const [name] = readdirSync(folder) as [string];
    writeFileSync(join(folder, name, '1'), 'damaged');
    await expect(ask(log.request(0, 300))).rejects.toThrow(/is damaged/);
    writeFileSync(join(folder, name, '1'), Buffer.from(`${otherOrigin}\n5\n${'A'.repeat(43)}=\n\n— a AAAAAAA=\n`));
    await expect(ask(log.request(0, 300))).rejects.toThrow(/of another log/);
  });

  it('counts what becomes of each request, and how long it has cosigned nothing', async () => {
    clock = 1_000;
    const subject = witness();
    const ask_ = async (body: Uint8Array | Promise<Uint8Array>) => subject.addCheckpoint(await body);
    clock = 5_000;
    await ask_(log.request(0, 5));
    clock = 7_500;
    for (const body of [
      Buffer.from('nonsense'),
      new TestLog(9, undefined, 'example.org/audit').request(5, 9),
      new TestLog(9, undefined, ORIGIN, [logSigner(2)]).request(5, 9),
      log.request(0, 5),
      forkOfSize5().request(5, 5),
      forkOfSize5().request(5, 9),
    ])
      await ask_(body);
    const once = { cosigned: 1, malformed: 1, 'unknown-log': 1, untrusted: 1, conflict: 1, 'two-histories': 1, inconsistent: 1, failed: 0 };
    expect([subject.outcomes, subject.answered, subject.underWay, subject.idleMs]).toEqual([once, 7, 0, 2_500]);
    const [name] = readdirSync(folder) as [string];
    writeFileSync(join(folder, name, '1'), 'damaged');
    await expect(ask_(log.request(5, 9))).rejects.toThrow();
    expect([subject.outcomes.failed, subject.idleMs]).toEqual([1, 2_500]);
  });

  it('has work for as long as its disk does not answer, and comes no further', async () => {
    let goOn: () => void = () => undefined;
    const disk = new Promise<void>((resolve) => (goOn = resolve));
    const kept = { read: async () => null, replace: () => disk };
    const dependencies = { signer: cosigner('witness.example', key, () => NOW), logs, kept, logger: {} as never, now: () => 0 };
    const subject = new Witness(dependencies);
    const asked = subject.addCheckpoint(await log.request(0, 5));
    expect([subject.underWay, subject.answered]).toEqual([1, 0]);
    goOn();
    expect((await asked).status).toBe(200);
    expect([subject.underWay, subject.answered]).toEqual([0, 1]);
  });

  it('answers nothing that it could not store', async () => {
    const kept = { read: async () => null, replace: () => Promise.reject(new Error('no space')) };
    const signer = { ...cosigner('witness.example', key, () => NOW), sign: () => Promise.reject(new Error('it was signed')) };
    const subject = new Witness({ signer, logs, kept, logger: {} as never, now: () => 0 });
    await expect(subject.addCheckpoint(await log.request(0, 5))).rejects.toThrow('no space');
  });
});

const logVerifier = (seed: number) => parseWitnessedLogs(`${ORIGIN} ${logKey(seed)}`).keysOf(ORIGIN)[0] as ReturnType<typeof noteVerifier>;

const forkOfSize5 = () => new TestLog(9, (index) => (index < 3 ? `record ${index}` : `other ${index}`));

const swapOrigin = (body: Uint8Array) => Buffer.from(Buffer.from(body).toString().replace(otherOrigin, ORIGIN));

function wrongProof(body: Uint8Array): Buffer {
  const [old, first = '', ...rest] = Buffer.from(body).toString().split('\n');
  const changed = Buffer.from(first, 'base64').map((byte, index) => (index === 0 ? byte ^ 1 : byte));
  return Buffer.from([old, Buffer.from(changed).toString('base64'), ...rest].join('\n'));
}
