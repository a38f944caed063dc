import { EnvelopeError, LocalRootKey, parseRootKey } from '@kms/envelope';
import { z } from 'zod';

/** `LOG_WRAPPING_KEY`: the key provider that the log keys are wrapped by, 32 bytes in base64. */
export const WrappingKey = z.string().transform((text, context) => {
  try {
    return new LocalRootKey(parseRootKey(text));
  } catch (error) {
    if (!(error instanceof EnvelopeError)) throw error;
    context.addIssue({ code: 'custom', message: 'it must be 32 bytes in base64' });
    return z.NEVER;
  }
});
