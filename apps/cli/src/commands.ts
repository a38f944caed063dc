import type { Command } from './command.ts';
import { follow } from './follow/follow.ts';
import { fsck } from './fsck/fsck.ts';

/** All commands, in the order of `--help`. */
export const COMMANDS: Readonly<Record<string, Command>> = { follow, fsck };
