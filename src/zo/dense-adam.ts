/**
 * MeZO with momentum or Adam (arXiv 2305.17333, appendix on these): running means of the estimated gradient of every
 * parameter. The paper recomputes them from the journal's numbers at each step; here they are kept, f32, one copy of
 * the parameters for momentum and two for Adam.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { ConsecutiveSteps } from '../ops/consecutive-steps.ts';
import { type DenseMoments, recordDenseAdam } from '../ops/dense-update.ts';
import { tensorId } from '../random/philox.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { meansOf } from '../settings/methods.ts';
import { allocateWeight, destroyWeight, type Weight } from '../tensor/weight.ts';
import { Adam, decays } from './adam.ts';
import { type CarriedBuffer, carriedWeights } from './carried-state.ts';
import type { TrainedState } from './trained-state.ts';

/** Numbers of a step after its ρ_k / K: decay rate, learning rate and both corrections. */
export const momentRates = 4;

interface WeightMoments extends DenseMoments {
  weight: Weight;
}

export class DenseAdam {
  readonly #gpu: Gpu;
  readonly #configuration: TrainConfiguration;
  readonly #seed: readonly [number, number];
  readonly #adaptive: boolean;
  readonly #weights: readonly WeightMoments[];
  readonly #vectors: Adam;

  /** Reserves zero means for the weights and for the 1-D parameters of the state. */
  constructor(
    gpu: Gpu,
    weights: readonly Weight[],
    state: TrainedState,
    configuration: TrainConfiguration,
    seed: readonly [number, number],
  ) {
    this.#gpu = gpu;
    this.#configuration = configuration;
    this.#seed = seed;
    this.#adaptive = meansOf(configuration) === 'adam';
    const zeros = (kind: string, { name, rows, columns }: Weight): Weight =>
      allocateWeight(gpu, `${kind} of ${name}`, rows, columns, 'f32', 'state');
    this.#weights = weights.map((weight) => ({
      weight,
      mean: zeros('mean gradient', weight),
      square: this.#adaptive ? zeros('mean square', weight) : undefined,
    }));
    this.#vectors = new Adam(gpu, state, configuration, { adaptive: this.#adaptive });
  }

  get bytes(): number {
    const parts = this.#weights.flatMap(({ mean, square }) => [...mean.parts, ...(square?.parts ?? [])]);
    return parts.reduce((sum, { buffer }) => sum + buffer.size, this.#vectors.bytes);
  }

  /** What steps write. */
  carried(): CarriedBuffer[] {
    const means = this.#weights.map(({ mean }) => mean);
    const squares = this.#weights.flatMap(({ square }) => square ?? []);
    return [...this.#vectors.carried(), ...carriedWeights('mean', means), ...carriedWeights('square', squares)];
  }

  /** The learning rate of a step and the corrections of its means, which follow the decay rate in the coefficients. */
  ratesOf(step: number, learningRate: number): number[] {
    const { correction1, correction2 } = decays(this.#configuration, step + 1);
    return [learningRate, correction1, correction2];
  }

  /** Records some steps of the weights. */
  recordWeights(of: ConsecutiveSteps): void {
    const noise = { seed: this.#seed, queries: this.#configuration.queries };
    const rates = decays(this.#configuration, of.step + 1);
    for (const { weight, ...moments } of this.#weights) {
      recordDenseAdam(this.#gpu, weight, tensorId(weight.name), moments, noise, rates, of);
    }
  }

  /** Records a step of all but the weights. @param of coefficients: ρ_k / K, from element `offset` on */
  recordState(of: { step: number; learningRate: number; coefficients: GpuBuffer; offset: number }): void {
    const decay = 1 - of.learningRate * this.#configuration.weightDecay;
    this.#vectors.recordUpdate({ ...of, stepOfPeriod: of.step, decay });
  }

  destroy(): void {
    for (const { mean, square } of this.#weights) {
      destroyWeight(mean);
      if (square) destroyWeight(square);
    }
    this.#vectors.destroy();
  }
}
