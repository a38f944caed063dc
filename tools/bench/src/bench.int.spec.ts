import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { servingCpu } from './against.ts';
import { chooseGenerator } from './generator.ts';
import { toMarkdown } from './markdown.ts';
import { QUICK } from './plan.ts';
import { Result, type LedgerCosts, type RevealLine, type Yardstick } from './result.ts';
import { beginResult, runBench, type RunOptions } from './run.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kms-bench-'));
  await chmod(directory, 0o755);
});

afterEach(() => rm(directory, { recursive: true, force: true }));

describe('the benchmark', () => {
  it('measures a suite of its own, and every part has its cost', async () => {
    const [broker, generator] = ['stand-in', chooseGenerator('autocannon')] as const;
    const result = beginResult({ broker, generator });
    const options: RunOptions = {
      broker,
      generator,
      instances: 1,
      profile: undefined,
      plan: {
        ...QUICK,
        sections: ['reveal', 'ledger'],
        seconds: 1,
        connections: [1, 64],
        lagProbes: 2,
        records: 600,
        appended: 300,
        appendRounds: 1,
      },
      directory,
      signal: AbortSignal.timeout(230_000),
      say: () => undefined,
    };
    await runBench(options, result);
    expect(Result.parse(JSON.parse(JSON.stringify(result)))).toEqual(result);
    expect(result.reveal.map(({ connections, entries, failures }) => ({ connections, entries, failures }))).toEqual([
      { connections: 1, entries: 10, failures: [] },
      { connections: 64, entries: 10, failures: [] },
    ]);
    const { cpuMsBefore, cpuMsAfter } = result.machine.yardstick as Yardstick;
    for (const cpuMs of [cpuMsBefore, cpuMsAfter]) expect(cpuMs).toBeGreaterThan(0);
    const [one, many] = result.reveal as [RevealLine, RevealLine];
    expect(many.records).toBeGreaterThan(one.records);
    for (const line of result.reveal) {
      const { gateway, vault, postgres, audit, generator, ledgerPostgres } = line.cpuMsPerReveal;
      for (const part of [gateway, vault, postgres, audit, generator, ledgerPostgres]) expect(part).toBeGreaterThan(0);
      expect(line.memory.gateway.rssBytes).toBeGreaterThanOrEqual(line.memory.gateway.pssBytes);
      expect(line.memory.vaultPostgres.pssBytes).toBeGreaterThan(0);
    }
    const { withTree, withoutTree, proof, verifiedPerSecond, bytesPerRecord } = result.ledgerCosts as LedgerCosts;
    for (const { recordsPerSecond, postgresMsPerRecord } of [withTree, withoutTree]) {
      expect(recordsPerSecond).toBeGreaterThan(0);
      expect(postgresMsPerRecord).toBeGreaterThan(0);
    }
    expect(proof.records).toBeGreaterThanOrEqual(600);
    expect(proof.p99Ms).toBeGreaterThanOrEqual(proof.p50Ms);
    expect(verifiedPerSecond).toBeGreaterThan(0);
    expect(bytesPerRecord.table).toBeGreaterThan(bytesPerRecord.event);
    expect(result.ledger?.lagMsP99).toBeGreaterThan(0);
    expect(toMarkdown(result, result)).toContain(`| ${Math.round(servingCpu(many) * 1e3)} |`);
  }, 240_000);
});
