import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { StartupError } from './startup-error.ts';

/**
 * Parses a process's environment once, at start. For a variable `NAME`, `NAME_FILE` may name a file that holds the value instead (its
 * final line break is dropped), so that a secret need not stand in the environment; an empty variable counts as missing.
 * Throws {@link StartupError} with one sentence for each mistake; a sentence names the variable and never its value.
 */
export function loadConfiguration<Schema extends z.ZodObject>(schema: Schema, environment: NodeJS.ProcessEnv): z.infer<Schema> {
  const given: Record<string, string> = {};
  for (const name of Object.keys(schema.shape)) {
    const value = readVariable(name, environment);
    if (value !== undefined) given[name] = value;
  }
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  throw new StartupError(result.error.issues.map((issue) => sentence(issue, given)).join('\n'));
}

function readVariable(name: string, environment: NodeJS.ProcessEnv): string | undefined {
  const direct = environment[name] || undefined;
  const file = environment[`${name}_FILE`] || undefined;
  if (file === undefined) return direct;
  if (direct !== undefined) throw new StartupError(`Both ${name} and ${name}_FILE are set: set one of them.`);
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (cause) {
    throw new StartupError(`The file that ${name}_FILE names cannot be read: ${(cause as NodeJS.ErrnoException).code}.`, { cause });
  }
}

function sentence(issue: z.core.$ZodIssue, given: Record<string, string>): string {
  const name = String(issue.path[0] ?? '');
  if (name !== '' && !(name in given)) return `${name} is not set: it is required.`;
  return `${name} is not valid: ${issue.message}.`;
}

/** A TCP port; 0 lets the system choose a free one. */
export const Port = z
  .string()
  .regex(/^[0-9]{1,5}$/, 'it must be a port number from 0 to 65535')
  .transform(Number)
  .refine((port) => port <= 65535, 'it must be a port number from 0 to 65535');

const ENDPOINT = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\],]+)):([0-9]{1,5})$/;

/** `host:port`, the address of a peer, or several with commas between; a name stands for all of its addresses. */
export const Endpoints = z
  .string()
  .transform((text) => text.split(',').map((member) => ENDPOINT.exec(member)))
  .refine((members) => members.every((member) => member !== null), 'it must be host:port, or several with commas between and no spaces')
  .transform((members) => members.map((member) => ({ host: member?.[1] ?? member?.[2] ?? '', port: Number(member?.[3]) })))
  .refine((endpoints) => endpoints.every(({ port }) => port >= 1 && port <= 65_535), 'a port is a number from 1 to 65535');

/** A PostgreSQL connection string. */
export const DatabaseUrl = z.string().regex(/^postgres(?:ql)?:\/\//, 'it must begin with postgres:// or postgresql://');

/** A secret of at least 32 bytes of entropy: 64 hexadecimal digits or longer text. */
export const SharedSecret = z.string().min(32, 'it must have at least 32 characters');

/**
 * A variable that `parse` reads. `explain` says what is wrong with it by the error that `parse` threw; `null`: that error is none of the
 * variable's, and is thrown on.
 */
export function parsedBy<T>(parse: (text: string) => T, explain: (error: unknown) => string | null) {
  return z.string().transform((text, context) => {
    try {
      return parse(text);
    } catch (error) {
      const message = explain(error);
      if (message === null) throw error;
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    }
  });
}
