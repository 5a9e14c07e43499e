/** The best product of a lower rank against singular values that are known. */

import { describe, expect, test } from 'vitest';
import { gramSchmidt } from '../../src/bench/cases/zo.ts';
import { type LowRank, nearestOfRank, squaredNorm } from '../../src/zo/low-rank.ts';
import { type Random, withSeed } from '../support/random.ts';

function dense({ left, right }: LowRank): Float64Array {
  const [rows, columns] = [left[0]!.length, right[0]!.length];
  const result = new Float64Array(rows * columns);
  for (const [k, column] of left.entries()) {
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) result[i * columns + j]! += column[i]! * right[k]![j]!;
  }
  return result;
}

const square = (values: Float64Array): number => values.reduce((sum, value) => sum + value * value, 0);
const distance = (a: Float64Array, b: Float64Array): number => Math.sqrt(square(a.map((value, i) => value - b[i]!)));

/** Orthonormal vectors. */
function orthonormal(random: Random, length: number, count: number): Float64Array[] {
  const { q } = gramSchmidt(Float64Array.from(random.normals(length * count)), length, count);
  return Array.from({ length: count }, (_, k) => Float64Array.from({ length }, (__, i) => q[i * count + k]!));
}

/** Σ σ_k u_k v_kᵀ, hidden by a turn of the terms among each other. */
function withSingularValues(random: Random, values: readonly number[], rows: number, columns: number): LowRank {
  const [u, v, turn] = [rows, columns, values.length].map((length) => orthonormal(random, length, values.length));
  const mixed = (vectors: readonly Float64Array[], factors: readonly number[]): Float64Array[] =>
    turn!.map((weights) =>
      vectors[0]!.map((_, i) => vectors.reduce((sum, vector, k) => sum + weights[k]! * factors[k]! * vector[i]!, 0)),
    );
  return {
    left: mixed(u!, values),
    right: mixed(
      v!,
      values.map(() => 1),
    ),
  };
}

describe('the nearest product of a lower rank', () => {
  test('drops the smallest singular values and nothing else', async () => {
    await withSeed('nearest', (random) => {
      const values = [5, 3, 2, 2, 0.5, 0.1, 1e-4];
      const product = withSingularValues(random, values, 23, 17);
      const whole = dense(product);
      expect(squaredNorm(product)).toBeCloseTo(square(whole), 9);
      for (let rank = 1; rank <= values.length; rank++) {
        const { kept, dropped, ...nearest } = nearestOfRank(product, rank);
        const energy = (of: readonly number[]) => of.reduce((sum, value) => sum + value ** 2, 0);
        expect(nearest.left).toHaveLength(rank);
        expect(kept).toBeCloseTo(energy(values.slice(0, rank)), 9);
        expect(dropped).toBeCloseTo(energy(values.slice(rank)), 9);
        expect(distance(dense(nearest), whole)).toBeCloseTo(Math.sqrt(energy(values.slice(rank))), 9);
      }
    });
  });

  test('of dependent terms, more than either side has, loses nothing up to the rank of the product', async () => {
    await withSeed('dependent', (random) => {
      const left = Array.from({ length: 12 }, () => Float64Array.from(random.normals(5)));
      const right = Array.from({ length: 12 }, () => Float64Array.from(random.normals(9)));
      left[4] = left[3]!.map((value) => -2 * value);
      const { dropped, ...nearest } = nearestOfRank({ left, right }, 5);
      expect(dropped).toBeLessThan(1e-20);
      expect(distance(dense(nearest), dense({ left, right }))).toBeLessThan(1e-12);
    });
  });

  test('of nothing is nothing', () => {
    const zeros = Array.from({ length: 3 }, () => new Float64Array(4));
    expect(nearestOfRank({ left: zeros, right: zeros }, 2)).toEqual({ left: [], right: [], kept: 0, dropped: 0 });
  });
});
