import { beforeEach, describe, expect, it, jest } from '@jest/globals';
import { parseAddress } from '@kms/access';
import { VaultCall, type Policy } from '@kms/contracts';
import { RpcError, type RpcErrorCode } from '@kms/rpc';
import { PolicyCache } from './policy-cache.ts';
import { RevealSecret } from './reveal-secret.ts';

const ID = '6835c2cd0f3e5a7b9c1d2e3f';
const ADDRESS = '192.0.2.1';

let now: number;
let stored: Policy | null;
let calls: { pattern: string; timeoutMs: number }[];
let recorded: string[];
let secrets: RevealSecret;
let isDurable: boolean;
let failing: { pattern: string; code: RpcErrorCode } | null;

/** A vault that holds one policy and takes a while for each call. */
const vault = {
  call<T>(pattern: string, payload: unknown, timeoutMs = 0): Promise<T> {
    calls.push({ pattern, timeoutMs });
    now += 100;
    if (failing?.pattern === pattern) return Promise.reject(new RpcError(failing.code, 'It failed.', false));
    if (pattern === VaultCall.Policy) return Promise.resolve({ policy: stored } as T);
    const isCurrent = (payload as { revision: number }).revision === stored?.revision;
    const reply = isCurrent
      ? { status: 'revealed', content: 'secret', encoding: 'utf8', version: 1, receipt: 'receipt' }
      : { status: 'policy-changed', policy: stored };
    return Promise.resolve(reply as T);
  },
};

const policy = (revision: number, whitelist: string[]): Policy => ({
  entryId: ID,
  revision,
  whitelist,
  enabled: true,
  expiresAt: null,
  version: 1,
});

function reveal() {
  return secrets.reveal({
    receivedAt: now,
    principal: { organizationId: ID, environment: 'production', apiKeyId: ID, apiKeyName: 'test', permissions: new Set() },
    facts: { requestId: 'request', address: ADDRESS, userAgent: null },
    address: parseAddress(ADDRESS),
    handler: 'secret',
    version: null,
  });
}

beforeEach(() => {
  now = 0;
  stored = policy(1, [ADDRESS]);
  calls = [];
  recorded = [];
  isDurable = true;
  failing = null;
  const journal = {
    append: (place: (position: { writer: string; sequence: number; previousHash: string }) => string) => {
      if (!isDurable) return new Promise<never>(() => undefined);
      recorded.push((JSON.parse(place({ writer: ID, sequence: 1, previousHash: '' })) as { data: { reason: string } }).data.reason);
      return Promise.resolve({ writer: ID, sequence: 1, hash: Buffer.alloc(32) });
    },
  };
  secrets = new RevealSecret({ vault, policies: new PolicyCache(vault, () => now), journal, nextId: () => ID });
});

describe('a reveal', () => {
  it('is granted on a policy of any age, and leaves the vault what is left of its time', async () => {
    await reveal();
    now += 60_000;
    expect(await reveal()).toEqual({ body: { content: 'secret' }, receipt: 'receipt' });
    expect(calls.map(({ pattern }) => pattern)).toEqual([VaultCall.Policy, VaultCall.Reveal, VaultCall.Reveal]);
    expect(calls.map(({ timeoutMs }) => timeoutMs)).toEqual([800, 1_700, 1_800]);
  });

  it('is refused on a policy of at most 250 ms only: it asks again first', async () => {
    stored = policy(1, []);
    await expect(reveal()).rejects.toMatchObject({ status: 403 });
    now += 251;
    stored = policy(2, [ADDRESS]);
    expect(await reveal()).toEqual({ body: { content: 'secret' }, receipt: 'receipt' });
  });

  it('is decided anew on the policy that the vault answers, and refused there', async () => {
    await reveal();
    stored = policy(2, ['198.51.100.1']);
    await expect(reveal()).rejects.toMatchObject({ status: 403 });
    stored = null;
    now += 251;
    await expect(reveal()).rejects.toMatchObject({ status: 404 });
    expect(recorded).toEqual(['not-whitelisted', 'unknown-handler']);
  });

  it('is answered with a 503 in time where its refusal does not become durable', async () => {
    jest.useFakeTimers();
    stored = policy(1, []);
    isDurable = false;
    const refused = expect(reveal()).rejects.toMatchObject({ status: 503, message: 'Audit is unavailable' });
    // The question for the policy took 100 ms of the 1,800.
    await jest.advanceTimersByTimeAsync(1_699);
    expect(jest.getTimerCount()).toBe(1);
    await jest.advanceTimersByTimeAsync(1);
    await refused;
    expect(jest.getTimerCount()).toBe(0);
    jest.useRealTimers();
  });

  const failures: [code: RpcErrorCode, sentence: string][] = [
    ['timeout', 'Audit is unavailable'],
    ['failed', 'Audit is unavailable'],
    ['unavailable', 'The vault is unavailable'],
    ['overloaded', 'The vault is unavailable'],
  ];
  it.each(failures)('that the vault leaves without an answer (%s) is refused with "%s", in whichever step', async (code, sentence) => {
    for (const pattern of [VaultCall.Policy, VaultCall.Reveal]) {
      failing = { pattern, code };
      await expect(reveal()).rejects.toMatchObject({ status: 503, message: sentence });
    }
  });
});
