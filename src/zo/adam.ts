/**
 * Adam on the trained state: SubZero+ (arXiv 2608.15665) runs it in the r × r space of each matrix.
 *
 * The step of an S matrix is measured in W: Adam's unit step along a coefficient of the orthonormal U·Vᵀ, thus 1/μ of it along the same
 * coefficient of μ U S Vᵀ. So one learning rate means the same with and without norm alignment, and the published ones hold.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { TrainConfiguration } from '../train/configuration.ts';
import type { TrainedState } from './trained-state.ts';

/** Keeps the quotient finite where no gradient has been seen. */
const epsilon = 1e-8;

export class Adam {
  readonly #gpu: Gpu;
  readonly #state: TrainedState;
  readonly #configuration: TrainConfiguration;
  /** m, then v, each laid out as the state. */
  readonly #moments: GpuBuffer;
  readonly #units: GpuBuffer;

  /** @param unitOf length of Adam's unit step in the factor of this name */
  constructor(gpu: Gpu, state: TrainedState, configuration: TrainConfiguration, unitOf: (name: string) => number) {
    this.#gpu = gpu;
    this.#state = state;
    this.#configuration = configuration;
    this.#moments = gpu.allocate(2 * state.size * 4, 'state', 'moments of Adam');
    this.#units = state.perBlock('units of Adam', ({ kind, name }) => (kind === 'factor' ? unitOf(name) : 1));
  }

  get bytes(): number {
    return this.#moments.size + this.#units.size;
  }

  /** Records zero moments for all factors. */
  forgetFactors(): void {
    this.#state.clearFactors(this.#moments, 0);
    this.#state.clearFactors(this.#moments, 1);
  }

  /**
   * Records one step.
   * @param stepOfPeriod steps since the factors' moments were forgotten
   * @param coefficients ρ_k / K, from element `offset` on
   */
  recordUpdate(of: {
    step: number;
    stepOfPeriod: number;
    learningRate: number;
    decay: number;
    coefficients: GpuBuffer;
    offset: number;
  }): void {
    const { queries } = this.#configuration;
    // The kernel's own values, so that the corrections fit them.
    const beta1 = Math.fround(this.#configuration.adamBeta1);
    const beta2 = Math.fround(this.#configuration.adamBeta2);
    const correction = (beta: number, step: number): number => 1 / (1 - beta ** (step + 1));
    this.#state.apply(
      this.#gpu.kernel({ files: ['random/philox.wgsl', 'zo/adam.wgsl'] }),
      [of.coefficients, this.#units, this.#moments],
      of.step,
      {
        queries,
        coefficient_offset: of.offset,
        decay: of.decay,
        learning_rate: of.learningRate,
        beta1,
        beta2,
        epsilon,
        matrix_correction1: correction(beta1, of.stepOfPeriod),
        matrix_correction2: correction(beta2, of.stepOfPeriod),
        vector_correction1: correction(beta1, of.step),
        vector_correction2: correction(beta2, of.step),
      },
    );
  }

  destroy(): void {
    this.#moments.destroy();
    this.#units.destroy();
  }
}
