import {
  decodeContent,
  type AddVersionRequest,
  type Caller,
  type ConfigurationReply,
  type CreateRequest,
  type DeleteRequest,
  type Encoding,
  type Id,
  type RefusalCode,
  type UpdateRequest,
} from '@kms/contracts';
import { JournalError, type Journal, type Recorded } from '@kms/journal';
import { SqlState, sqlState } from '@kms/postgres';
import type pg from 'pg';
import { changeEvent } from '../domain/audit-event.ts';
import { evolve, initialState, toConfiguration, versionOf, type Entry, type EntryEvent } from '../domain/entry.ts';
import * as decisions from '../domain/entry.decisions.ts';
import { storeContent } from '../keys/content-sealer.ts';
import type { KeyRing } from '../keys/key-ring.ts';
import { insertEntry, insertVersion, lastVersion, lockEntry, updateEntry } from './entry-store.ts';

export interface ChangeDependencies {
  journal: Pick<Journal<pg.ClientBase>, 'transact'>;
  keyRing: KeyRing;
  nextId: () => Id;
  now: () => Date;
}

/** Changes entries: the state, the sealed content and the event in one transaction, in the order of the journal. */
export class ChangeEntry {
  constructor(readonly dependencies: ChangeDependencies) {}

  create({ caller, entry: { content, ...entry } }: CreateRequest): Promise<ConfigurationReply> {
    const { journal, keyRing, nextId } = this.dependencies;
    const bytes = contentBytes(content, entry.encoding);
    const id = nextId();
    const { organizationId, environment } = caller;
    return answer(() =>
      journal.transact(async (client) => {
        const event = decisions.create({ id, organizationId, environment, ...entry }, this.#time());
        const state = evolve(initialState, event);
        await insertEntry(client, state);
        await storeContent(client, keyRing, { organizationId, entryId: id, version: 1 }, bytes);
        return this.#recorded(client, caller, event, state);
      }),
    );
  }

  update({ caller, handler, ...command }: UpdateRequest): Promise<ConfigurationReply> {
    return this.#change(caller, handler, (entry) => decisions.update(entry, command, this.#time()));
  }

  addVersion({ caller, handler, content, encoding }: AddVersionRequest): Promise<ConfigurationReply> {
    const bytes = contentBytes(content, encoding);
    return this.#change(
      caller,
      handler,
      async (entry, client) => {
        const last = entry === null ? 0 : await lastVersion(client, entry.id);
        return decisions.addVersion(entry, last, encoding, this.#time());
      },
      (client, { organizationId, id, currentVersion }) =>
        storeContent(client, this.dependencies.keyRing, { organizationId, entryId: id, version: currentVersion }, bytes),
    );
  }

  delete({ caller, handler }: DeleteRequest): Promise<ConfigurationReply> {
    return this.#change(caller, handler, (entry) => decisions.remove(entry, this.#time()));
  }

  #change(
    caller: Caller,
    handler: string,
    decide: (entry: Entry | null, client: pg.ClientBase) => EntryEvent | Promise<EntryEvent>,
    beside: (client: pg.ClientBase, entry: Entry) => Promise<void> = () => Promise.resolve(),
  ): Promise<ConfigurationReply> {
    const { organizationId, environment } = caller;
    return answer(() =>
      this.dependencies.journal.transact(async (client) => {
        const entry = await lockEntry(client, { organizationId, environment, handler });
        const event = await decide(entry, client);
        const state = evolve(entry, event);
        await updateEntry(client, state, decisions.existing(entry));
        await beside(client, state);
        return this.#recorded(client, caller, event, state);
      }),
    );
  }

  async #recorded(client: pg.ClientBase, caller: Caller, event: EntryEvent, state: Entry): Promise<Recorded<Entry>> {
    const version = versionOf(event);
    if (version !== null) await insertVersion(client, state.id, version);
    return { events: [changeEvent(this.dependencies.nextId(), caller, event, state)], value: state };
  }

  #time(): string {
    return this.dependencies.now().toISOString();
  }
}

async function answer(change: () => Promise<Entry>): Promise<ConfigurationReply> {
  try {
    return { status: 'ok', value: toConfiguration(await change()) };
  } catch (error) {
    const code = refusalCode(error);
    if (code === null) throw error;
    return { status: 'refused', code };
  }
}

function refusalCode(error: unknown): RefusalCode | null {
  if (error instanceof decisions.Refusal) return error.code;
  if (error instanceof JournalError) return 'unavailable';
  return sqlState(error) === SqlState.UniqueViolation ? 'handler-taken' : null;
}

/** The gateway has checked the body already; bytes that are not what they say are a defect, never a client's mistake. */
function contentBytes(content: string, encoding: Encoding): Buffer {
  const bytes = decodeContent(content, encoding);
  if (bytes === null) throw new Error('The content is not what its encoding says.');
  return Buffer.from(bytes);
}
