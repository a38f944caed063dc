import { once } from 'node:events';
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { StartupError } from '@kms/platform';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { of, throwError } from 'rxjs';
import { encodeAnswer, encodeFailure, FailureCode, MAX_FRAME_LENGTH } from './frames.ts';
import { FramesServer, RpcClient, RpcError, type FramesServerOptions, type RpcClientOptions, type RpcLogger } from './index.ts';
import { clientTlsOptions } from './peer-authentication.ts';

const SECRET = 'a secret of at least 32 characters';
const OTHER_SECRET = 'another secret of more than 32 characters';
const host = '127.0.0.1';

const ends: (() => Promise<unknown>)[] = [];
let log: string[] = [];
const note = (fields: object, sentence: string) => log.push(`${sentence} ${describeFields(fields)}`);
const logger = { info: note, warn: note, error: note } as unknown as RpcLogger;

function describeFields(fields: object): string {
  return Object.values(fields).map(String).join(' ');
}

beforeEach(() => {
  log = [];
});

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Gate {
  /** How many calls are held back. */
  waiting: number;
  open(): void;
}

/** A server with some handlers; calls of `held` are answered when the gate opens. */
async function serve(options: Partial<FramesServerOptions> = {}): Promise<{ server: FramesServer; port: number; gate: Gate }> {
  const server = new FramesServer({ host, port: 0, secret: SECRET, logger, ...options });
  let opened!: () => void;
  const opening = new Promise<void>((resolve) => (opened = resolve));
  const gate = { waiting: 0, open: opened };
  server.addHandler('echo', async (payload: unknown) => payload);
  server.addHandler('fail', () => Promise.reject(new Error('an internal detail')));
  server.addHandler('throw', () => {
    throw new Error('an internal detail');
  });
  server.addHandler('stream', () => Promise.resolve(of('first', 'second')));
  server.addHandler('failing stream', () => Promise.resolve(throwError(() => new Error('an internal detail'))));
  server.addHandler('large', () => Promise.resolve('x'.repeat(MAX_FRAME_LENGTH)));
  server.addHandler('held', async (payload: unknown) => {
    gate.waiting++;
    await opening;
    return payload;
  });
  await new Promise<void>((resolve, reject) => server.listen((error) => (error ? reject(error) : resolve())));
  ends.push(() => server.close());
  return { server, port: server.port, gate };
}

function connect(port: number, options: Partial<RpcClientOptions> = {}): RpcClient {
  const client = new RpcClient({ host, port, secret: SECRET, logger, ...options });
  ends.push(() => client.close());
  return client;
}

/** Passes bytes on to the port until it is told to fail in one of the ways in which networks fail. */
async function proxy(port: number) {
  const pairs: [Socket, Socket][] = [];
  const server = createServer((near) => {
    const far = connectTcp(port, host);
    pairs.push([near, far]);
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) socket.on('error', () => [near, far].forEach((each) => each.destroy()));
  });
  server.listen(0, host);
  await once(server, 'listening');
  const cut = () => pairs.splice(0).forEach((pair) => pair.forEach((socket) => socket.destroy()));
  ends.push(async () => {
    cut();
    await new Promise((resolve) => server.close(resolve));
  });
  const freeze = () => pairs.forEach((pair) => pair.forEach((socket) => socket.unpipe().pause()));
  return { port: (server.address() as AddressInfo).port, cut, freeze };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** An authenticated connection that says whatever it likes. */
async function rawConnection(port: number): Promise<TLSSocket> {
  const socket = connectTls({ ...clientTlsOptions(SECRET), host, port });
  ends.push(async () => socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe('a call', () => {
  it('gets its own answer among 10,000 at once', async () => {
    const client = connect((await serve({ maxInFlight: 10_000 })).port, { maxInFlight: 10_000, timeoutMs: 20_000 });
    const calls = Array.from({ length: 10_000 }, (_, index) =>
      client.call<{ index: number }>('echo', { index, text: 'ä'.repeat(index % 300) }),
    );
    expect((await Promise.all(calls)).map((answer) => answer.index)).toEqual(calls.map((_, index) => index));
  });

  it('gets the first value of a stream', async () => {
    expect(await connect((await serve()).port).call('stream', null)).toBe('first');
  });

  it.each(['fail', 'throw', 'failing stream'])('to "%s" learns that it failed, and nothing of how', async (pattern) => {
    const client = connect((await serve()).port);
    const failure = (await client.call(pattern, { secret: 'hunter2' }).catch((error: unknown) => error)) as RpcError;
    expect(failure).toBeInstanceOf(RpcError);
    expect(failure.code).toBe('failed');
    expect(`${failure.stack} ${String(failure.cause)}`).not.toContain('internal detail');
    expect(log.join('\n')).toContain(`A call failed. Error: an internal detail ${pattern}`);
    expect(log.join('\n')).not.toContain('hunter2');
  });

  it('that nobody answers fails, and the log tells why', async () => {
    const client = connect((await serve()).port);
    await expect(client.call('unheard of', null)).rejects.toMatchObject({ code: 'failed' });
    expect(log.join('\n')).toContain('nothing here answers it. unheard of');
  });

  it('that is too large, or whose answer is, fails alone', async () => {
    const client = connect((await serve()).port);
    await expect(client.call('echo', 'x'.repeat(MAX_FRAME_LENGTH))).rejects.toMatchObject({ code: 'failed' });
    await expect(client.call('large', null)).rejects.toMatchObject({ code: 'failed' });
    await expect(client.call('echo', 10n)).rejects.toMatchObject({ code: 'failed' });
    const nearlyTooLarge = 'x'.repeat(MAX_FRAME_LENGTH - 100);
    expect(await client.call('echo', nearlyTooLarge)).toBe(nearlyTooLarge);
  });

  it('that is not answered in its time is given up, its late answer is dropped, and others go on', async () => {
    const { port, gate } = await serve();
    const client = connect(port);
    await expect(client.call('held', 'late', 50)).rejects.toMatchObject({ code: 'timeout' });
    gate.open();
    expect(await client.call('echo', 1)).toBe(1);
    expect(await client.call('held', 2)).toBe(2);
  });

  it('too many is refused by the client', async () => {
    const { port, gate } = await serve();
    const client = connect(port, { maxInFlight: 2 });
    const held = [client.call('held', 1), client.call('held', 2)];
    await expect(client.call('echo', 3)).rejects.toMatchObject({ code: 'overloaded' });
    gate.open();
    expect(await Promise.all(held)).toEqual([1, 2]);
    expect(await client.call('echo', 4)).toBe(4);
  });

  it('too many is refused by the server, without being carried out', async () => {
    const { port, gate } = await serve({ maxInFlight: 1 });
    const client = connect(port);
    const held = client.call('held', 1);
    await expect(client.call('held', 2)).rejects.toMatchObject({ code: 'overloaded' });
    expect(gate.waiting).toBe(1);
    gate.open();
    expect(await held).toBe(1);
    expect(await client.call('echo', 3)).toBe(3);
  });
});

describe('authentication', () => {
  it('lets nobody in who does not know the secret, and both sides say so in one sentence', async () => {
    const { port, gate } = await serve();
    const client = connect(port, { secret: OTHER_SECRET });
    await expect(client.call('held', 1)).rejects.toMatchObject({ code: 'unavailable' });
    expect(gate.waiting).toBe(0);
    expect(log.join('\n')).toContain('The peer and this process do not have the same RPC_SECRET: no connection is made.');
    expect(log.join('\n')).toContain('A connection was refused: the peer did not prove that it knows RPC_SECRET.');
    expect(log.join('\n')).not.toMatch(new RegExp(`${SECRET}|${OTHER_SECRET}`));
  });

  it('comes before the first frame', async () => {
    const received: Buffer[] = [];
    const silent = createServer((socket) => {
      socket.on('data', (chunk) => received.push(chunk));
      socket.on('error', () => socket.destroy());
    }).listen(0, host);
    ends.push(() => new Promise((resolve) => silent.close(resolve)));
    await once(silent, 'listening');
    const client = connect((silent.address() as AddressInfo).port);
    await expect(client.call('held', 'a canary', 300)).rejects.toMatchObject({ code: 'unavailable' });
    await client.close();
    expect(received.length).toBeGreaterThan(0);
    expect(Buffer.concat(received).toString('latin1')).not.toMatch(/held|canary/);
  });

  it('encrypts what follows', async () => {
    const { port } = await serve();
    const seen: Buffer[] = [];
    const tap = createServer((near) => {
      const far = connectTcp(port, host);
      for (const socket of [near, far]) socket.on('data', (chunk) => seen.push(chunk));
      near.pipe(far).pipe(near);
    }).listen(0, host);
    ends.push(() => new Promise((resolve) => tap.close(resolve)));
    await once(tap, 'listening');
    const client = connect((tap.address() as AddressInfo).port);
    expect(await client.call('echo', 'a canary')).toBe('a canary');
    expect(Buffer.concat(seen).toString('latin1')).not.toContain('canary');
    await client.close();
  });

  it('takes no secret that can be guessed', () => {
    expect(() => connect(1, { secret: 'short' })).toThrow(RangeError);
    expect(() => new FramesServer({ host, port: 0, secret: 'short', logger })).toThrow(RangeError);
  });
});

describe('a connection', () => {
  it.each([
    ['no frame', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['an answer', encodeAnswer(1, 1)],
    ['a failure', encodeFailure(1, FailureCode.Failed)],
    ['a length over the limit', Buffer.from('00100001', 'hex')],
  ])('that sends the server %s is closed, and the others are not', async (_name, bytes) => {
    const { port } = await serve();
    const client = connect(port);
    expect(await client.call('echo', 1)).toBe(1);
    const socket = await rawConnection(port);
    socket.on('error', () => socket.destroy());
    socket.write(bytes);
    await once(socket, 'close');
    expect(log.join('\n')).toContain('A peer sent what is no frame; its connection is closed.');
    expect(await client.call('echo', 2)).toBe(2);
  });

  it('that is lost rejects its calls, repeats none of them, and is made again', async () => {
    const { port, gate } = await serve();
    const between = await proxy(port);
    const client = connect(between.port, { timeoutMs: 20_000 });
    const lost = expect(client.call('held', 1)).rejects.toMatchObject({ code: 'unavailable' });
    await until(() => gate.waiting === 1);
    between.cut();
    await lost;
    expect(await client.call('echo', 2)).toBe(2);
    expect(gate.waiting).toBe(1);
  });

  it('to a peer that gives no sign of life is given up, and made again', async () => {
    const between = await proxy((await serve()).port);
    const client = connect(between.port, { timeoutMs: 20_000 });
    expect(await client.call('echo', 1)).toBe(1);
    between.freeze();
    const waiting = expect(client.call('echo', 2)).rejects.toMatchObject({ code: 'unavailable' });
    await expect(client.call('echo', 3, 50)).rejects.toMatchObject({ code: 'timeout' });
    await waiting;
    expect(await client.call('echo', 4)).toBe(4);
  });

  it('on which a slow call times out is kept while the peer is alive', async () => {
    const { port, gate } = await serve();
    const client = connect(port, { timeoutMs: 20_000 });
    expect(await client.call('echo', 0)).toBe(0);
    const slow = client.call('held', 1);
    await expect(client.call('held', 2, 50)).rejects.toMatchObject({ code: 'timeout' });
    await expect(client.call('held', 3, 1_200)).rejects.toMatchObject({ code: 'timeout' });
    gate.open();
    expect(await slow).toBe(1);
  });
});

describe('a server', () => {
  it('that comes late still answers the calls that wait', async () => {
    const port = await freePort();
    const client = connect(port, { timeoutMs: 20_000 });
    const waiting = client.call('echo', 1);
    await until(() => log.some((line) => line.startsWith('No connection to the peer can be made; it is tried again.')));
    await serve({ port });
    expect(await waiting).toBe(1);
  });

  it('that is away fails the calls, and answers again after its restart', async () => {
    const { server, port } = await serve();
    const client = connect(port);
    expect(await client.call('echo', 1)).toBe(1);
    await server.close();
    await expect(client.call('echo', 2, 200)).rejects.toMatchObject({ code: 'unavailable' });
    await serve({ port });
    expect(await client.call('echo', 3, 20_000)).toBe(3);
  });

  it('says in one sentence that it cannot listen', async () => {
    const { port } = await serve();
    const taken = serve({ port });
    await expect(taken).rejects.toBeInstanceOf(StartupError);
    await expect(taken).rejects.toThrow(`Port ${port} on 127.0.0.1 is in use.`);
    await expect(serve({ host: '192.0.2.1' })).rejects.toBeInstanceOf(StartupError);
  });

  it('finishes its calls when it closes, and takes no more', async () => {
    const { server, port, gate } = await serve();
    const client = connect(port);
    const running = client.call('held', 1);
    await until(() => gate.waiting === 1);
    const closed = server.close();
    await expect(client.call('held', 2)).rejects.toMatchObject({ code: 'unavailable' });
    expect(gate.waiting).toBe(1);
    gate.open();
    expect(await running).toBe(1);
    await closed;
    await server.close();
    await expect(connect(port).call('echo', 3, 100)).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('closes although a call never ends', async () => {
    const { server, port, gate } = await serve();
    const stuck = expect(connect(port, { timeoutMs: 20_000 }).call('held', 1)).rejects.toMatchObject({ code: 'unavailable' });
    await until(() => gate.waiting === 1);
    await server.close();
    await stuck;
  });
});

describe('a client', () => {
  it('that is closed rejects what is under way and what comes later', async () => {
    const { port, gate } = await serve();
    const client = connect(port);
    const running = expect(client.call('held', 1)).rejects.toMatchObject({ code: 'unavailable' });
    await until(() => gate.waiting === 1);
    await client.close();
    await running;
    await expect(client.call('echo', 2)).rejects.toMatchObject({ code: 'unavailable' });
    await client.close();
  });

  it('closes while it waits for a connection', async () => {
    const client = connect(await freePort());
    const waiting = expect(client.call('echo', 1)).rejects.toMatchObject({ code: 'unavailable' });
    await client.close();
    await waiting;
  });
});
