import { EnvelopeError, LocalRootKey, parseRootKey } from '@kms/envelope';
import { parsedBy } from '@kms/platform';

/** `LOG_WRAPPING_KEY`: the key provider that the log keys are wrapped by, 32 bytes in base64. */
export const WrappingKey = parsedBy(
  (text) => new LocalRootKey(parseRootKey(text)),
  (error) => (error instanceof EnvelopeError ? 'it must be 32 bytes in base64' : null),
);
