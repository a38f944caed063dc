export { parseAddress, type Address } from './address.ts';
export { clientAddress, parseTrustedProxies } from './client-address.ts';
export { parseRange, RangeFormatError, type Range } from './range.ts';
export { allowsAddress, compileWhitelist, type Whitelist } from './whitelist.ts';
