import { MemoryJournal, MemoryJournalStore, MemoryRelayStore } from './memory-journal.ts';
import { journalStoreContract } from './journal-store-contract.ts';
import { relayStoreContract } from './relay-store-contract.ts';

journalStoreContract('memory', async () => {
  const journal = new MemoryJournal();
  journal.revisions.set('entry', 1);
  return {
    store: new MemoryJournalStore(journal),
    stored: async () => journal.blocks,
    revision: async () => journal.revisions.get('entry') ?? 0,
    setRevision: async (transaction, revision) => void transaction.revisions.set('entry', revision),
    failQuietly: async (transaction) => void (transaction.hasFailed = true),
    severAll: async () => journal.severAll(),
  };
});

relayStoreContract('memory', async () => {
  const journal = new MemoryJournal();
  return { journal: new MemoryJournalStore(journal), open: () => new MemoryRelayStore(journal) };
});
