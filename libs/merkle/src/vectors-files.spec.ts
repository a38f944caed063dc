import { checkInclusion } from './check-proof.ts';
import { parseEntryBundle, writeEntryBundle } from './entry-bundle.ts';
import type { MerkleErrorCode } from './merkle-error.ts';
import { NaiveTree } from './naive-tree.fixture.ts';
import { parseAddCheckpoint, parseInclusionDocument, writeAddCheckpoint, writeInclusionDocument } from './proof-document.ts';
import { newTiles, parseTilePath, tilePath, type Tile } from './tile.ts';
import { SHA256_TREE } from './tree-hasher.ts';
import { describeVectors, type Refusal, type Vector } from './vectors.fixture.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const base64 = (text: string) => Buffer.from(text, 'hex').toString('base64');

interface PathVector extends Vector {
  path: string;
  expected: Tile | Refusal;
}
const path = (text: string, level: Tile['level'], index: number, width = 256): PathVector => ({
  name: text,
  path: text,
  expected: { level, index, width },
});
const noPath = (text: string, error: MerkleErrorCode = 'format'): PathVector => ({
  name: `no path: "${text}"`,
  path: text,
  expected: { error },
});

const PATHS: PathVector[] = [
  path('tile/0/000', 0, 0),
  path('tile/0/000.p/1', 0, 0, 1),
  path('tile/0/999.p/255', 0, 999, 255),
  path('tile/0/x001/000', 0, 1000),
  path('tile/0/x001/x234/067', 0, 1234067),
  path('tile/63/x001/067.p/8', 63, 1067, 8),
  path('tile/1/x009/x007/x199/x254/x740/991', 1, 2 ** 53 - 1),
  path('tile/entries/000', 'entries', 0),
  path('tile/entries/x001/067.p/8', 'entries', 1067, 8),
  ...[
    '',
    'tile',
    'tile/0',
    'tile/0/',
    '/tile/0/000',
    'tile/0/000/',
    'tile/0/000\n',
    'tile//000',
    'tile/-1/000',
    'tile/00/000',
    'tile/64/000',
  ].map((text) => noPath(text)),
  ...['tile/8/0/000', 'tile/data/000', 'tile/0/0', 'tile/0/0000', 'tile/0/1000', 'tile/0/x000/001', 'tile/0/x001', 'tile/0/001/067'].map(
    (text) => noPath(text),
  ),
  ...[
    'tile/0/x01/067',
    'tile/0/X001/067',
    'tile/0/00a',
    'tile/0/٠٠٠',
    'tile/0/../000',
    'tile/0/000.p',
    'tile/0/000.p/',
    'tile/0/000.p/0',
  ].map((text) => noPath(text)),
  ...['tile/0/000.p/01', 'tile/0/000.p/256', 'tile/0/000.p/257', 'tile/0/000.p/-1', 'tile/0/000.P/1', 'tile/0/000.p/1/2'].map((text) =>
    noPath(text),
  ),
  noPath('tile/0/x009/x007/x199/x254/x740/992', 'too-large'),
];

interface GrowthVector extends Vector {
  oldSize: number;
  newSize: number;
  expected: { paths: string[] } | Refusal;
}
const growth = (oldSize: number, newSize: number, ...paths: string[]): GrowthVector => ({
  name: `from ${oldSize} to ${newSize}`,
  oldSize,
  newSize,
  expected: { paths },
});
const level0 = (...tiles: string[]) => [...tiles.map((tile) => `tile/entries/${tile}`), ...tiles.map((tile) => `tile/0/${tile}`)];

const GROWTHS: GrowthVector[] = [
  growth(0, 0),
  growth(0, 1, ...level0('000.p/1')),
  growth(1, 1),
  growth(1, 2, ...level0('000.p/2')),
  growth(0, 255, ...level0('000.p/255')),
  growth(255, 256, ...level0('000'), 'tile/1/000.p/1'),
  growth(256, 257, ...level0('001.p/1')),
  growth(250, 600, ...level0('000', '001', '002.p/88'), 'tile/1/000.p/2'),
  growth(65_535, 65_536, ...level0('255'), 'tile/1/000', 'tile/2/000.p/1'),
  growth(65_536, 65_792, ...level0('256'), 'tile/1/001.p/1'),
  growth(16_777_215, 16_777_216, ...level0('x065/535'), 'tile/1/255', 'tile/2/000', 'tile/3/000.p/1'),
  { ...growth(2, 1), expected: { error: 'invalid-argument' } },
  { ...growth(0, 2 ** 53), expected: { error: 'invalid-argument' } },
  { ...growth(-1, 1), expected: { error: 'invalid-argument' } },
];

interface BundleVector extends Vector {
  bundle: string;
  width: number;
  expected: { records: string[] } | Refusal;
}
const bundle = (name: string, ...records: string[]): BundleVector => ({
  name,
  bundle: records.map((record) => (record.length / 2).toString(16).padStart(4, '0') + record).join(''),
  width: records.length,
  expected: { records },
});
const noBundle = (name: string, text: string, width: number, error: MerkleErrorCode = 'format') => ({
  name,
  bundle: text,
  width,
  expected: { error },
});

const BUNDLES: BundleVector[] = [
  bundle('one record', 'aabbcc'),
  bundle('an empty record', ''),
  bundle('three records, one of them empty', '01', '', '0203'),
  bundle('a record of 257 bytes', 'ab'.repeat(257)),
  bundle('256 records', ...Array.from({ length: 256 }, (_, index) => index.toString(16).padStart(2, '0'))),
  noBundle('no bytes', '', 1),
  noBundle('half a length', '00', 1),
  noBundle('a record that is cut', '0003aabb', 1),
  noBundle('one record too few', '0001aa', 2),
  noBundle('one record too many', '0001aa0001bb', 1),
  noBundle('a byte behind the last record', '0001aa00', 1),
  noBundle('no width', '', 0, 'invalid-argument'),
  noBundle('a width of 257', '0000'.repeat(257), 257, 'invalid-argument'),
];

const RECORDS = Array.from({ length: 5 }, (_, index) => Buffer.from(`record ${index}`));
const tree = new NaiveTree(RECORDS);
const CHECKPOINT = `log.example\n5\n${base64(tree.mth(0, 5))}\n\n— log.example AAAAAAE=\n`;
const HASHES = tree.path(2, 0, 5).map(base64);
const HASH_LINES = HASHES.map((hash) => `${hash}\n`).join('');

interface DocumentVector extends Vector {
  text: string;
  expected: { extra?: string; index?: number; oldSize?: number; proof: string[] } | Refusal;
}
const document = (name: string, head: string, expected: object, hashes = HASHES): DocumentVector => ({
  name,
  text: `${head}${hashes.map((hash) => `${hash}\n`).join('')}\n${CHECKPOINT}`,
  expected: { proof: hashes, ...expected },
});
const noDocument = (name: string, text: string, error: MerkleErrorCode = 'format') => ({ name, text, expected: { error } });

const HEADER = 'c2sp.org/tlog-proof@v1\n';
const NULL_HASH = Buffer.alloc(32).toString('base64');
const proofOf = (head: string, tail = `\n${CHECKPOINT}`) => `${head}${HASH_LINES}${tail}`;

/** What both documents refuse, behind a first part that is good. */
const refusals = (head: string): DocumentVector[] => [
  noDocument('no text', ''),
  noDocument('no empty line', `${head}${HASH_LINES}`),
  noDocument('no checkpoint', `${head}${HASH_LINES}\n`),
  noDocument('a checkpoint without signatures', proofOf(head, `\n${CHECKPOINT.split('\n\n')[0] ?? ''}\n`)),
  noDocument('a checkpoint of two lines', proofOf(head, '\nlog.example\n5\n\n— log.example AAAAAAE=\n')),
  noDocument('two empty lines', proofOf(head, `\n\n${CHECKPOINT}`)),
  noDocument('a line feed before it', `\n${proofOf(head)}`),
  noDocument('a line feed behind it', `${proofOf(head)}\n`),
  noDocument('no line feed at its end', proofOf(head).slice(0, -1)),
  noDocument('carriage returns', proofOf(head).replaceAll('\n', '\r\n')),
  noDocument('a space behind a hash', proofOf(head).replace('=\n', '= \n')),
  noDocument('a hash of 31 bytes', `${head}${Buffer.alloc(31).toString('base64')}\n\n${CHECKPOINT}`),
  noDocument('a hash without padding', `${head}${NULL_HASH.slice(0, -1)}\n\n${CHECKPOINT}`),
  noDocument('a hash with stray bits', `${head}${NULL_HASH.slice(0, -2)}B=\n\n${CHECKPOINT}`),
  noDocument('a hash in hexadecimal', `${head}${'00'.repeat(32)}\n\n${CHECKPOINT}`),
  noDocument('64 hashes', `${head}${`${NULL_HASH}\n`.repeat(64)}\n${CHECKPOINT}`, 'too-large'),
];

const PROOFS: DocumentVector[] = [
  document('a proof', `${HEADER}index 2\n`, { index: 2 }),
  document('a proof with extra data', `${HEADER}extra aGVsbG8=\nindex 2\n`, { index: 2, extra: 'aGVsbG8=' }),
  document('no hashes', `${HEADER}index 0\n`, { index: 0 }, []),
  document(
    '63 hashes',
    `${HEADER}index 9007199254740991\n`,
    { index: 2 ** 53 - 1 },
    Array.from({ length: 63 }, () => NULL_HASH),
  ),
  ...refusals(`${HEADER}index 2\n`),
  noDocument('no header', proofOf('index 2\n')),
  noDocument('another version', proofOf('c2sp.org/tlog-proof@v2\nindex 2\n')),
  noDocument('no index', proofOf(HEADER)),
  noDocument('an index with a leading zero', proofOf(`${HEADER}index 02\n`)),
  noDocument('two spaces before the index', proofOf(`${HEADER}index  2\n`)),
  noDocument('an index of 2^53', proofOf(`${HEADER}index 9007199254740992\n`), 'too-large'),
  noDocument('extra data that is empty', proofOf(`${HEADER}extra \nindex 2\n`)),
  noDocument('extra data twice', proofOf(`${HEADER}extra AA==\nextra AA==\nindex 2\n`)),
  noDocument('extra data behind the index', proofOf(`${HEADER}index 2\nextra AA==\n`)),
  noDocument('extra data that is no base64', proofOf(`${HEADER}extra A\nindex 2\n`)),
];

const ADD_CHECKPOINTS: DocumentVector[] = [
  document('a request', 'old 3\n', { oldSize: 3 }),
  document('the first request', 'old 0\n', { oldSize: 0 }, []),
  document(
    '63 hashes',
    'old 3\n',
    { oldSize: 3 },
    Array.from({ length: 63 }, () => NULL_HASH),
  ),
  ...refusals('old 3\n'),
  noDocument('no old size', proofOf('')),
  noDocument('an old size with a leading zero', proofOf('old 03\n')),
  noDocument('a negative old size', proofOf('old -3\n')),
  noDocument('an old size without its word', proofOf('3\n')),
  noDocument('an old size of 2^53', proofOf('old 9007199254740992\n'), 'too-large'),
];

const written = (bytes: Uint8Array, text: string) => {
  if (Buffer.from(bytes).toString() !== text) throw new Error('What was read is written otherwise.');
};
const encoded = (hashes: readonly Uint8Array[]) => hashes.map((hash) => Buffer.from(hash).toString('base64'));

describeVectors('tile-path.json', PATHS, ({ path: text }) => {
  const tile = parseTilePath(text);
  if (tilePath(tile) !== text) throw new Error('What was read is written otherwise.');
  return tile;
});

describeVectors('new-tiles.json', GROWTHS, ({ oldSize, newSize }) => ({ paths: newTiles(oldSize, newSize).map(tilePath) }));

describeVectors('entry-bundle.json', BUNDLES, ({ bundle: text, width }) => {
  const records = parseEntryBundle(Buffer.from(text, 'hex'), width);
  if (hex(writeEntryBundle(records)) !== text) throw new Error('What was read is written otherwise.');
  return { records: records.map(hex) };
});

describeVectors('tlog-proof.json', PROOFS, ({ text }) => {
  const parsed = parseInclusionDocument(Buffer.from(text));
  written(writeInclusionDocument(parsed), text);
  if (parsed.index === 2)
    checkInclusion(SHA256_TREE.leaf(RECORDS[2] as Buffer), 2, parsed.proof, { size: 5, root: Buffer.from(tree.mth(0, 5), 'hex') });
  const extra = parsed.extra && { extra: Buffer.from(parsed.extra).toString('base64') };
  return { ...extra, index: parsed.index, proof: encoded(parsed.proof) };
});

describeVectors('add-checkpoint.json', ADD_CHECKPOINTS, ({ text }) => {
  const parsed = parseAddCheckpoint(Buffer.from(text));
  written(writeAddCheckpoint(parsed), text);
  return { oldSize: parsed.oldSize, proof: encoded(parsed.proof) };
});
