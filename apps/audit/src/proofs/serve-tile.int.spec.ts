import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { auditData, prepareEvent, type TileRequest } from '@kms/contracts';
import {
  CompactRange,
  ED25519_NOTE,
  newTiles,
  readCompactRange,
  SHA256_TREE,
  tileNodeReader,
  tileNodes,
  tilePath,
  writeEntryBundle,
  writeSignerKey,
  type Tile,
} from '@kms/merkle';
import { createLogger, KeptFiles } from '@kms/platform';
import { createPool, migrate } from '@kms/postgres';
import { startTestPostgres, type TestPostgres } from '@kms/testing';
import type pg from 'pg';
import { parseLogKeys } from '../checkpoint/log.fixture.ts';
import { PublishCheckpoints } from '../checkpoint/publish-checkpoints.ts';
import { NO_WITNESSES } from '../checkpoint/witnesses.ts';
import { AppendBatch } from '../ingest/append-batch.ts';
import { AUDIT_MIGRATIONS, auditGrants } from '../migrations/index.ts';
import { MAX_PART_BYTES, serveTile } from './serve-tile.ts';

const ORGANIZATION = '1'.repeat(24);
/** Records of the checkpoint, and of the ledger, which goes on behind it. */
const [PUBLISHED, SIZE] = [600, 700];

let postgres: TestPostgres;
let pool: pg.Pool;
const folder = mkdtempSync(join(tmpdir(), 'kms-tiles-'));

/** Every fifth record nearly fills its place in a bundle, so that a bundle takes many answers. */
const records = Array.from({ length: SIZE }, (_, index) => {
  const name = 'x'.repeat(index % 5 === 0 ? 64_000 : index % 300);
  const data = auditData({ organizationId: ORGANIZATION, apiKeyName: name, action: 'reveal', outcome: 'success' });
  const id = index.toString(16).padStart(24, '0');
  const place = prepareEvent({ id, source: '/vault', type: 'kms.secret.revealed.v1', time: '2026-01-01T00:00:00.000Z', data });
  return Buffer.from(place({ writer: 'a'.repeat(24), sequence: index + 1, previousHash: '0'.repeat(64) }));
});

async function append(from: number, to: number): Promise<void> {
  const logger = createLogger('test');
  const messages = records.slice(from, to).map((value, index) => ({ offset: BigInt(from + index), key: Buffer.from(ORGANIZATION), value }));
  const ledger = new AppendBatch({ pool, operatorOrganizationId: '0'.repeat(24), logger, now: () => new Date() });
  await ledger.handle({ topic: 'topic', partition: 0, messages, nextOffset: BigInt(to) });
}

/** A tile or bundle as the gateway puts it together, with the number of answers that it took. */
async function read(tile: Tile): Promise<{ bytes: Buffer; answers: number } | null> {
  const parts: Buffer[] = [];
  for (let from = 0; from < tile.width;) {
    const reply = await serveTile(pool, { organizationId: ORGANIZATION, ...tile, from } satisfies TileRequest);
    if (reply.status !== 'ok') return null;
    parts.push(Buffer.from(reply.value.bytes, 'base64'));
    from = reply.value.to;
  }
  return { bytes: Buffer.concat(parts), answers: parts.length };
}

beforeAll(async () => {
  postgres = await startTestPostgres();
  const database = await postgres.createDatabase();
  await migrate({ ...database, migrations: AUDIT_MIGRATIONS, grants: auditGrants });
  pool = createPool(database.serviceUrl, () => undefined);
  await append(0, PUBLISHED);
  const keys = parseLogKeys(writeSignerKey({ name: 'example.org/audit', type: ED25519_NOTE.type, seed: Buffer.alloc(32, 1) }));
  const signing = { keys, kept: new KeptFiles(folder), witnesses: NO_WITNESSES };
  await new PublishCheckpoints({ pool, ...signing, logger: createLogger('test'), now: () => new Date() }).publishDue();
  await append(PUBLISHED, SIZE);
}, 60_000);

afterAll(async () => {
  await pool.end();
  await postgres.stop();
  rmSync(folder, { recursive: true });
});

describe('the ledger’s tiles', () => {
  const hashes = new Map<string, Uint8Array>();
  const tree = CompactRange.empty();
  for (const record of records.slice(0, PUBLISHED)) {
    tree.append(SHA256_TREE.leaf(record), ({ level, index }, hash) => hashes.set(`${level}/${index}`, hash));
  }

  it.each(newTiles(0, PUBLISHED).map((tile) => [tilePath(tile), tile] as const))('have at %s what the records say', async (_path, tile) => {
    const held = await read(tile);
    const nodes = tileNodes(tile);
    if (tile.level === 'entries') {
      const expected = writeEntryBundle(nodes.map(({ index }) => records[index] as Buffer));
      expect(held?.bytes.equals(expected)).toBe(true);
      expect(held?.answers).toBeGreaterThan(1);
    } else {
      expect(held?.bytes).toEqual(Buffer.concat(nodes.map(({ level, index }) => hashes.get(`${level}/${index}`) as Uint8Array)));
    }
  });

  it('are enough for the root that was signed', async () => {
    const readTiles = (tiles: readonly Tile[]) => Promise.all(tiles.map(async (tile) => (await read(tile))?.bytes as Buffer));
    const edge = await readCompactRange(tileNodeReader({ readTiles }, PUBLISHED), PUBLISHED);
    expect(edge.root()).toEqual(tree.root());
  });

  it('have any beginning of a tile', async () => {
    const whole = (await read({ level: 0, index: 0, width: 256 }))?.bytes;
    expect((await read({ level: 0, index: 0, width: 7 }))?.bytes).toEqual(whole?.subarray(0, 7 * 32));
    const bundle = (await read({ level: 'entries', index: 1, width: 3 }))?.bytes as Buffer;
    expect(bundle.equals(writeEntryBundle(records.slice(256, 259)))).toBe(true);
  });

  it.each<Tile>([
    { level: 0, index: 2, width: 89 },
    { level: 0, index: 2, width: 256 },
    { level: 'entries', index: 2, width: 89 },
    { level: 0, index: 3, width: 1 },
    { level: 1, index: 0, width: 3 },
    { level: 2, index: 0, width: 1 },
    { level: 63, index: 0, width: 1 },
    { level: 0, index: Number.MAX_SAFE_INTEGER, width: 1 },
  ])('have nothing beyond the checkpoint: %p', async (tile) => {
    expect(await read(tile)).toBeNull();
  });

  it('take no answer that a frame of the hop could not hold', () => {
    const largest = Math.ceil((MAX_PART_BYTES + 2 * 256) / 3) * 4;
    expect(largest).toBeLessThan(1_000_000);
  });
});
