import { afterEach, describe, expect, it } from '@jest/globals';
import { waitFor } from '@kms/testing';
import { BalancedClient, FramesServer, type BalancedClientOptions, type RpcLogger } from './index.ts';

const SECRET = 'a secret of at least 32 characters';
const host = '127.0.0.1';
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined } as unknown as RpcLogger;

const ends: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** An instance that answers its own name, or holds its calls back until it is let go. */
async function instance(name: string, port = 0, address = host) {
  const server = new FramesServer({ host: address, port, secret: SECRET, logger: silent });
  let calls = 0;
  let letGo!: () => void;
  const going = new Promise<void>((resolve) => (letGo = resolve));
  server.addHandler('name', async () => {
    calls += 1;
    return name;
  });
  server.addHandler('held', async () => {
    calls += 1;
    await going;
    return name;
  });
  await new Promise<void>((resolve, reject) => server.listen((error) => (error ? reject(error) : resolve())));
  ends.push(() => server.close());
  return { server, port: server.port, letGo, calls: () => calls };
}

function balanced(options: Partial<BalancedClientOptions> & Pick<BalancedClientOptions, 'endpoints'>): BalancedClient {
  const client = new BalancedClient({ secret: SECRET, logger: silent, ...options });
  ends.push(() => client.close());
  return client;
}

/** A client of two instances, connected to both. */
async function pair() {
  const [a, b] = [await instance('a'), await instance('b')];
  const endpoints = [a, b].map(({ port }) => ({ host, port }));
  const client = balanced({ endpoints });
  const seen = new Set<string>();
  await waitFor('both to be called', async () => seen.add(await client.call<string>('name', null)).size === 2);
  return { a, b, client };
}

describe('a client of several instances', () => {
  it('spreads its calls over all of them', async () => {
    const { client } = await pair();
    const answers = await Promise.all(Array.from({ length: 100 }, () => client.call<string>('name', null)));
    expect(answers.filter((name) => name === 'a')).toHaveLength(50);
  });

  it('gives few calls to one that hangs', async () => {
    const { a, b, client } = await pair();
    const held = [client.call('held', null), client.call('held', null)];
    await waitFor('both to hold one', () => client.isUp && a.calls() > 0 && b.calls() > 0);
    a.letGo();
    expect(await Promise.race(held)).toBe('a');
    for (let turn = 0; turn < 20; turn += 1) expect(await client.call('name', null)).toBe('a');
    b.letGo();
    expect(await Promise.all(held)).toEqual(expect.arrayContaining(['a', 'b']));
  });

  it('loses no call to an instance that ends in order', async () => {
    const { a, client } = await pair();
    const calls = Array.from({ length: 50 }, () => client.call<string>('name', null));
    const closing = a.server.close();
    for (let turn = 0; turn < 50; turn += 1) calls.push(client.call<string>('name', null));
    await expect(Promise.all(calls)).resolves.toHaveLength(100);
    await closing;
  });

  it('does not repeat a call that an instance may have carried out', async () => {
    const { a, b, client } = await pair();
    const before = a.calls() + b.calls();
    const call = client.call('held', null);
    call.catch(() => undefined);
    await waitFor('the call to arrive', () => a.calls() + b.calls() > before);
    await Promise.all([a.server.close(), b.server.close()]);
    await expect(call).rejects.toMatchObject({ code: 'unavailable', isNotCarriedOut: false });
    expect(a.calls() + b.calls()).toBe(before + 1);
  });

  it('follows the addresses of a name', async () => {
    const a = await instance('a');
    const b = await instance('b', a.port, '127.0.0.2');
    let addresses = ['127.0.0.1'];
    const client = balanced({ endpoints: [{ host: 'vault', port: a.port }], resolve: async () => addresses, resolveEveryMs: 5 });
    expect(await client.call('name', null)).toBe('a');
    addresses = ['127.0.0.2'];
    await waitFor('the other', async () => (await client.call('name', null)) === 'b');
    const before = a.calls();
    for (let turn = 0; turn < 10; turn += 1) expect(await client.call('name', null)).toBe('b');
    expect(a.calls()).toBe(before);
    expect(b.calls()).toBeGreaterThan(10);
  });

  it('keeps what it knows where the names cannot be looked up, and says so where it knows nothing', async () => {
    const a = await instance('a');
    let lookups = 0;
    const resolve = async () => {
      lookups += 1;
      if (lookups > 1) throw Object.assign(new Error('no'), { code: 'EAI_AGAIN' });
      return [host];
    };
    const client = balanced({ endpoints: [{ host: 'vault', port: a.port }], resolve, resolveEveryMs: 5 });
    await client.call('name', null);
    await waitFor('failed look-ups', () => lookups > 3);
    expect(await client.call('name', null)).toBe('a');

    const nowhere = balanced({ endpoints: [{ host: 'nowhere', port: 1 }], resolve: () => Promise.reject(new Error('no')) });
    await expect(nowhere.call('name', null)).rejects.toMatchObject({ code: 'unavailable', isNotCarriedOut: true });
  });
});
