/** An answer that is an error: its status, and the sentence that the client sees. */
export class HttpError extends Error {
  override readonly name = 'HttpError';

  constructor(
    readonly status: number,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export const invalidToken = () => new HttpError(401, 'Invalid token');
export const forbidden = () => new HttpError(403, 'This API key does not have the permission for this call');
export const unauthorizedReveal = () => new HttpError(403, 'Unauthorized to reveal this KMS Entry');
export const unknownEntry = () => new HttpError(404, 'This KMSEntry does not exist');
export const auditUnavailable = (cause?: unknown) => new HttpError(503, 'Audit is unavailable', { cause });
export const vaultUnavailable = (cause?: unknown) => new HttpError(503, 'The vault is unavailable', { cause });
