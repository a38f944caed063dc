import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { filesIn, LOG_VERIFIER, MadeLog, makeRecords, ORIGIN, REMEMBERING, seeded, WITNESS_VERIFIER } from '@kms/testing/made-log';
import { verifyPack, type PackExpectations } from './verify-pack.ts';
import { writePack, type PackContent } from './write-pack.ts';

const expected = (more: PackExpectations = {}): PackExpectations => ({
  logKeys: [LOG_VERIFIER],
  origin: ORIGIN,
  crypto: REMEMBERING,
  ...more,
});

async function pack(log: MadeLog, content: Partial<PackContent> = {}): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  await writePack(log, { write: async (path, bytes) => void files.set(path, bytes) }, { keys: [], ...content });
  return files;
}

describe('a clean pack', () => {
  it('is never refused, whatever the size, the writers, the holes, the range and the checkpoints before', async () => {
    let packs = 0;
    const shape = fc.record({
      seed: fc.nat(),
      size: fc.oneof(
        { weight: 4, arbitrary: fc.integer({ min: 0, max: 200 }) },
        { weight: 1, arbitrary: fc.constantFrom(255, 256, 257, 512, 1_025) },
      ),
      writers: fc.integer({ min: 1, max: 6 }),
      holes: fc.constantFrom(0, 10, 90),
      late: fc.constantFrom(0, 0, 20),
      witnessed: fc.boolean(),
      older: fc.array(fc.nat(), { maxLength: 2 }),
      range: fc.tuple(fc.nat(), fc.nat()),
      whole: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ seed, size, older, range, whole, witnessed, ...rest }) => {
        const records = makeRecords(size, seeded(seed), rest);
        const log = await new MadeLog(records).sign({ witnessed });
        const before = await Promise.all(older.map((old) => log.at(old % (size + 1))));
        const [from, to] = range.map((at) => at % (size + 1)).sort((a, b) => a - b) as [number, number];
        const asked = whole ? {} : { from, to };
        const files = await pack(log, { ...asked, older: before });
        const report = await verifyPack(
          filesIn(files),
          expected({ ...asked, known: before, witnesses: witnessed ? [WITNESS_VERIFIER] : [] }),
        );
        expect(report.checkpoint.checkpoint.size).toBe(size);
        expect(report.writers.reduce((sum, writer) => sum + writer.records, 0)).toBe(report.to - report.from);
        if (whole) expect([report.from, report.to]).toEqual([0, size]);
        if (rest.holes === 0 && whole) expect(report.links).toBe(size - report.writers.length);
        packs += 1;
      }),
      { numRuns: 1_000 },
    );
    expect(packs).toBe(1_000);
  }, 120_000);

  it('may have tiles on three levels', async () => {
    const size = 66_000;
    const log = await new MadeLog(makeRecords(size, seeded(3))).sign();
    const older = [await log.at(65_000), await log.at(65_536), await log.at(300)];
    const files = await pack(log, { older });
    expect(files.has('tile/1/000') && files.has('tile/2/000.p/1')).toBe(true);
    expect((await verifyPack(filesIn(files), expected({ known: older }))).extends).toEqual([65_000, 65_536, 300, 300, 65_000, 65_536]);
    const part = await pack(log, { from: 65_530, to: 65_800, older });
    const report = await verifyPack(filesIn(part), expected({ from: 65_530, to: 65_800, known: older }));
    expect([report.from, report.to, part.size < 20]).toEqual([65_280, 66_000, true]);
    const wrong = new Map(files).set('tile/1/000', new Uint8Array(8_192));
    await expect(verifyPack(filesIn(wrong), expected())).rejects.toMatchObject({
      code: 'wrong-tile',
      message: expect.stringContaining('tile/1/000'),
    });
  }, 120_000);
});
