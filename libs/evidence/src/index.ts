export { ChainRuns, type Met, type Run } from './chain-runs.ts';
export { EvidenceError, type BadRecord, type EvidenceErrorCode } from './evidence-error.ts';
export type { LogFiles } from './log-files.ts';
export { PACK_FORMAT, parseManifest, writeManifest, type Manifest } from './manifest.ts';
export { verifyLog, type LogExpectations, type LogReport } from './verify-log.ts';
export { verifyPack, type PackExpectations, type PackReport } from './verify-pack.ts';
export { writePack, type PackContent, type PackWriter } from './write-pack.ts';
export type { ChainsState, WriterReport } from './writer-chains.ts';
export { verifyPart, type Elsewhere, type LogPart } from './verify-part.ts';
