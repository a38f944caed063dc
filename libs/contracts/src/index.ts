export * from './event.ts';
export * from './http.ts';
export * from './identifiers.ts';
export * from './parse-event.ts';
export * from './permissions.ts';
export * from './rpc.ts';
