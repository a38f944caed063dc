import { parseArgs, type ParseArgsConfig } from 'node:util';

/** What every command ends with, whatever it says. */
export const EXIT = {
  /** What was asked is done, and the evidence is good. */
  ok: 0,
  /** The evidence is bad. */
  bad: 1,
  /** The call was wrong, or the command could not run: nothing is known of the evidence. */
  cannot: 2,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What a command has of the world beside files and network. */
export interface Context {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Aborted by the first Ctrl-C; the second one ends the process at once. */
  readonly signal: AbortSignal;
  /** A line for whoever called: a result. */
  print(line: string): void;
  /** A line beside the result: progress, a warning. */
  note(line: string): void;
}

/** One command of `kms-audit`, as the list of commands has it. */
export interface ListedCommand {
  /** What it does: one line. */
  readonly summary: string;
  /** Loads it and what it needs: whoever verifies a pack offline needs no client of a database or a broker, nor to have one installed. */
  load(): Promise<Command>;
}

/** What a command does once it is loaded. */
export interface Command {
  /** All of its `--help`. */
  readonly help: string;
  /**
   * Runs with the arguments behind the command's name. Rejects with {@link UsageError} for a wrong call and {@link CannotRunError} for what
   * keeps it from running; it says itself what is bad of the evidence, and then resolves with {@link EXIT.bad}.
   */
  run(args: readonly string[], context: Context): Promise<ExitCode>;
}

/** The call is wrong. The message is one sentence that says what is wanted, without any secret. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The command cannot run, through no fault of the evidence. The message is one sentence, without any secret. */
export class CannotRunError extends Error {
  override readonly name = 'CannotRunError';
}

/** {@link parseArgs}, whose own refusals become {@link UsageError}s of one sentence. */
export function parseArguments<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    if (!code.startsWith('ERR_PARSE_ARGS_')) throw cause;
    const [sentence = ''] = (cause as Error).message.split(/\. (?=[A-Z])|\n/);
    throw new UsageError(sentence.endsWith('.') ? sentence : `${sentence}.`, { cause });
  }
}
