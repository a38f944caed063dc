import type { Command } from './command.ts';
import { exportPack } from './export/export.command.ts';
import { follow } from './follow/follow.ts';
import { fsck } from './fsck/fsck.ts';
import { verify } from './verify/verify.command.ts';

/** All commands, in the order of `--help`. */
export const COMMANDS: Readonly<Record<string, Command>> = { verify, export: exportPack, follow, fsck };
