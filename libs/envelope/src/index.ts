export type { ContentContext, DataKeyContext, KeyContext, LogKeyContext, OrganizationKeyContext } from './context.ts';
export { EnvelopeError, type EnvelopeErrorCode } from './envelope-error.ts';
export { generateKey, KEY_BYTES, KEY_WRAP_LIMIT, zeroize, type RandomBytes } from './key.ts';
export { LocalRootKey, parseRootKey, rootKeyId, type RootKeyContext, type RootKeyProvider } from './root-key.ts';
export { prepareContent, sealContent, SEALED_CONTENT_OVERHEAD_BYTES, type PreparedContent } from './sealed-content.ts';
export { unwrapKey, WRAPPED_KEY_BYTES, wrapKey, wrappingKeyIdOf } from './wrapped-key.ts';
