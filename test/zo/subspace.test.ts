/** Where the V of matrices that read the same input lie. */

import { expect, test } from 'vitest';
import { placeTogether } from '../../src/zo/subspace.ts';
import { openTestGpu } from '../support/gpu.ts';

const gpu = openTestGpu();

/** Matrices over an input of 64, by their rows; the rows at which their V begin, and which of them share a buffer. */
function placesOf(rows: readonly number[], rank: number, mostColumns: number) {
  const matrices = rows.map((count, index) => ({ name: `weight ${index}`, rows: count, columns: 64 }));
  const places = placeTogether(gpu(), { rank }, matrices, mostColumns);
  const buffers = [...new Set([...places.values()].map(({ buffer }) => buffer))];
  const bytes = buffers.map(({ size }) => size);
  for (const buffer of buffers) buffer.destroy();
  const found = matrices.map(({ name }) => {
    const place = places.get(name);
    return place && [buffers.indexOf(place.buffer), place.row];
  });
  return { found, bytes };
}

test.each([
  [
    'queries, keys and values',
    [64, 32, 32],
    24,
    512,
    [
      [0, 0],
      [0, 24],
      [0, 48],
    ],
    [72],
  ],
  [
    'ranks that are no multiple of 4, and a matrix smaller than the rank',
    [64, 3, 64],
    7,
    512,
    [
      [0, 0],
      [0, 8],
      [0, 12],
    ],
    [20],
  ],
  ['one that trains alone', [64], 8, 512, [undefined], []],
  ['none', [], 8, 512, [], []],
  [
    'more than a launch takes',
    [64, 64, 64, 64, 64],
    8,
    512,
    [
      [0, 0],
      [0, 8],
      [0, 16],
      [1, 0],
      [1, 8],
    ],
    [24, 16],
  ],
  ['wider than any activation', [64, 64, 64], 24, 50, [[0, 0], [0, 24], undefined], [48]],
  ['each as wide as that', [64, 64], 24, 24, [undefined, undefined], []],
] as const)('%s', (_, rows, rank, mostColumns, found, heights) => {
  expect(placesOf(rows, rank, mostColumns)).toEqual({ found, bytes: heights.map((height) => height * 64 * 4) });
});
