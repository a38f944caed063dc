// Measures what an auditor and the ledger do with the Merkle tree: verify records, make proofs, check them. Everything is in memory.
import { randomBytes } from 'node:crypto';
import { checkInclusion, CompactRange, parseEntryBundle, proveInclusion, RecordVerifier, SHA256_TREE, writeEntryBundle } from '@kms/merkle';

const RECORD_BYTES = 500;
const BUNDLES = 2_000;
const LEAVES = 1_000_000;
const PROOFS = 20_000;
const ROUNDS = 4;

const pool = randomBytes(1 << 20);
const record = (index) => pool.subarray(index % (pool.length - RECORD_BYTES), (index % (pool.length - RECORD_BYTES)) + RECORD_BYTES);
const seconds = async (action) => {
  const start = process.hrtime.bigint();
  await action();
  return Number(process.hrtime.bigint() - start) / 1e9;
};

const bundles = Array.from({ length: BUNDLES }, (_, at) => writeEntryBundle(Array.from({ length: 256 }, (_, k) => record(at * 256 + k))));
for (let round = 0; round < ROUNDS; round += 1) {
  const verifier = new RecordVerifier();
  const elapsed = await seconds(() => {
    for (const bundle of bundles) for (const entry of parseEntryBundle(bundle, 256)) verifier.add(entry);
  });
  console.log(`verify: ${Math.round(verifier.size / elapsed)} records/s of ${RECORD_BYTES} bytes`);
}

const levels = [];
const range = CompactRange.empty();
for (let index = 0; index < LEAVES; index += 1) {
  range.append(SHA256_TREE.leaf(record(index)), (node, hash) => ((levels[node.level] ??= [])[node.index] = hash));
}
const reader = { readNodes: async (nodes) => nodes.map(({ level, index }) => levels[level][index]) };
const tree = { size: LEAVES, root: range.root() };
const indexes = Array.from({ length: PROOFS }, (_, at) => Math.floor((at * LEAVES) / PROOFS));
for (let round = 0; round < ROUNDS; round += 1) {
  const proofs = [];
  const making = await seconds(async () => {
    for (const index of indexes) proofs.push(await proveInclusion(reader, index, LEAVES));
  });
  const checking = await seconds(() => indexes.forEach((index, at) => checkInclusion(levels[0][index], index, proofs[at], tree)));
  const each = (elapsed) => ((elapsed / PROOFS) * 1e6).toFixed(1);
  console.log(`proof in ${LEAVES} leaves: ${each(making)} µs to make, ${each(checking)} µs to check`);
}
