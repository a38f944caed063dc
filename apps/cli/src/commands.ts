import type { Command } from './command.ts';
import { follow } from './follow/follow.ts';

/** All commands, in the order of `--help`. */
export const COMMANDS: Readonly<Record<string, Command>> = { follow };
