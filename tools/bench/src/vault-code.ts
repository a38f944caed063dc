import { readFileSync } from 'node:fs';
import type { Caller, CreateRequest } from '@kms/contracts';
import { LocalRootKey, parseRootKey } from '@kms/envelope';
import type { Journal, Recorded } from '@kms/journal';
import type pg from 'pg';

/** What the benchmark calls of the vault's own compiled code, past its doors. */

/** `ChangeEntry` of `write/change-entry.ts`, as far as it makes entries. */
interface ChangeEntry {
  create(request: CreateRequest): Promise<{ status: string }>;
}

type Transact = Pick<Journal<pg.ClientBase>, 'transact'>;

const load = (path: string) =>
  import(new URL(`../../../apps/vault/dist/${path}.js`, import.meta.url).href) as Promise<Record<string, unknown>>;

/** Makes entries with the vault's own code, many in one transaction: encrypted, counted, journaled. */
export class EntryMaker {
  private constructor(
    readonly journal: Transact,
    readonly changes: (journal: Transact) => ChangeEntry,
  ) {}

  static async open(journal: Transact, rootKeyFile: string, nextId: () => string): Promise<EntryMaker> {
    const { ChangeEntry } = (await load('write/change-entry')) as { ChangeEntry: new (dependencies: object) => ChangeEntry };
    const { KeyRing } = (await load('keys/key-ring')) as { KeyRing: new (rootKey: LocalRootKey) => object };
    const keyRing = new KeyRing(new LocalRootKey(parseRootKey(readFileSync(rootKeyFile, 'utf8').trim())));
    return new EntryMaker(journal, (inner) => new ChangeEntry({ journal: inner, keyRing, nextId, now: () => new Date() }));
  }

  /** All of them or none. */
  async create(caller: Caller, entries: readonly CreateRequest['entry'][]): Promise<void> {
    await this.journal.transact(async (client) => {
      const events: Recorded<unknown>['events'][number][] = [];
      const changes = this.changes({
        async transact(work) {
          const recorded = await work(client);
          events.push(...recorded.events);
          return recorded.value;
        },
      });
      for (const entry of entries) {
        const { status } = await changes.create({ caller, entry });
        if (status !== 'ok') throw new Error(`The entry ${entry.handler} was not made: ${status}.`);
      }
      return { events, value: null };
    });
  }
}
