/**
 * MeZO with momentum or Adam (arXiv 2305.17333, appendix on these): running means of the estimated gradient of every parameter. The paper
 * recomputes them from the journal's numbers at each step; here they are kept, f32, one copy of the parameters for momentum and two for Adam.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { perElement } from '../ops/context.ts';
import { noisyKernel, rowSlices } from '../ops/dense.ts';
import { allocateWeight, destroyWeight, partOf, type Weight } from '../tensor/weight.ts';
import type { TrainConfiguration } from '../train/configuration.ts';
import { Adam, decays } from './adam.ts';
import { tensorId } from './philox.ts';
import { type ConsecutiveSteps, inLaunches } from './replay.ts';
import type { TrainedState } from './trained-state.ts';

/** Numbers of a step after its ρ_k / K: decay rate, learning rate and both corrections. */
export const momentRates = 4;

interface Moments {
  weight: Weight;
  mean: Weight;
  /** Absent from momentum. */
  square: Weight | undefined;
}

export class DenseAdam {
  readonly #gpu: Gpu;
  readonly #configuration: TrainConfiguration;
  readonly #seed: readonly [number, number];
  readonly #adaptive: boolean;
  readonly #weights: readonly Moments[];
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
    this.#adaptive = configuration.mezoUpdate === 'adam';
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

  /** The learning rate of a step and the corrections of its means, which follow the decay rate in the coefficients. */
  ratesOf(step: number, learningRate: number): number[] {
    const { correction1, correction2 } = decays(this.#configuration, step + 1);
    return [learningRate, correction1, correction2];
  }

  /** Records some steps of the weights. */
  recordWeights(of: ConsecutiveSteps): void {
    const { queries } = this.#configuration;
    const { beta1, beta2 } = decays(this.#configuration, of.step + 1);
    for (const { weight, mean, square } of this.#weights) {
      const kernel = this.#gpu.kernel(
        noisyKernel(weight, ['zo/moments.wgsl', 'zo/dense-adam.wgsl'], {
          ADAPTIVE: this.#adaptive,
          ONE_QUERY: queries === 1,
        }),
      );
      const widthQuads = weight.columns / 4;
      for (const slice of rowSlices(weight, mean)) {
        const quads = slice.count * widthQuads;
        const workgroups = perElement(quads);
        const squareBuffer = square ? partOf(square, slice.row).buffer : this.#gpu.unused;
        const workOfStep = workgroups[0] * workgroups[1] * queries;
        for (const { step, steps, offset, work } of inLaunches(this.#gpu, kernel, of, workOfStep)) {
          this.#gpu.recorder.dispatch(
            kernel,
            [slice.weight, slice.beside!, squareBuffer, of.coefficients],
            {
              quads,
              weight_start: slice.weightRow * widthQuads,
              moment_start: slice.besideRow * widthQuads,
              element_start: slice.row * widthQuads,
              seed_low: this.#seed[0],
              seed_high: this.#seed[1],
              tensor: tensorId(weight.name),
              step,
              steps,
              queries,
              coefficient_offset: offset,
              coefficient_stride: of.stride,
              beta1,
              beta2,
            },
            workgroups,
            work,
          );
        }
      }
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
