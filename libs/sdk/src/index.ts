export { AuditClient, type AuditTrust, type BelievedCheckpoint, type ProvenRecord } from './audit-client.ts';
export { fileCheckpointStore, memoryCheckpointStore, type CheckpointStore } from './checkpoint-store.ts';
export type { HttpOptions } from './http-client.ts';
export { KmsClient, type KmsConfiguration, type KmsInventory, type RevealedSecret } from './kms-client.ts';
export { KmsError, type KmsErrorCode } from './kms-error.ts';
export { parseReceipt, writeReceipt, type Receipt } from './receipt.ts';
export { createSdk, type Sdk, type SdkOptions } from './sdk.ts';
