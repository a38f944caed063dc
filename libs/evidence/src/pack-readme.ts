import type { Manifest } from './manifest.ts';

/** The README of a pack: what is in it, and how anybody checks it. */
export function packReadme({ origin, size, from, to, checkpoints }: Manifest): string {
  const all = from === 0 && to === size;
  return `# Evidence of an audit log

The log \`${origin}\` had ${size} records at the checkpoint in here. ${
    all ? 'All of them are here.' : `The records with the indexes from ${from} to ${to - 1} are here, and what proves them.`
  }

| file | what |
| --- | --- |
| \`checkpoint\` | the signed size and root of the log's Merkle tree ([tlog-checkpoint](https://c2sp.org/tlog-checkpoint)) |
| \`tile/entries/…\` | the records, 256 to a file, each as its length (2 bytes, big-endian) and its bytes: a CloudEvents 1.0 event in JSON |
| \`tile/<level>/…\` | the tree's hashes ([tlog-tiles](https://c2sp.org/tlog-tiles)) |
| \`checkpoints/<size>\` | older checkpoints, which this log extends: ${checkpoints.length === 0 ? 'none' : checkpoints.join(', ')} |
| \`keys\` | the log's public keys, as its operator gave them |
| \`manifest.json\` | the format of this folder, and which records are in it |

## Check it

With the operator's tool, which needs no server and no network:

    kms-audit verify . --key <public key> --checkpoint <older checkpoint>${all ? '' : ` --from ${from} --to ${to}`}

Take the public key from where you got it before, on another way than this folder: whoever made the folder could have put in any key. An older
checkpoint that you kept is what shows that no history was written anew, even by somebody who has the log's key.

Without that tool: the layout is that of C2SP, so other people's programs read it, such as Go's \`golang.org/x/mod/sumdb/note\` (signatures) and
\`golang.org/x/mod/sumdb/tlog\` (tiles and proofs). By hand:

1. The signatures below the checkpoint's empty line are Ed25519 over the text above it ([signed-note](https://c2sp.org/signed-note)).
2. A record's leaf hash is SHA-256 of a zero byte and the record. The hashes of 256 records are the tile \`tile/0/…\` with the bundle's number.
3. A tile's root, by SHA-256 of a one byte and two hashes, is a hash in the tile above; the root over all is in the checkpoint (RFC 6962).
4. Each record has a \`writer\` and a \`sequence\`. Its \`previoushash\` is SHA-256 of the \`previoushash\` (as 32 bytes) of that writer's record
   before it, followed by the bytes of that record. A writer numbers its records over all organizations, so numbers may be missing here.
`;
}
