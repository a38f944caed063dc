import type { CompactRange } from './compact-range.ts';
import { MerkleError } from './merkle-error.ts';
import type { NodeReader } from './make-proof.ts';
import { completeSubtrees, type NodeId } from './subtree.ts';

/**
 * Takes the nodes of a tree's right edge from its compact range as it is now, and asks the reader for all others, by one call at most. Nearly
 * every proof in a tree needs its edge, which lies in other tiles than the rest of the proof. Rejects as the reader does, and with
 * `invalid-argument` where it answers with something else than one hash for each node.
 */
export function edgeNodeReader(edge: CompactRange, reader: NodeReader): NodeReader {
  const hashes = edge.hashes();
  const known = new Map(completeSubtrees({ start: 0, end: edge.size }).map((node, at) => [nameOf(node), hashes[at] as Uint8Array]));
  return {
    async readNodes(nodes) {
      const others = nodes.filter((node) => !known.has(nameOf(node)));
      const read = others.length === 0 ? [] : await reader.readNodes(others);
      if (read.length !== others.length)
        throw new MerkleError('invalid-argument', 'The node reader must answer with one hash for each node.');
      const rest = read.values();
      return nodes.map((node) => known.get(nameOf(node)) ?? (rest.next().value as Uint8Array));
    },
  };
}

const nameOf = ({ level, index }: NodeId) => `${level}/${index}`;
