import { CannotRunError, EXIT, UsageError, type Command, type Context, type ExitCode, type ListedCommand } from './command.ts';

/** Runs the command that the arguments name. Resolves with the exit code; only a defect of the program itself makes it reject. */
export async function kmsAudit(
  args: readonly string[],
  commands: Readonly<Record<string, ListedCommand>>,
  context: Context,
): Promise<ExitCode> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h') {
    context.print(overview(commands));
    return name === undefined ? EXIT.cannot : EXIT.ok;
  }
  const listed = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (listed === undefined) {
    context.note('There is no command of that name: kms-audit --help lists them.');
    return EXIT.cannot;
  }
  const command = await loaded(listed);
  if (command === null) {
    context.note(`kms-audit ${name} needs packages that are not here: it needs the whole installation.`);
    return EXIT.cannot;
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    context.print(command.help.trimEnd());
    return EXIT.ok;
  }
  return attempt(name, command, rest, context);
}

/** The command; null where a package that it imports is not installed. */
async function loaded({ load }: ListedCommand): Promise<Command | null> {
  try {
    return await load();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    return null;
  }
}

async function attempt(name: string, command: Command, args: readonly string[], context: Context): Promise<ExitCode> {
  try {
    return await command.run(args, context);
  } catch (error) {
    if (error instanceof UsageError) context.note(`${error.message} kms-audit ${name} --help says more.`);
    else if (error instanceof CannotRunError) context.note(error.message);
    else throw error;
    return EXIT.cannot;
  }
}

function overview(commands: Readonly<Record<string, ListedCommand>>): string {
  const width = Math.max(0, ...Object.keys(commands).map(({ length }) => length));
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    'kms-audit <command> [options]',
    '',
    'Takes, checks and follows the audit log of an organization.',
    '',
    ...lines,
    '',
    'kms-audit <command> --help says more. Exit codes: 0 ok, 1 the evidence is bad, 2 the call is wrong or the command cannot run.',
  ].join('\n');
}
