/**
 * K directions combined by projection alignment (arXiv 2509.15552) instead of their mean: the estimate is the
 * projection of the gradient onto what the directions span, in which no part of it counts twice.
 *
 * With Z = (z₁ … z_K) and ρ = Zᵀa, the minimiser of the local model ⟨a, δ⟩ + ‖δ‖²/2η over the span of the directions is
 * δ = −η Z(ZᵀZ)⁻¹ρ. For z in N(0, I_q) its mean is −(K/q) ηa, so the estimate here is q/K times the projection: without
 * bias, like the mean of ρₖzₖ, and η has one meaning for both.
 *
 * @module
 */

import { gaussian, purposes } from '../random/philox.ts';
import type { PlacedStateEntry } from '../tensor/state.ts';

/**
 * The inner products of a step's directions, in the coordinates that they are drawn in.
 * @param entries what trains
 * @returns ZᵀZ, K × K, of which the part below and on the diagonal is filled in
 */
export function directionProducts(
  entries: readonly Pick<PlacedStateEntry, 'tensor' | 'length'>[],
  { seed, step, queries }: { seed: number; step: number; queries: number },
): Float64Array[] {
  const products = Array.from({ length: queries }, () => new Float64Array(queries));
  for (const { tensor, length } of entries) {
    const directions = Array.from({ length: queries }, (_, query) =>
      gaussian(seed, { tensor, step, purpose: purposes.dense, query }, length),
    );
    for (const [row, one] of directions.entries()) {
      for (let column = 0; column <= row; column++) {
        const other = directions[column]!;
        let sum = 0;
        for (let index = 0; index < length; index++) sum += one[index]! * other[index]!;
        products[row]![column]! += sum;
      }
    }
  }
  return products;
}

/**
 * What stands in the place of ρ, so that the mean of aₖzₖ is the aligned estimate: a = q (ZᵀZ)⁻¹ρ.
 * @param products as {@link directionProducts} has them; overwritten by their Cholesky factor
 * @param dimension q, the numbers that train; no fewer than directions
 * @returns f32 values; NaN where the directions do not span K dimensions
 */
export function alignedGradients(
  projectedGradients: readonly number[],
  products: readonly Float64Array[],
  dimension: number,
): number[] {
  const count = projectedGradients.length;
  const solution = Float64Array.from(projectedGradients);
  for (let row = 0; row < count; row++) {
    const own = products[row]!;
    for (let column = 0; column <= row; column++) {
      const other = products[column]!;
      let rest = own[column]!;
      for (let index = 0; index < column; index++) rest -= own[index]! * other[index]!;
      own[column] = row === column ? Math.sqrt(rest) : rest / other[column]!;
    }
    for (let index = 0; index < row; index++) solution[row]! -= own[index]! * solution[index]!;
    solution[row]! /= own[row]!;
  }
  for (let row = count - 1; row >= 0; row--) {
    for (let below = row + 1; below < count; below++) solution[row]! -= products[below]![row]! * solution[below]!;
    solution[row]! /= products[row]![row]!;
  }
  return Array.from(solution, (value) => Math.fround(dimension * value));
}
