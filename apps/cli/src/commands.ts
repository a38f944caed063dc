import type { ListedCommand } from './command.ts';

/** All commands, in the order of `--help`. */
export const COMMANDS: Readonly<Record<string, ListedCommand>> = {
  verify: {
    summary: 'checks an evidence pack, offline',
    load: async () => (await import('./verify/verify.command.ts')).verify,
  },
  export: {
    summary: 'takes an evidence pack from a running system',
    load: async () => (await import('./export/export.command.ts')).exportPack,
  },
  follow: {
    summary: 'checks the audit topic, live or up to its end, without asking the services',
    load: async () => (await import('./follow/follow.ts')).follow,
  },
  fsck: {
    summary: 'compares journals, topic and ledger of a running system',
    load: async () => (await import('./fsck/fsck.ts')).fsck,
  },
};
