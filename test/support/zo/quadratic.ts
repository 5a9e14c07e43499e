/**
 * A small quadratic loss and the subspace of SubZero in float64, with the draws of src/random/philox.ts: what the
 * estimator's moments are measured on.
 *
 * @module
 */

import { gaussian, purposes, tensorId } from '../../../src/random/philox.ts';
import { Random } from '../random.ts';

/** f(x) = ½ xᵀHx + bᵀx around x₀, H symmetric. */
export class Quadratic {
  readonly #hessian: Float64Array;
  readonly #slope: Float64Array;
  readonly #point: Float64Array;

  constructor(size: number, seed: number) {
    const random = new Random(seed, 'quadratic');
    this.#hessian = new Float64Array(size * size);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j <= i; j++) this.#hessian[i * size + j] = this.#hessian[j * size + i] = random.normal();
    }
    this.#slope = Float64Array.from({ length: size }, () => random.normal());
    this.#point = Float64Array.from({ length: size }, () => random.normal());
  }

  value(x: ArrayLike<number>): number {
    const size = this.#slope.length;
    let sum = 0;
    for (let i = 0; i < size; i++) {
      let row = 0;
      for (let j = 0; j < size; j++) row += this.#hessian[i * size + j]! * x[j]!;
      sum += x[i]! * (row / 2 + this.#slope[i]!);
    }
    return sum;
  }

  /** ∇f(x₀). */
  gradient(): Float64Array {
    const size = this.#slope.length;
    return this.#slope.map((slope, i) => {
      let sum = slope;
      for (let j = 0; j < size; j++) sum += this.#hessian[i * size + j]! * this.#point[j]!;
      return sum;
    });
  }

  /** (f(x₀ + εd) − f(x₀ − εd)) / 2ε. */
  centralDifference(direction: Float64Array, epsilon: number): number {
    const plus = this.value(this.#point.map((value, i) => value + epsilon * direction[i]!));
    const minus = this.value(this.#point.map((value, i) => value - epsilon * direction[i]!));
    return (plus - minus) / (2 * epsilon);
  }
}

export interface FactoredMatrix {
  name: string;
  rows: number;
  columns: number;
  rank: number;
}

/** Q [rows, columns] of the thin QR of a row-major matrix, positive diagonal of R: modified Gram–Schmidt, twice. */
export function orthonormal(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const q = Float64Array.from(matrix);
  for (let j = 0; j < columns; j++) {
    for (let round = 0; round < 2; round++) {
      for (let c = 0; c < j; c++) {
        let product = 0;
        for (let i = 0; i < rows; i++) product += q[i * columns + c]! * q[i * columns + j]!;
        for (let i = 0; i < rows; i++) q[i * columns + j]! -= product * q[i * columns + c]!;
      }
    }
    let square = 0;
    for (let i = 0; i < rows; i++) square += q[i * columns + j]! ** 2;
    for (let i = 0; i < rows; i++) q[i * columns + j]! /= Math.sqrt(square);
  }
  return q;
}

/** A = bdiag(μ_i V_i ⊗ U_i, I): from the coefficients (every Z, then the dense noise) to all parameters, and back. */
export class Subspace {
  readonly #matrices: readonly FactoredMatrix[];
  readonly #dense: number;
  readonly #seed: number;
  readonly #normAlignment: boolean;
  #factors: { u: Float64Array; v: Float64Array; scale: number }[] = [];
  readonly coefficients: number;

  constructor(matrices: readonly FactoredMatrix[], dense: number, options: { seed: number; normAlignment: boolean }) {
    this.#matrices = matrices;
    this.#dense = dense;
    this.#seed = options.seed;
    this.#normAlignment = options.normAlignment;
    this.coefficients = matrices.reduce((sum, { rank }) => sum + rank * rank, dense);
  }

  /** U and V of a period. */
  draw(period: number): void {
    this.#factors = this.#matrices.map(({ name, rows, columns, rank }) => {
      const stream = { tensor: tensorId(name), step: period, query: 0 };
      const omegaU = gaussian(this.#seed, { ...stream, purpose: purposes.omegaU }, rows * rank);
      const omegaV = gaussian(this.#seed, { ...stream, purpose: purposes.omegaV }, columns * rank);
      return {
        u: orthonormal(omegaU, rows, rank),
        v: orthonormal(omegaV, columns, rank),
        scale: this.#normAlignment ? Math.sqrt(rows * columns) / rank : 1,
      };
    });
  }

  /** z of a step. */
  noise(step: number, query = 0): Float64Array {
    const z = new Float64Array(this.coefficients);
    let start = 0;
    for (const { name, length } of [
      ...this.#matrices.map(({ name, rank }) => ({ name, length: rank * rank })),
      { name: 'dense', length: this.#dense },
    ]) {
      z.set(gaussian(this.#seed, { tensor: tensorId(name), step, purpose: purposes.dense, query }, length), start);
      start += length;
    }
    return z;
  }

  /** A z: the perturbation of all parameters, matrices row by row and then the dense ones. */
  apply(z: Float64Array): Float64Array {
    const parts: number[] = [];
    let start = 0;
    for (const [index, { rows, columns, rank }] of this.#matrices.entries()) {
      const { u, v, scale } = this.#factors[index]!;
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < columns; j++) {
          let sum = 0;
          for (let a = 0; a < rank; a++) {
            for (let b = 0; b < rank; b++) sum += u[i * rank + a]! * z[start + a * rank + b]! * v[j * rank + b]!;
          }
          parts.push(scale * sum);
        }
      }
      start += rank * rank;
    }
    for (; start < z.length; start++) parts.push(z[start]!);
    return Float64Array.from(parts);
  }

  /** Aᵀ g. */
  transpose(gradient: Float64Array): Float64Array {
    const result = new Float64Array(this.coefficients);
    let to = 0;
    let from = 0;
    for (const [index, { rows, columns, rank }] of this.#matrices.entries()) {
      const { u, v, scale } = this.#factors[index]!;
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < columns; j++) {
          for (let a = 0; a < rank; a++) {
            for (let b = 0; b < rank; b++) {
              result[to + a * rank + b]! +=
                scale * u[i * rank + a]! * v[j * rank + b]! * gradient[from + i * columns + j]!;
            }
          }
        }
      }
      to += rank * rank;
      from += rows * columns;
    }
    for (; to < result.length; to++) result[to] = gradient[from++]!;
    return result;
  }
}
