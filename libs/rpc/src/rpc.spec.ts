import { afterEach, describe, expect, it } from '@jest/globals';
import { FramesServer, RpcClient, type RpcLogger } from './index.ts';

const SECRET = 'a secret of at least 32 characters';
const logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined } as unknown as RpcLogger;
const open: { close(): Promise<unknown> }[] = [];

async function serve(port = 0, secret = SECRET, maxInFlight?: number): Promise<FramesServer> {
  const server = new FramesServer({ host: '127.0.0.1', port, secret, logger, ...(maxInFlight === undefined ? {} : { maxInFlight }) });
  server.addHandler('echo', async (payload: unknown) => payload);
  server.addHandler('fail', () => Promise.reject(new Error('an internal detail')));
  server.addHandler('never', () => new Promise(() => undefined));
  await new Promise<void>((resolve, reject) => server.listen((error) => (error ? reject(error) : resolve())));
  open.push(server);
  return server;
}

function connect(port: number, secret = SECRET): RpcClient {
  const client = new RpcClient({ host: '127.0.0.1', port, secret, logger });
  open.push(client);
  return client;
}

afterEach(async () => {
  for (const end of open.splice(0).reverse()) await end.close();
});

describe('the hop', () => {
  it('gives each of many calls at once its own answer', async () => {
    const client = connect((await serve()).port);
    const calls = Array.from({ length: 2_000 }, (_, index) => client.call('echo', { index, text: 'x'.repeat(index % 500) }));
    expect((await Promise.all(calls)).map((answer) => (answer as { index: number }).index)).toEqual(calls.map((_, index) => index));
  });

  it('tells a caller that a handler failed, and nothing of how', async () => {
    const client = connect((await serve()).port);
    const failure = await client.call('fail', null).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'failed' });
    expect(String(failure)).not.toContain('internal detail');
    await expect(client.call('unknown', null)).rejects.toMatchObject({ code: 'failed' });
  });

  it('lets nobody in who does not know the secret', async () => {
    const client = connect((await serve()).port, 'another secret of more than 32 characters');
    await expect(client.call('echo', 1)).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('gives up on a call that is not answered in its time, and goes on with the others', async () => {
    const client = connect((await serve()).port);
    await expect(client.call('never', null, 50)).rejects.toMatchObject({ code: 'timeout' });
    expect(await client.call('echo', 1)).toBe(1);
  });

  it('refuses more calls than may be under way', async () => {
    const client = connect((await serve(0, SECRET, 1)).port);
    const first = client.call('never', null, 200);
    await expect(client.call('echo', 1)).rejects.toMatchObject({ code: 'overloaded' });
    await expect(first).rejects.toMatchObject({ code: 'timeout' });
  });

  it('fails while its server is away, and works again by itself', async () => {
    const server = await serve();
    const { port } = server;
    const client = connect(port);
    expect(await client.call('echo', 1)).toBe(1);
    await server.close();
    await expect(client.call('echo', 1)).rejects.toMatchObject({ code: 'unavailable' });
    await serve(port);
    expect(await client.call('echo', 2)).toBe(2);
  });

  it('says in one sentence that a port is in use', async () => {
    const { port } = await serve();
    await expect(serve(port)).rejects.toThrow(`Port ${port} on 127.0.0.1 is in use.`);
  });
});
