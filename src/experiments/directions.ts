/**
 * What estimates of the gradient of one matrix are, from the derivatives along the directions that a method draws.
 *
 * @module
 */

import type { StepProbe } from '../engine/types.ts';
import { gaussian, purposes, tensorId } from '../random/philox.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';

/** An estimate ĝ of the gradient ∇f. */
export interface Estimate {
  /** ⟨ĝ, ∇f⟩. */
  along: number;
  /** ‖ĝ‖². */
  square: number;
}

/** The estimates of a step, from 0, of which `probe` measured the derivatives. To be called for every step in turn. */
export type Estimates = (step: number, probe: Pick<StepProbe, 'projectedGradients' | 'curvatures'>) => Estimate[];

interface Matrix {
  name: string;
  elements: number;
}

/** What is particular to a method: its estimates, of the settings of a run and of the only matrix that it trains. */
const methods = {
  mezo: (_, { elements }) => alongEach(() => elements),
  subzero: (configuration, matrix) => {
    const draw = smallMatrices(configuration, matrix);
    return alongEach((step, query) => squareOf(draw(step, query)));
  },
  'subzero-plus': (configuration, matrix) => {
    const draw = smallMatrices(configuration, matrix);
    return (step, { projectedGradients }) => {
      const count = projectedGradients.length;
      const sum = new Float64Array(configuration.rank ** 2);
      for (const [query, rho] of projectedGradients.entries()) {
        const small = draw(step, query);
        for (let i = 0; i < sum.length; i++) sum[i]! += (rho / count) * small[i]!;
      }
      return [{ along: squareOf(projectedGradients) / count, square: squareOf(sum) }];
    };
  },
  'sparse-mezo': ({ sparsity }, { elements }) => alongEach(() => (1 - sparsity) * elements),
  hizoo: estimatesOfHizoo,
} satisfies Record<string, (configuration: TrainConfiguration, matrix: Matrix) => Estimates>;

export const estimatingMethods = Object.keys(methods) as EstimatingMethod[];
export type EstimatingMethod = keyof typeof methods;

/** The estimates of a run's optimiser. @see Estimates */
export function estimatesOf(configuration: TrainConfiguration, matrix: Matrix): Estimates {
  return methods[configuration.optimizer](configuration, matrix);
}

/**
 * ĝ = ρd along every direction d.
 * @param squaredLength ‖d‖²; with noise on all of a matrix its expectation, from which it hardly differs
 */
function alongEach(squaredLength: (step: number, query: number) => number): Estimates {
  return (step, { projectedGradients }) =>
    projectedGradients.map((rho, query) => ({ along: rho ** 2, square: rho ** 2 * squaredLength(step, query) }));
}

/** μZ of a direction μ U Z Vᵀ, which is as long, as U and V are orthonormal. */
function smallMatrices({ seed, rank }: TrainConfiguration, { name, elements }: Matrix) {
  const scale = Math.sqrt(elements) / rank;
  return (step: number, query: number): Float64Array =>
    noise(seed, name, { step, query }, rank * rank).map((z) => scale * z);
}

/** d = z/√H with the H that the curvatures of the steps before have brought about; docs/method.md has the equations. */
function estimatesOfHizoo({ seed, hessianSmoothing }: TrainConfiguration, { name, elements }: Matrix): Estimates {
  const inverse = new Float64Array(elements).fill(1);
  return (step, { projectedGradients, curvatures }) => {
    const growth = new Float64Array(elements);
    const estimates = projectedGradients.map((rho, query) => {
      const z = noise(seed, name, { step, query }, elements);
      const weight = curvatures![query]! / projectedGradients.length;
      let square = 0;
      for (let i = 0; i < elements; i++) {
        square += z[i]! ** 2 * inverse[i]!;
        growth[i]! += weight * z[i]! ** 2;
      }
      return { along: rho ** 2, square: rho ** 2 * square };
    });
    for (let i = 0; i < elements; i++) inverse[i]! /= 1 + hessianSmoothing * (growth[i]! - 1);
    return estimates;
  };
}

function noise(seed: number, matrix: string, place: { step: number; query: number }, count: number): Float64Array {
  return gaussian(seed, { tensor: tensorId(matrix), purpose: purposes.dense, ...place }, count);
}

function squareOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2;
  return sum;
}
