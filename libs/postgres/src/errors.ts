import type pg from 'pg';

/** SQLSTATE codes that this code tells apart (PostgreSQL documentation, appendix A). */
export const SqlState = { UniqueViolation: '23505', InvalidPassword: '28P01', InvalidCatalog: '3D000' } as const;

/** A COMMIT that the server answered with another command tag: the transaction had failed before, and nothing was stored. */
export class CommitError extends Error {
  override readonly name = 'CommitError';
}

/**
 * Whether the server refused a statement and the session lives on. Anything else (a FATAL message, a broken connection) says
 * nothing about what a commit under way came to.
 */
export function isRefusal(error: unknown): error is pg.DatabaseError {
  return error instanceof CommitError || (error as { severity?: unknown } | null)?.severity === 'ERROR';
}

/** The SQLSTATE of a server's error, or undefined. */
export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}
