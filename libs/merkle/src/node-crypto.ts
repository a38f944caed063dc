import { hash } from 'node:crypto';
import type { Sha256 } from './tree-hasher.ts';

/*
 * The defaults for Node. This is the library's only file that imports from Node, so that a browser needs a replacement for one file, or
 * passes its own implementations.
 */

/** SHA-256 by Node's one-shot hash, which costs a third of a hash object. */
export const nodeSha256: Sha256 = (bytes) => hash('sha256', bytes, 'buffer');
