import { CannotRunError, EXIT, UsageError, type Command, type Context, type ExitCode } from './command.ts';

/** Runs the command that the arguments name. Resolves with the exit code; only a defect of the program itself makes it reject. */
export async function kmsAudit(args: readonly string[], commands: Readonly<Record<string, Command>>, context: Context): Promise<ExitCode> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h') {
    context.print(overview(commands));
    return name === undefined ? EXIT.cannot : EXIT.ok;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    context.note('There is no command of that name: kms-audit --help lists them.');
    return EXIT.cannot;
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    context.print(command.help.trimEnd());
    return EXIT.ok;
  }
  return attempt(name, command, rest, context);
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

function overview(commands: Readonly<Record<string, Command>>): string {
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
