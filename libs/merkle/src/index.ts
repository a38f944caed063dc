export { checkConsistency, checkInclusion, type TreeHead } from './check-proof.ts';
export {
  openCheckpoint,
  openCheckpointNote,
  parseCheckpoint,
  writeCheckpoint,
  type Checkpoint,
  type CheckpointPolicy,
  type OpenedCheckpoint,
} from './checkpoint.ts';
export { CompactRange, type NodeSink } from './compact-range.ts';
export { COSIGNATURE_V1, cosignatureTime, cosigner } from './cosignature.ts';
export { edgeNodeReader } from './edge-nodes.ts';
export { MAX_ENTRY_BYTES, parseEntryBundle, writeEntryBundle } from './entry-bundle.ts';
export { proveConsistency, proveInclusion, readCompactRange, type NodeReader } from './make-proof.ts';
export { MerkleError, type MerkleErrorCode } from './merkle-error.ts';
export { NODE_CRYPTOGRAPHY, nodeSha256 } from './node-crypto.ts';
export {
  MAX_SIGNATURES,
  parseNote,
  parseSignatureLines,
  signNote,
  verifiedSignatures,
  writeNote,
  writeSignatureLines,
  type Note,
  type NoteSignature,
} from './note.ts';
export {
  ED25519_NOTE,
  noteKeyId,
  noteSigner,
  noteVerifier,
  parseSignerKey,
  parseVerifierKey,
  writeSignerKey,
  writeVerifierKey,
  type Cryptography,
  type Ed25519,
  type NoteSigner,
  type NoteVerifier,
  type SignatureType,
  type SignerKey,
  type SigningKey,
  type VerifierKey,
} from './note-key.ts';
export {
  MAX_PROOF_HASHES,
  parseAddCheckpoint,
  parseInclusionDocument,
  writeAddCheckpoint,
  writeInclusionDocument,
  type AddCheckpoint,
  type InclusionDocument,
} from './proof-document.ts';
export type { NodeId } from './subtree.ts';
export { newTiles, parseTilePath, TILE_WIDTH, tileInTree, tileNodes, tilePath, type Tile } from './tile.ts';
export { HashTile, hashTileNodeReader, tileNodeReader, type HashTileReader, type TileReader } from './tile-nodes.ts';
export { HASH_BYTES, sameBytes, SHA256_TREE, TreeHasher, type Sha256 } from './tree-hasher.ts';
export {
  RecordVerifier,
  verifyConsistency,
  verifyInclusion,
  verifyInclusionDocument,
  type ConsistencyEvidence,
  type InclusionEvidence,
} from './verify.ts';
