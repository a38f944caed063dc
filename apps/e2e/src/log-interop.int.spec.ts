import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newTiles, parseNote, tilePath, writeInclusionDocument } from '@kms/merkle';
import { waitFor } from '@kms/testing';
import { ROOT, Suite } from './suite.ts';

/*
 * Another implementation reads the running server: tools/interop-go verifies, by Go's golang.org/x/mod/sumdb, what the API answers.
 * `npm run test:interop` runs this, and needs Go; `npm test` leaves it out.
 */

/** Enough reveals for two full tiles and a partial one. */
const REVEALS = 600;

let suite: Suite;
beforeAll(async () => {
  suite = await Suite.make();
  await suite.start();
}, 60_000);
afterAll(() => suite.remove(), 30_000);

async function download(path: string): Promise<Buffer> {
  const response = await fetch(`${suite.admin.baseUrl}/audit/${path}`, { headers: { authorization: `Bearer ${suite.admin.apiKey}` } });
  return response.status === 200 ? Buffer.from(await response.arrayBuffer()) : Buffer.alloc(0);
}

describe('Go', () => {
  it('verifies the checkpoint, every tile and record, and a proof, as the API answers them', async () => {
    const folder = join(suite.folder, 'log');
    const write = (file: string, content: string | Uint8Array) => {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), content);
    };
    await suite.create('secret', 'x');
    for (let reveal = 0; reveal < REVEALS; reveal += 50) {
      await Promise.all(Array.from({ length: 50 }, () => suite.reveal('secret')));
    }
    const sizeOf = (note: Buffer) => Number(note.toString().split('\n')[1] ?? 0);
    const note = await waitFor('the records to be under a checkpoint', async () => {
      const newest = await download('checkpoint');
      return sizeOf(newest) >= REVEALS ? newest : null;
    });
    const size = sizeOf(note);
    write(`checkpoint/${size}`, note);
    write('origin', `localhost/audit/${suite.admin.organizationId}\n`);
    write('log.vkey', `${(JSON.parse((await download('keys.json')).toString()) as { keys: string[] }).keys[0]}\n`);
    for (const tile of newTiles(0, size)) write(tilePath(tile), await download(tilePath(tile)));

    const [record] = await suite.records('handler=secret&outcome=success&size=1&page=300');
    const proven = JSON.parse((await download(`proof/${String(record?.['id'])}.json`)).toString()) as {
      index: number;
      proof: string[];
      checkpoint: string;
    };
    const proof = proven.proof.map((hash) => Buffer.from(hash, 'base64'));
    const checkpoint = parseNote(Buffer.from(proven.checkpoint));
    const provenSize = sizeOf(Buffer.from(proven.checkpoint));
    for (const tile of newTiles(0, provenSize)) write(tilePath(tile), await download(tilePath(tile)));
    write(`checkpoint/${provenSize}`, proven.checkpoint);
    write(`inclusion/${provenSize}-${proven.index}`, writeInclusionDocument({ index: proven.index, proof, checkpoint }));
    mkdirSync(join(folder, 'consistency'));

    const go = spawnSync('go', ['run', '-buildvcs=false', '.', folder], { cwd: join(ROOT, 'tools/interop-go'), encoding: 'utf8' });
    const checkpoints = new Set([size, provenSize]).size;
    expect(go).toMatchObject({
      stderr: '',
      stdout: `ok: ${checkpoints} checkpoints, ${provenSize} records, 1 inclusion proofs, 0 consistency proofs\n`,
    });
  }, 200_000);
});
