import { createCipheriv, createHash, createHmac } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import type { ContentContext, DataKeyContext, KeyContext, OrganizationKeyContext } from './context.ts';
import { EnvelopeError, type EnvelopeErrorCode } from './envelope-error.ts';
import { parseRootKey, rootKeyId } from './root-key.ts';
import { prepareContent, sealContent } from './sealed-content.ts';
import { unwrapKey, wrapKey } from './wrapped-key.ts';

/*
 * The vectors are made here by a second implementation of the formats, which shares no code with the library, from fixed keys and nonces;
 * so they are the same on every run. Each run compares them with the committed files, and then holds the library against the committed
 * files. UPDATE_VECTORS=1 writes the files: only for a new format, since a released one is frozen.
 */
const FOLDER = new URL('../../../vectors/envelope/', import.meta.url);

type Expected = { plaintext: string } | { error: EnvelopeErrorCode };
/** All bytes are hexadecimal. `parts` stands where the record opens: what an implementation meets on the way. */
interface Vector<Context> {
  name: string;
  key: string;
  keyId: string;
  context: Context;
  record: string;
  parts?: { associatedData: string; nonce: string; commitment: string };
  expected: Expected;
}
type RootKeyVector = { name: string; text: string; expected: { key: string; keyId: string } | { error: EnvelopeErrorCode } };

const bytes = (label: string, length: number) => createHash('sha256').update(`vector ${label}`).digest().subarray(0, length);
const hexId = (label: string) => bytes(`id ${label}`, 12).toString('hex');
const hmac = (key: Buffer, data: Buffer) => createHmac('sha256', key).update(data).digest();
/** HKDF-SHA256 with an empty salt, for at most 32 bytes: RFC 5869, sections 2.2 and 2.3, with one block. */
const hkdf = (key: Buffer, info: string) => hmac(hmac(Buffer.alloc(32), key), Buffer.concat([Buffer.from(info), Buffer.from([1])]));
const commitment = (key: Buffer) => hkdf(key, 'donutwork-kms/v1/key-commitment');

function associatedData(fields: (string | number)[]): Buffer {
  const encoded = fields.map((field) => Buffer.from(String(field)));
  return Buffer.concat(encoded.flatMap((field) => [Buffer.from([0, 0, 0, field.length]), field]));
}

interface Sealing {
  format: string;
  key: Buffer;
  keyId: string;
  nonce: Buffer;
  associatedData: Buffer;
  plaintext: Buffer;
  committedKey?: Buffer;
}

function seal({ format, key, keyId, nonce, associatedData: bound, plaintext, committedKey = key }: Sealing): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(bound);
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return Buffer.concat([Buffer.from(format), Buffer.from(keyId, 'hex'), nonce, commitment(committedKey), ciphertext, cipher.getAuthTag()]);
}

const flipped = (record: Buffer, at: number, bit = 0) =>
  Buffer.from(record.map((byte, index) => (index === at ? byte ^ (1 << bit) : byte)));
const renamed = (record: Buffer, name: string) => Buffer.concat([Buffer.from(name), record.subarray(4)]);

const KEY = bytes('key', 32);
const OTHER_KEY = bytes('other key', 32);
const KEY_ID = hexId('key');
const CONTENT: ContentContext = { organizationId: hexId('organization'), entryId: hexId('entry'), version: 3 };
const DATA_KEY: DataKeyContext = { purpose: 'data-key', keyId: hexId('data key'), ...CONTENT };
const ORGANIZATION_KEY: OrganizationKeyContext = {
  purpose: 'organization-key',
  keyId: hexId('organization key'),
  organizationId: CONTENT.organizationId,
};

/** The failures that both formats have. `good` opens with KEY in `context`; `reseal` makes it anew with something else in its place. */
function failures<Context extends DataKeyContext | ContentContext>(
  context: Context,
  good: Buffer,
  reseal: (changes: Partial<Sealing>) => Buffer,
  otherFormat: string,
): Vector<Context>[] {
  const refused = (name: string, error: EnvelopeErrorCode, changes: Partial<Vector<Context>> = {}): Vector<Context> => ({
    name,
    key: KEY.toString('hex'),
    keyId: KEY_ID,
    context,
    record: good.toString('hex'),
    ...changes,
    expected: { error },
  });
  const record = (buffer: Buffer) => ({ record: buffer.toString('hex') });
  const cut = (length: number) => record(good.subarray(0, length));
  return [
    refused('a flipped bit in the format name', 'format', record(flipped(good, 0))),
    refused('a flipped bit in the key id', 'wrong-key-id', record(flipped(good, 4))),
    refused('a flipped bit in the last byte of the key id', 'wrong-key-id', record(flipped(good, 15, 7))),
    refused('a flipped bit in the nonce', 'authentication', record(flipped(good, 16))),
    refused('a flipped bit in the last byte of the nonce', 'authentication', record(flipped(good, 27, 7))),
    refused('a flipped bit in the commitment', 'wrong-key', record(flipped(good, 28))),
    refused('a flipped bit in the last byte of the commitment', 'wrong-key', record(flipped(good, 59, 7))),
    refused('a flipped bit in the ciphertext', 'authentication', record(flipped(good, 60))),
    refused('a flipped bit in the last byte of the ciphertext', 'authentication', record(flipped(good, good.length - 17, 7))),
    refused('a flipped bit in the tag', 'authentication', record(flipped(good, good.length - 16))),
    refused('a flipped bit in the last byte of the tag', 'authentication', record(flipped(good, good.length - 1, 7))),
    refused('a later version of the format', 'format', record(renamed(good, `${good.toString('latin1', 0, 3)}2`))),
    refused('the other format', 'format', record(renamed(good, otherFormat))),
    refused('an unknown format name', 'format', record(renamed(good, 'xxxx'))),
    refused('no bytes', 'format', cut(0)),
    refused('a format name and nothing else', 'format', cut(4)),
    refused('one byte less than the shortest record', 'format', cut(75)),
    refused("another organization's record", 'authentication', { context: { ...context, organizationId: hexId('other organization') } }),
    refused('another key id than the one in the record', 'wrong-key-id', { keyId: hexId('other key') }),
    refused('another key with another id', 'wrong-key-id', { keyId: hexId('other key'), key: OTHER_KEY.toString('hex') }),
    refused('another key with the right id', 'wrong-key', { key: OTHER_KEY.toString('hex') }),
    refused(
      'sealed under another key, with the commitment to the right one',
      'authentication',
      record(reseal({ key: OTHER_KEY, committedKey: KEY })),
    ),
    refused('the right key, with the commitment to another one', 'wrong-key', record(reseal({ committedKey: OTHER_KEY }))),
    refused('sealed with no associated data', 'authentication', record(reseal({ associatedData: Buffer.alloc(0) }))),
    refused('a key of 31 bytes', 'invalid-argument', { key: KEY.toString('hex', 0, 31) }),
    refused('a key of 33 bytes', 'invalid-argument', { key: `${KEY.toString('hex')}00` }),
    refused('a key of 31 bytes and no record', 'invalid-argument', { key: KEY.toString('hex', 0, 31), record: '' }),
    refused('an unknown format name and another key id', 'format', { keyId: hexId('other key'), ...record(renamed(good, 'xxxx')) }),
    refused('another key id and a flipped bit in the commitment', 'wrong-key-id', {
      keyId: hexId('other key'),
      ...record(flipped(good, 28)),
    }),
    refused('a flipped bit in the commitment and in the tag', 'wrong-key', record(flipped(flipped(good, 28), good.length - 1))),
    refused('a key id in upper case', 'invalid-argument', { keyId: KEY_ID.toUpperCase() }),
    refused('an organization id that is too short', 'invalid-argument', { context: { ...context, organizationId: '6835c2' } }),
  ].concat('entryId' in context ? entryFailures(context, refused) : []);
}

type Refused<Context> = (name: string, error: EnvelopeErrorCode, changes: Partial<Vector<Context>>) => Vector<Context>;
const entryFailures = <Context extends DataKeyContext | ContentContext>(context: Context, refused: Refused<Context>): Vector<Context>[] => [
  refused("another entry's record", 'authentication', { context: { ...context, entryId: hexId('other entry') } }),
  refused("another version's record", 'authentication', { context: { ...context, version: 4 } }),
  refused('version 0', 'invalid-argument', { context: { ...context, version: 0 } }),
  refused('an entry id with a space behind it', 'invalid-argument', { context: { ...context, entryId: `${CONTENT.entryId} ` } }),
];

function opened<Context>(name: string, sealing: Sealing, context: Context): Vector<Context> {
  const { key, keyId, nonce, associatedData: bound, plaintext } = sealing;
  return {
    name,
    key: key.toString('hex'),
    keyId,
    context,
    record: seal(sealing).toString('hex'),
    parts: { associatedData: bound.toString('hex'), nonce: nonce.toString('hex'), commitment: commitment(key).toString('hex') },
    expected: { plaintext: plaintext.toString('hex') },
  };
}

function wrappedKeys(): Vector<KeyContext>[] {
  const head = (context: OrganizationKeyContext | DataKeyContext) => [
    'dkw1',
    context.purpose,
    KEY_ID,
    context.keyId,
    context.organizationId,
  ];
  const common = { format: 'dkw1', key: KEY, keyId: KEY_ID, nonce: bytes('wrap nonce', 12), plaintext: bytes('wrapped key', 32) };
  const organization: Sealing = { ...common, associatedData: associatedData(head(ORGANIZATION_KEY)) };
  const data: Sealing = { ...common, associatedData: associatedData([...head(DATA_KEY), CONTENT.entryId, CONTENT.version]) };
  const good = seal(data);
  const like = { key: KEY.toString('hex'), keyId: KEY_ID, record: good.toString('hex') };
  const otherPurpose: KeyContext = { ...ORGANIZATION_KEY, keyId: DATA_KEY.keyId };
  return [
    opened("an organization's key", organization, ORGANIZATION_KEY),
    opened("a version's data key", data, DATA_KEY),
    ...failures(DATA_KEY, good, (changes) => seal({ ...data, ...changes }), 'dkc1'),
    { name: 'a truncated tag', ...like, context: DATA_KEY, record: good.toString('hex', 0, 107), expected: { error: 'format' } },
    { name: 'a tag of 4 bytes', ...like, context: DATA_KEY, record: good.toString('hex', 0, 96), expected: { error: 'format' } },
    { name: 'a trailing byte', ...like, context: DATA_KEY, record: `${like.record}00`, expected: { error: 'format' } },
    {
      name: 'the record of another key',
      ...like,
      context: { ...DATA_KEY, keyId: hexId('other data key') },
      expected: { error: 'authentication' },
    },
    { name: "a data key in the place of an organization's key", ...like, context: otherPurpose, expected: { error: 'authentication' } },
  ];
}

const LOG_KEYS = ['example.org/audit+00000001+AQ==', 'example.org/audit+00000002+Ag=='];

/** What wrapped keys have in common is in the other file: here is what a log key is bound to. */
function wrappedLogKeys(): Vector<KeyContext>[] {
  const context = (place: number, publicKeys = LOG_KEYS): KeyContext => ({ purpose: 'log-key', publicKeys, place });
  const sealing = (place: number, publicKeys = LOG_KEYS): Sealing => ({
    format: 'dkw1',
    key: KEY,
    keyId: KEY_ID,
    nonce: bytes('log key nonce', 12),
    plaintext: bytes('log key', 32),
    associatedData: associatedData(['dkw1', 'log-key', KEY_ID, place, ...publicKeys]),
  });
  const like = { key: KEY.toString('hex'), keyId: KEY_ID, record: seal(sealing(1)).toString('hex') };
  const refused = (name: string, other: KeyContext, error: EnvelopeErrorCode = 'authentication') => ({
    name,
    ...like,
    context: other,
    expected: { error },
  });
  return [
    opened('a log key', sealing(1, LOG_KEYS.slice(0, 1)), context(1, LOG_KEYS.slice(0, 1))),
    opened('the first of two log keys', sealing(1), context(1)),
    opened('the second of two log keys', sealing(2), context(2)),
    refused('in the place of the other', context(2)),
    refused('the other one left out', context(1, LOG_KEYS.slice(0, 1))),
    refused('the two exchanged', context(1, [...LOG_KEYS].reverse())),
    refused('another beside it', context(1, [...LOG_KEYS, ...LOG_KEYS])),
    refused("a log key in the place of an organization's key", ORGANIZATION_KEY),
    refused('place 0', context(0), 'invalid-argument'),
  ];
}

function sealedContents(): Vector<ContentContext>[] {
  const sealing = (plaintext: Buffer, context = CONTENT): Sealing => ({
    format: 'dkc1',
    key: KEY,
    keyId: KEY_ID,
    nonce: bytes('content nonce', 12),
    associatedData: associatedData(['dkc1', 'content', KEY_ID, context.organizationId, context.entryId, context.version]),
    plaintext,
  });
  const short = sealing(Buffer.from('not-a-real-secret'));
  const good = seal(short);
  const like = { key: KEY.toString('hex'), keyId: KEY_ID, context: CONTENT };
  const largest = { ...CONTENT, version: Number.MAX_SAFE_INTEGER };
  return [
    opened('text', short, CONTENT),
    opened('no content', sealing(Buffer.alloc(0)), CONTENT),
    opened('binary content of several blocks', sealing(Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))), CONTENT),
    opened('the highest version', sealing(Buffer.from('highest'), largest), largest),
    ...failures(CONTENT, good, (changes) => seal({ ...short, ...changes }), 'dkw1'),
    { name: 'a truncated tag', ...like, record: good.toString('hex', 0, good.length - 1), expected: { error: 'authentication' } },
    { name: 'a tag of 4 bytes', ...like, record: good.toString('hex', 0, good.length - 12), expected: { error: 'authentication' } },
    { name: 'a trailing byte', ...like, record: `${good.toString('hex')}00`, expected: { error: 'authentication' } },
  ];
}

function rootKeys(): RootKeyVector[] {
  const text = KEY.toString('base64');
  const keyId = (key: Buffer) => hkdf(key, 'donutwork-kms/v1/root-key-id').toString('hex', 0, 12);
  const taken = (name: string, key: Buffer) => ({
    name,
    text: key.toString('base64'),
    expected: { key: key.toString('hex'), keyId: keyId(key) },
  });
  const refused = (name: string, bad: string): RootKeyVector => ({ name, text: bad, expected: { error: 'invalid-argument' } });
  return [
    taken('a root key', KEY),
    taken('another root key', OTHER_KEY),
    refused('no text', ''),
    refused('31 bytes', KEY.toString('base64', 0, 31)),
    refused('33 bytes', Buffer.concat([KEY, Buffer.alloc(1)]).toString('base64')),
    refused('no padding', text.replace('=', '')),
    refused('a line feed behind it', `${text}\n`),
    refused('hexadecimal', KEY.toString('hex')),
    refused('the URL alphabet', Buffer.alloc(32, 0xfb).toString('base64url').concat('=')),
  ];
}

const FILES = {
  'wrapped-key.json': wrappedKeys(),
  'wrapped-log-key.json': wrappedLogKeys(),
  'sealed-content.json': sealedContents(),
  'root-key.json': rootKeys(),
};
const written = (vectors: unknown) => `${JSON.stringify(vectors, null, 2)}\n`;
const committed = <File extends keyof typeof FILES>(file: File) =>
  JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as (typeof FILES)[File];

if (process.env['UPDATE_VECTORS'] === '1') {
  mkdirSync(FOLDER, { recursive: true });
  for (const [file, vectors] of Object.entries(FILES)) writeFileSync(new URL(file, FOLDER), written(vectors));
}

const named = <T extends { name: string }>(vectors: T[]) => vectors.map((vector): [string, T] => [vector.name, vector]);
const resultOf = <T>(action: () => T): T | { error: EnvelopeErrorCode } => {
  try {
    return action();
  } catch (error) {
    if (error instanceof EnvelopeError) return { error: error.code };
    throw error;
  }
};
const random = (...values: string[]) => {
  const queue = values.map((value) => Buffer.from(value, 'hex'));
  return () => queue.shift() ?? Buffer.alloc(0);
};

describe('the committed vectors', () => {
  it.each(Object.entries(FILES))('of %s are what is generated', (file, vectors) => {
    expect(readFileSync(new URL(file, FOLDER), 'utf8')).toBe(written(vectors));
  });

  it.each(Object.entries(FILES))('of %s have a name each', (_, vectors) => {
    expect(new Set(vectors.map(({ name }) => name)).size).toBe(vectors.length);
  });
});

describe('a wrapped key', () => {
  it.each(named([...committed('wrapped-key.json'), ...committed('wrapped-log-key.json')]))(
    '%s',
    (_, { key, keyId, context, record, parts, expected }) => {
      const wrapping = { wrappingKey: Buffer.from(key, 'hex'), wrappingKeyId: keyId, context };
      const unwrap = () => ({ plaintext: unwrapKey({ ...wrapping, wrapped: Buffer.from(record, 'hex') }).toString('hex') });
      expect(resultOf(unwrap)).toEqual(expected);
      if (!parts || !('plaintext' in expected)) return;
      expect(wrapKey({ ...wrapping, key: Buffer.from(expected.plaintext, 'hex') }, random(parts.nonce)).toString('hex')).toBe(record);
    },
  );
});

describe('a sealed content', () => {
  it.each(named(committed('sealed-content.json')))('%s', (_, { key, keyId, context, record, parts, expected }) => {
    const content = { dataKey: Buffer.from(key, 'hex'), dataKeyId: keyId, context };
    const open = () => ({
      plaintext: prepareContent({ ...content, sealed: Buffer.from(record, 'hex') })
        .open()
        .toString('hex'),
    });
    expect(resultOf(open)).toEqual(expected);
    if (!parts || !('plaintext' in expected)) return;
    const sealed = sealContent({ ...content, plaintext: Buffer.from(expected.plaintext, 'hex') }, random(key, parts.nonce));
    expect(sealed).toEqual({ dataKey: content.dataKey, sealed: Buffer.from(record, 'hex') });
  });
});

describe('a root key', () => {
  it.each(named(committed('root-key.json')))('%s', (_, { text, expected }) => {
    const read = () => {
      const key = parseRootKey(text);
      return { key: key.toString('hex'), keyId: rootKeyId(key) };
    };
    expect(resultOf(read)).toEqual(expected);
  });
});
