export { checkConsistency, checkInclusion, type TreeHead } from './check-proof.ts';
export { CompactRange, type NodeSink } from './compact-range.ts';
export { proveConsistency, proveInclusion, readCompactRange, type NodeReader } from './make-proof.ts';
export { MerkleError, type MerkleErrorCode } from './merkle-error.ts';
export { nodeSha256 } from './node-crypto.ts';
export type { NodeId } from './subtree.ts';
export { HASH_BYTES, SHA256_TREE, TreeHasher, type Sha256 } from './tree-hasher.ts';
