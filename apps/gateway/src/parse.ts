import { parseRange, RangeFormatError } from '@kms/access';
import type { z } from 'zod';
import { HttpError } from './domain/http-error.ts';

/** Parses what a client sent. Throws a 400 with one sentence that names the member, and does not quote its value. */
export function parse<Schema extends z.ZodType>(schema: Schema, value: unknown): z.infer<Schema> {
  const result = schema.safeParse(value ?? {});
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new HttpError(400, issue === undefined ? 'The request is not valid' : sentence(issue));
}

function sentence(issue: z.core.$ZodIssue): string {
  const path = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const names = issue.keys.map((key) => (path === '' ? key : `${path}.${key}`));
    return `Unknown member: ${names.join(', ')}`;
  }
  return `${path === '' ? 'The body' : path} is not valid: ${issue.message}`;
}

/** Checks that every range of a whitelist is canonical. Throws a 400 that says which is not, and why. */
export function checkWhitelist(whitelist: readonly string[] | undefined): void {
  whitelist?.forEach((text, index) => checkRange(`kmsEntry.whitelist.${index}`, text));
}

export function checkRange(name: string, text: string | undefined): void {
  if (text === undefined) return;
  try {
    parseRange(text);
  } catch (error) {
    if (!(error instanceof RangeFormatError)) throw error;
    throw new HttpError(400, `${name} is not valid: ${error.message}`);
  }
}

/** The revision in an `If-Match` header, or null where there is none. */
export function parseIfMatch(header: string | undefined): number | null {
  if (header === undefined) return null;
  const [, revision] = /^"([1-9][0-9]{0,14})"$/.exec(header) ?? [];
  if (revision === undefined) throw new HttpError(400, 'If-Match is not valid: it must be one revision in double quotes');
  return Number(revision);
}
