import { createHash, createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { openCheckpoint, type CheckpointPolicy } from './checkpoint.ts';
import { COSIGNATURE_V1, cosignatureTime } from './cosignature.ts';
import type { MerkleErrorCode } from './merkle-error.ts';
import { ED25519_NOTE, noteVerifier, parseSignerKey, parseVerifierKey } from './note-key.ts';
import { describeVectors, type Refusal, type Vector } from './vectors.fixture.ts';

/*
 * Keys and signatures are made here from the specifications' sentences, from fixed seeds; Ed25519 has no randomness. Texts that are not UTF-8
 * are hexadecimal.
 */

const sha256 = (...parts: (string | Uint8Array)[]) =>
  createHash('sha256')
    .update(Buffer.concat(parts.map((part) => Buffer.from(part))))
    .digest();

class Key {
  readonly name: string;
  readonly type: number;
  readonly seed: Buffer;
  readonly publicKey: Buffer;
  readonly #key: KeyObject;

  constructor(name: string, type: number, label = name) {
    this.name = name;
    this.type = type;
    this.seed = sha256(`vector seed ${label}`);
    const prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
    this.#key = createPrivateKey({ key: Buffer.concat([prefix, this.seed]), format: 'der', type: 'pkcs8' });
    this.publicKey = Buffer.from(createPublicKey(this.#key).export({ format: 'jwk' }).x ?? '', 'base64url');
  }

  get id(): Buffer {
    return sha256(this.name, '\n', Uint8Array.of(this.type), this.publicKey).subarray(0, 4);
  }

  get text(): string {
    return written(this.name, this.id, this.type, this.publicKey);
  }

  get privateText(): string {
    return `PRIVATE+KEY+${written(this.name, this.id, this.type, this.seed)}`;
  }

  line(text: string): string {
    return line(this.name, this.id, sign(null, Buffer.from(text), this.#key));
  }

  cosign(text: string, time: bigint): string {
    const stamp = Buffer.alloc(8);
    stamp.writeBigUInt64BE(time);
    return line(this.name, this.id, stamp, sign(null, Buffer.from(`cosignature/v1\ntime ${time}\n${text}`), this.#key));
  }
}

const written = (name: string, id: Buffer, type: number, key: Buffer) =>
  `${name}+${id.toString('hex')}+${Buffer.concat([Buffer.of(type), key]).toString('base64')}`;
const line = (name: string, ...parts: Buffer[]) => `— ${name} ${Buffer.concat(parts).toString('base64')}\n`;

const ORIGIN = 'kms.example/audit/6835c2cd0f3e5a7b9c1d2e3f';
const LOG = new Key(ORIGIN, 1);
const NEXT_LOG = new Key(ORIGIN, 1, 'the next log key');
const STRANGER = new Key('stranger.example', 1);
const WITNESS = new Key('witness.example/w1', 4);
const SECOND_WITNESS = new Key('witness.example/w2', 4);

interface VerifierKeyVector extends Vector {
  text: string;
  expected: { name: string; type: number; publicKey: string } | Refusal;
}

const verifierKey = (name: string, key: Key): VerifierKeyVector => ({
  name,
  text: key.text,
  expected: { name: key.name, type: key.type, publicKey: key.publicKey.toString('hex') },
});
const refusedText = (name: string, text: string, error: MerkleErrorCode = 'format') => ({ name, text, expected: { error } });
const withName = (name: string) => new Key(name, 1).text;
const withKey = (type: number, key: Buffer) => written('a', sha256('a\n', Uint8Array.of(type), key).subarray(0, 4), type, key);

/** A key of a type that is not known, which is another refusal than a spelling that is wrong. */
const PADDED = withKey(2, LOG.publicKey.subarray(1));
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const withStrayBit = (text: string) => text.replace(/.(?==$)/, (digit) => ALPHABET[ALPHABET.indexOf(digit) + 1] as string);

const VERIFIER_KEYS: VerifierKeyVector[] = [
  verifierKey('a log’s key', LOG),
  verifierKey('a witness’s key', WITNESS),
  verifierKey('a name beyond ASCII', new Key('größe.example/✓', 1)),
  refusedText('no text', ''),
  refusedText('no key', `${ORIGIN}+${LOG.id.toString('hex')}+`),
  refusedText('no id', LOG.text.replace(/\+[0-9a-f]{8}/, '')),
  refusedText('no name', withName('')),
  refusedText('a space in the name', withName('a b')),
  refusedText('a no-break space in the name', withName('a\u00a0b')),
  refusedText('a control character in the name', withName('a\u0001b')),
  refusedText('a plus sign in the name', withName('a+b')),
  refusedText(
    'upper-case hexadecimal',
    STRANGER.text.replace(/\+[0-9a-f]{8}\+/, (id) => id.toUpperCase()),
  ),
  refusedText('an id of 9 digits', LOG.text.replace(/\+(?=[0-9a-f]{8}\+)/, '+0')),
  refusedText('no padding', PADDED.replace(/=+$/, '')),
  refusedText('a line feed behind it', `${LOG.text}\n`),
  refusedText('the URL alphabet', withKey(2, Buffer.alloc(32, 0xff)).replaceAll('/', '_')),
  refusedText('bits behind the last byte', withStrayBit(PADDED)),
  refusedText('another key’s id', LOG.text.replace(LOG.id.toString('hex'), NEXT_LOG.id.toString('hex')), 'wrong-key-id'),
  refusedText('another name', LOG.text.replace('kms.', 'kmt.'), 'wrong-key-id'),
  refusedText('another type', written(ORIGIN, LOG.id, 4, LOG.publicKey), 'wrong-key-id'),
  refusedText('a type that is not known', PADDED, 'unknown-key-type'),
  refusedText('a key of 31 bytes', withKey(1, LOG.publicKey.subarray(1))),
  refusedText('a key of 33 bytes', withKey(1, Buffer.concat([LOG.publicKey, Buffer.of(0)]))),
];

interface SignerKeyVector extends Vector {
  text: string;
  expected: { name: string; type: number; seed: string } | Refusal;
}

const signerKey = (name: string, key: Key): SignerKeyVector => ({
  name,
  text: key.privateText,
  expected: { name: key.name, type: key.type, seed: key.seed.toString('hex') },
});
const SIGNER_KEYS: SignerKeyVector[] = [
  signerKey('a log’s key', LOG),
  signerKey('a witness’s key', WITNESS),
  refusedText('no text', ''),
  refusedText('no label', LOG.privateText.replace('PRIVATE+KEY+', '')),
  refusedText('half a label', LOG.privateText.replace('KEY+', '')),
  refusedText('a public key', LOG.text),
  refusedText('a seed of 31 bytes', `PRIVATE+KEY+${written(ORIGIN, LOG.id, 1, LOG.seed.subarray(1))}`),
  refusedText('a seed and a public key', `PRIVATE+KEY+${written(ORIGIN, LOG.id, 1, Buffer.concat([LOG.seed, LOG.publicKey]))}`),
  refusedText('another key’s id', LOG.privateText.replace(LOG.id.toString('hex'), NEXT_LOG.id.toString('hex')), 'wrong-key-id'),
];

interface CheckpointVector extends Vector {
  /** The signed checkpoint; `hex` where it is not UTF-8. */
  text?: string;
  hex?: string;
  policy: { origin: string; logKeys: string[]; witnesses: string[]; quorum: number };
  expected: { size: number; root: string; extensions: string[]; signedBy: string[]; times: number[] } | Refusal;
}

const ROOT = sha256('a root');
const body = (size: number | string = 42, root = ROOT.toString('base64'), ...rest: string[]) =>
  `${[ORIGIN, size, root, ...rest].join('\n')}\n`;
const BODY = body();
const SIGNED = `${BODY}\n${LOG.line(BODY)}`;
const POLICY = { origin: ORIGIN, logKeys: [LOG.text], witnesses: [] as string[], quorum: 0 };
const WITNESSED = { ...POLICY, witnesses: [WITNESS.text, SECOND_WITNESS.text], quorum: 1 };
const TIME = 1_790_000_000;

interface Opening {
  text?: string;
  policy?: CheckpointVector['policy'];
  expected?: object;
}
const opened = (name: string, { text = SIGNED, policy = POLICY, expected = {} }: Opening): CheckpointVector => ({
  name,
  text,
  policy,
  expected: { size: 42, root: ROOT.toString('hex'), extensions: [], signedBy: [LOG.name], times: [], ...expected },
});
const refused = (name: string, text: string, error: MerkleErrorCode = 'format', policy = POLICY): CheckpointVector => ({
  name,
  text,
  policy,
  expected: { error },
});
/** A text that is signed well, whatever it says. */
const wellSigned = (name: string, text: string, error: MerkleErrorCode = 'format') => refused(name, `${text}\n${LOG.line(text)}`, error);

const EXTENDED = body(42, ROOT.toString('base64'), 'an extension', '— not a signature');
const EMPTY_ROOT = sha256('');
const EMPTY_BODY = body(0, EMPTY_ROOT.toString('base64'));
const LARGEST_BODY = body(2 ** 53 - 1);
const many = (lines: number) => Array.from({ length: lines }, (_, index) => line(`key${index}`, Buffer.alloc(5))).join('');

const CHECKPOINTS: CheckpointVector[] = [
  opened('one signature', {}),
  opened('no records', { text: `${EMPTY_BODY}\n${LOG.line(EMPTY_BODY)}`, expected: { size: 0, root: EMPTY_ROOT.toString('hex') } }),
  opened('2^53 - 1 records', { text: `${LARGEST_BODY}\n${LOG.line(LARGEST_BODY)}`, expected: { size: 2 ** 53 - 1 } }),
  opened('extension lines', {
    text: `${EXTENDED}\n${LOG.line(EXTENDED)}`,
    expected: { extensions: ['an extension', '— not a signature'] },
  }),
  opened('a signature by a key that is not known', { text: `${BODY}\n${STRANGER.line(BODY)}${LOG.line(BODY)}` }),
  opened('a bad signature by a key that is not known', { text: `${SIGNED}${STRANGER.line('x\n')}` }),
  opened('the log’s name with another key id', { text: `${SIGNED}${NEXT_LOG.line('x\n')}` }),
  opened('both keys of a rotation', {
    text: `${SIGNED}${NEXT_LOG.line(BODY)}`,
    policy: { ...POLICY, logKeys: [LOG.text, NEXT_LOG.text] },
    expected: { signedBy: [ORIGIN, ORIGIN] },
  }),
  opened('the new key of a rotation alone', {
    text: `${BODY}\n${NEXT_LOG.line(BODY)}`,
    policy: { ...POLICY, logKeys: [LOG.text, NEXT_LOG.text] },
  }),
  opened('a witness that is asked for', {
    text: `${SIGNED}${WITNESS.cosign(BODY, BigInt(TIME))}`,
    policy: WITNESSED,
    expected: { signedBy: [ORIGIN, WITNESS.name], times: [TIME] },
  }),
  opened('a cosignature that nobody asks for', { text: `${SIGNED}${WITNESS.cosign(BODY, BigInt(TIME))}` }),
  opened('100 signatures', { text: `${SIGNED}${many(99)}` }),
  refused('101 signatures', `${SIGNED}${many(100)}`, 'too-large'),
  refused('no text', ''),
  refused('no signature', `${BODY}\n`),
  refused('no empty line', `${BODY}${LOG.line(BODY)}`),
  refused('no line feed at the end', SIGNED.slice(0, -1)),
  refused('an empty line behind the signature', `${SIGNED}\n`),
  refused('text behind the signature', `${SIGNED}x\n`),
  refused('a carriage return', SIGNED.replace('\n', '\r\n')),
  refused('a byte order mark', `\ufeff${SIGNED}`, 'wrong-origin'),
  refused('a hyphen for the dash', SIGNED.replace('—', '-')),
  refused('two spaces in the signature line', SIGNED.replace(`— ${ORIGIN} `, `— ${ORIGIN}  `)),
  refused('a signature without a name', `${BODY}\n— ${LOG.line(BODY).split(' ')[2]}`),
  refused('a plus sign in a name', `${SIGNED}${line('a+b', Buffer.alloc(5))}`),
  refused('a signature line of a key id only', `${SIGNED}${line('a', Buffer.alloc(4))}`),
  refused('base64 without padding', `${SIGNED}— a AAAAAAA\n`),
  refused('base64 with bits behind the last byte', `${SIGNED}— a AAAAAAB=\n`),
  wellSigned('two lines', `${ORIGIN}\n42\n`),
  wellSigned('an empty origin', BODY.replace(ORIGIN, '')),
  wellSigned('an empty extension line', body(42, ROOT.toString('base64'), '', 'x')),
  wellSigned('a leading zero in the size', body('042')),
  wellSigned('a sign in the size', body('+42')),
  wellSigned('a negative size', body('-42')),
  wellSigned('a size in hexadecimal', body('0x2a')),
  wellSigned('a size with an exponent', body('42e0')),
  wellSigned('no size', body('')),
  wellSigned('a size of 2^53', body('9007199254740992'), 'too-large'),
  wellSigned('a size of 2^64', body('18446744073709551616'), 'too-large'),
  wellSigned('a root of 31 bytes', body(42, ROOT.subarray(1).toString('base64'))),
  wellSigned('a root in the URL alphabet', body(42, Buffer.alloc(32, 0xff).toString('base64url'))),
  wellSigned('a root in hexadecimal', body(42, ROOT.toString('hex'))),
  wellSigned('another log', BODY.replace('kms.', 'kmt.'), 'wrong-origin'),
  wellSigned('no records, and a root', body(0), 'wrong-root'),
  refused('another size than was signed', SIGNED.replace('\n42\n', '\n43\n'), 'bad-signature'),
  refused('another root than was signed', SIGNED.replace(ROOT.toString('base64'), EMPTY_ROOT.toString('base64')), 'bad-signature'),
  refused('an extension that was not signed', SIGNED.replace('\n\n', '\nx\n\n'), 'bad-signature'),
  refused('a signature of 63 bytes', `${BODY}\n${line(ORIGIN, LOG.id, Buffer.alloc(63))}`, 'bad-signature'),
  refused('a signature by another key in the log’s name', `${BODY}\n${line(ORIGIN, LOG.id, Buffer.alloc(64, 1))}`, 'bad-signature'),
  refused('a good signature and a bad one by one key', `${SIGNED}${LOG.line('x\n')}`, 'bad-signature'),
  refused('a good signature, and a bad one by the other key of a rotation', `${SIGNED}${NEXT_LOG.line('x\n')}`, 'bad-signature', {
    ...POLICY,
    logKeys: [LOG.text, NEXT_LOG.text],
  }),
  refused('no signature by a key that is known', `${BODY}\n${STRANGER.line(BODY)}`, 'untrusted'),
  refused('the old key after a rotation', SIGNED, 'untrusted', { ...POLICY, logKeys: [NEXT_LOG.text] }),
  refused('a witness instead of the log', `${BODY}\n${WITNESS.cosign(BODY, BigInt(TIME))}`, 'untrusted', WITNESSED),
  refused('too few witnesses', SIGNED, 'untrusted', WITNESSED),
  refused('one witness twice for two', `${SIGNED}${WITNESS.cosign(BODY, 1n)}${WITNESS.cosign(BODY, 2n)}`, 'untrusted', {
    ...WITNESSED,
    quorum: 2,
  }),
  refused('a cosignature of another checkpoint', `${SIGNED}${WITNESS.cosign(EXTENDED, BigInt(TIME))}`, 'bad-signature', WITNESSED),
  refused('a witness’s signature without a time', `${SIGNED}${WITNESS.line(BODY)}`, 'bad-signature', WITNESSED),
  refused('a cosignature of 2^53 s', `${SIGNED}${WITNESS.cosign(BODY, 2n ** 53n)}`, 'bad-signature', WITNESSED),
  refused('a quorum above the witnesses', SIGNED, 'invalid-argument', { ...POLICY, quorum: 1 }),
  refused('a key twice', SIGNED, 'invalid-argument', { ...POLICY, logKeys: [LOG.text, LOG.text] }),
  {
    name: 'no UTF-8',
    hex: Buffer.concat([Buffer.of(0xff), Buffer.from(SIGNED)]).toString('hex'),
    policy: POLICY,
    expected: { error: 'format' },
  },
  {
    name: 'an overlong line feed',
    hex: Buffer.from(SIGNED).toString('hex').replace('0a', 'c08a'),
    policy: POLICY,
    expected: { error: 'format' },
  },
];

const verifier = (text: string) => noteVerifier(parseVerifierKey(text), [ED25519_NOTE, COSIGNATURE_V1]);

describeVectors('verifier-key.json', VERIFIER_KEYS, ({ text }) => {
  const { name, type, publicKey } = parseVerifierKey(text);
  noteVerifier({ name, type, publicKey }, [ED25519_NOTE, COSIGNATURE_V1]);
  return { name, type, publicKey: Buffer.from(publicKey).toString('hex') };
});

describeVectors('signer-key.json', SIGNER_KEYS, ({ text }) => {
  const { name, type, seed } = parseSignerKey(text);
  return { name, type, seed: Buffer.from(seed).toString('hex') };
});

describeVectors('checkpoint.json', CHECKPOINTS, ({ text, hex, policy }) => {
  const { origin, quorum } = policy;
  const keys: CheckpointPolicy = { origin, quorum, logKeys: policy.logKeys.map(verifier), witnesses: policy.witnesses.map(verifier) };
  const { checkpoint, signatures } = openCheckpoint(text === undefined ? Buffer.from(hex ?? '', 'hex') : Buffer.from(text), keys);
  const cosigned = signatures.filter(({ name }) => name !== origin);
  return {
    size: checkpoint.size,
    root: Buffer.from(checkpoint.root).toString('hex'),
    extensions: checkpoint.extensions,
    signedBy: signatures.map(({ name }) => name),
    times: cosigned.map(({ signature }) => cosignatureTime(signature)),
  };
});
