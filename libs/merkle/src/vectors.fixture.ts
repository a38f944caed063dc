import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { MerkleError, type MerkleErrorCode } from './merkle-error.ts';

const FOLDER = new URL('../../../vectors/merkle/', import.meta.url);

/** A case for any implementation: what goes in beside `name`, and what must come out. */
export interface Vector {
  readonly name: string;
  readonly expected: object;
}

/** What a vector is refused with. */
export interface Refusal {
  readonly error: MerkleErrorCode;
}

/**
 * Compares the vectors, which the spec makes by an implementation that shares no code with the library, with the committed file, and then
 * holds the library against the committed ones: `actual` gives what the library makes of one. UPDATE_VECTORS=1 writes the file: only for a new
 * format, since the published ones are frozen.
 */
export function describeVectors<V extends Vector>(file: string, made: readonly V[], actual: (vector: V) => object): void {
  const place = new URL(file, FOLDER);
  const text = `${JSON.stringify(made, null, 2)}\n`;
  if (process.env['UPDATE_VECTORS'] === '1') {
    mkdirSync(FOLDER, { recursive: true });
    writeFileSync(place, text);
  }

  const read = readFileSync(place, 'utf8');
  describe(file, () => {
    it('is what is generated, with a name for each vector', () => {
      expect(read).toBe(text);
      expect(new Set(made.map(({ name }) => name)).size).toBe(made.length);
    });

    it.each((JSON.parse(read) as V[]).map((vector): [string, V] => [vector.name, vector]))('%s', (_, vector) => {
      expect(resultOf(() => actual(vector))).toEqual(vector.expected);
    });
  });
}

function resultOf(action: () => object): object {
  try {
    return action();
  } catch (error) {
    if (error instanceof MerkleError) return { error: error.code } satisfies Refusal;
    throw error;
  }
}
