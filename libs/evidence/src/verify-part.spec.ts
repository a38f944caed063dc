import { beforeAll, describe, expect, it } from '@jest/globals';
import { nodeSha256 } from '@kms/merkle';
import { flipBit, LOG_VERIFIER, MadeLog, makeRecords, ORIGIN, REMEMBERING, seeded } from '@kms/testing/made-log';
import fc from 'fast-check';
import { EvidenceError } from './evidence-error.ts';
import type { LogFiles } from './log-files.ts';
import { verifyLog, type LogExpectations } from './verify-log.ts';
import { verifyPart, type Elsewhere } from './verify-part.ts';

const SIZE = 1_300;
const policy = { origin: ORIGIN, logKeys: [LOG_VERIFIER] };

/** Another place that is this one. */
const beside = (files: LogFiles): Elsewhere => ({
  least: 512,
  verify: (part) =>
    verifyPart(files, part, nodeSha256).catch((error: unknown) => (error instanceof EvidenceError ? null : Promise.reject(error))),
});

/** What is said of a log. */
async function said(files: LogFiles, more: Partial<LogExpectations> = {}): Promise<unknown> {
  try {
    return await verifyLog(files, { policy, sha256: REMEMBERING.sha256, ...more });
  } catch (error) {
    if (error instanceof EvidenceError) return { code: error.code, message: error.message, record: error.record };
    throw error;
  }
}

describe('a log of which a part is verified elsewhere', () => {
  let records: Buffer[];

  beforeAll(() => {
    records = makeRecords(SIZE, seeded(1_300), { writers: 3, holes: 10, late: 10 });
  });

  it('gets the same report, and half of it is verified here', async () => {
    const log = await new MadeLog(records).sign();
    let here = 0;
    const parted = await said(log, { elsewhere: beside(log), progress: (count) => (here = count) });
    expect(parted).toEqual(await said(log));
    expect(parted).toMatchObject({ from: 0, to: SIZE, unchecked: 0 });
    expect(here).toBe(768);
  });

  it('is refused with the same words, whatever was done to it and wherever', async () => {
    const at = fc.nat(SIZE - 1);
    const kind = fc.constantFrom('edit', 'double', 'swap', 'unsigned edit', 'missing');
    await fc.assert(
      fc.asyncProperty(kind, at, at, async (what, one, other) => {
        const changed: Uint8Array[] = [...records];
        const edited = flipBit(records[one] as Buffer, (records[one] as Buffer).length * 8 - 24);
        if (what === 'edit') changed[one] = edited;
        if (what === 'double') changed.splice(other, 0, records[one] as Buffer);
        if (what === 'swap') [changed[one], changed[other]] = [records[other] as Buffer, records[one] as Buffer];
        const log = await new MadeLog(changed).sign();
        const path = `tile/entries/00${Math.floor(one / 256)}`;
        const bundle = log.files.get(path);
        if (what === 'unsigned edit' && bundle !== undefined) log.files.set(path, flipBit(bundle, other));
        if (what === 'missing') log.files.delete(path);
        expect(await said(log, { elsewhere: beside(log) })).toEqual(await said(log));
      }),
      { numRuns: 40 },
    );
  });

  it('is refused where the link between the two parts is broken', async () => {
    for (let at = 768; at < 778; at += 1) {
      const record = records[at] as Buffer;
      const log = await new MadeLog(records.with(at, Buffer.from(flipBit(record, record.length * 8 - 24)))).sign();
      const alone = await said(log);
      expect(alone).toMatchObject({ code: expect.stringMatching(/^(?:broken-chain|not-an-event)$/) });
      expect(await said(log, { elsewhere: beside(log) })).toEqual(alone);
    }
  });

  it('is verified here where it could not be verified elsewhere', async () => {
    const log = await new MadeLog(records).sign();
    const ended: boolean[] = [];
    const elsewhere = {
      least: 512,
      verify: async (_: unknown, signal: AbortSignal) => (signal.addEventListener('abort', () => ended.push(true)), null),
    };
    expect(await said(log, { elsewhere })).toEqual(await said(log));
    expect(ended).toEqual([true]);
  });
});
