export { BalancedClient, type BalancedClientOptions } from './balanced-client.ts';
export { ErrorsToTransport } from './errors-to-transport.ts';
export { FramesServer, type FramesServerOptions } from './frames-server.ts';
export { observeCalls } from './observe-calls.ts';
export type { RpcLogger } from './logger.ts';
export { RpcClient, type RpcClientOptions } from './rpc-client.ts';
export { RpcError, type RpcErrorCode } from './rpc-error.ts';
