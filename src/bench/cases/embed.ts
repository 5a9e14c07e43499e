/**
 * Embedding lookups.
 *
 * @module
 */

import { type EmbedVariant, embed } from '../../ops/embedding.ts';
import type { FactorStorage } from '../../ops/factors.ts';
import type { Activation } from '../../tensor/workspace.ts';
import { isPlain, rowBytes, type Storage, storages } from '../../weights/index.ts';
import { exactTolerance, type KernelCase } from '../case.ts';
import { store } from '../storage.ts';

export interface EmbedShape {
  /** Rows of each probe. */
  rows: number;
  vocabulary: number;
  columns: number;
  probes?: number;
  storage?: Storage;
  rank?: number;
  /** Rank of a bank, a multiple of 4. */
  bank?: number;
  /** The factor of the bank; 1 by default. */
  bankScale?: number;
  /** How the factors are stored; f32 by default. */
  factors?: FactorStorage;
  accumulate?: boolean;
  parts?: number;
  weightScale?: number;
}

/** @param variant the adapter's own by default */
export function embedCase(shape: EmbedShape, variant?: EmbedVariant): KernelCase {
  const { rows, vocabulary, columns, probes = 1, storage = 'f32', rank = 0, accumulate = false, parts } = shape;
  const { weightScale = 1, bankScale = 1 } = shape;
  const all = rows * probes;
  return {
    operation: 'embed',
    name:
      `${probes}×${rows} of ${vocabulary}×${columns}, ${storage}, rank ` +
      `${rank}${accumulate ? ', accumulate' : ''}, ${parts ?? 'as few'} parts`,
    tolerance: exactTolerance,
    flops: 2 * all * rank * (rank + columns),
    bytes: all * columns * 4 + all * rowBytes(storage, columns),
    prepare(bed) {
      const { random } = bed;
      const matrix = store(random.normals(vocabulary * columns), vocabulary, columns, storage);
      const factors =
        rank > 0 ? bed.referenceFactors(vocabulary, columns, rank, probes, shape.bank, shape.factors) : undefined;
      const ids = Uint32Array.from({ length: rows }, () => random.integer(0, vocabulary - 1));
      // The ends of the table, where the parts begin and end.
      ids[0] = vocabulary - 1;
      if (rows > 1) ids[1] = 0;
      const before = accumulate ? random.normals(all * columns) : undefined;
      bed.reserve(all);
      const context = bed.context({
        count: probes,
        weightScale,
        ...(factors ? { factors: { table: factors } } : {}),
      });
      context.probes.bankScale = bankScale;
      const idBuffer = bed.upload(ids);
      const weight = bed.weight('table', matrix, parts);
      const addTo = before && bed.activation(before, all, columns);
      let last: Activation | undefined;
      return {
        reset() {
          if (addTo && before) addTo.buffer.write(before);
        },
        record() {
          if (last && !addTo) bed.workspace.give(last);
          const y = embed(context, idBuffer, all, weight, addTo, variant);
          last = y;
          return [
            {
              name: 'y',
              buffer: y.buffer,
              rows: all,
              columns,
              guarded: !addTo,
              reference(row) {
                const id = ids[row % rows]!;
                const result = Float64Array.from(matrix.values.subarray(id * columns, (id + 1) * columns));
                for (let column = 0; column < columns; column++) result[column]! *= weightScale;
                if (factors) {
                  const s = factors.s[Math.floor(row / rows)]!;
                  for (let b = 0; b < rank; b++) {
                    let coefficient = 0;
                    for (let a = 0; a < rank; a++) coefficient += factors.u[id * rank + a]! * s[a * rank + b]!;
                    coefficient *= factors.scale;
                    for (let column = 0; column < columns; column++) {
                      result[column]! += coefficient * factors.vTransposed[b * columns + column]!;
                    }
                  }
                }
                const { rank: terms = 0, a, b } = factors?.bank ?? {};
                for (let j = 0; j < terms; j++) {
                  for (let column = 0; column < columns; column++) {
                    result[column]! += bankScale * a![id * terms + j]! * b![j * columns + column]!;
                  }
                }
                if (before) {
                  for (let column = 0; column < columns; column++) result[column]! += before[row * columns + column]!;
                }
                return result;
              },
            },
          ];
        },
      };
    },
  };
}

export const embedShapes: readonly EmbedShape[] = [
  { rows: 1, vocabulary: 1, columns: 4 },
  { rows: 7, vocabulary: 33, columns: 20, rank: 1 },
  { rows: 5, vocabulary: 40, columns: 36, rank: 3, probes: 3, storage: 'f16' },
  { rows: 70, vocabulary: 300, columns: 128, rank: 8, probes: 2, storage: 'bf16', parts: 4, weightScale: 0.9 },
  { rows: 9, vocabulary: 64, columns: 260, rank: 24, accumulate: true, probes: 2 },
  { rows: 3, vocabulary: 97, columns: 64, rank: 64, accumulate: true, storage: 'f16', parts: 3 },
  { rows: 2, vocabulary: 300, columns: 12, rank: 256, probes: 2, storage: 'f32' },
  { rows: 4, vocabulary: 151_936, columns: 8, rank: 3, storage: 'bf16', parts: 2 },
  { rows: 5, vocabulary: 70, columns: 40, rank: 6, bank: 12, bankScale: 0.7, probes: 2, parts: 2 },
  { rows: 3, vocabulary: 20, columns: 24, rank: 256, bank: 256, probes: 2 },
  { rows: 5, vocabulary: 70, columns: 40, rank: 6, bank: 12, probes: 2, factors: 'f16', storage: 'f16' },
  { rows: 24, vocabulary: 31, columns: 20, rank: 3 },
  { rows: 45, vocabulary: 90, columns: 132, rank: 5, bank: 8, probes: 2, accumulate: true, parts: 3, factors: 'f16' },
  { rows: 33, vocabulary: 70, columns: 192, rank: 256, bank: 256, storage: 'q8', parts: 2, factors: 'f16' },
  ...storages
    .filter((storage) => !isPlain(storage))
    .map((storage) => ({ rows: 6, vocabulary: 45, columns: 768, rank: 3, probes: 2, storage, parts: 2 })),
];
