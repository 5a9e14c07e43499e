/**
 * Adam on the trained state: SubZero+ (arXiv 2608.15665) runs it in the r × r space of each matrix. MeZO's momentum and
 * Adam move the 1-D parameters by it.
 *
 * The step of an S matrix is measured in W: Adam's unit step along a coefficient of the orthonormal U·Vᵀ, thus 1/μ of
 * it along the same coefficient of μ U S Vᵀ. So one learning rate means the same with and without norm alignment, and
 * the published ones hold.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import type { CarriedBuffer } from './carried-state.ts';
import type { TrainedState } from './trained-state.ts';

type Decays = Pick<TrainConfiguration, 'adamBeta1' | 'adamBeta2'>;

/**
 * β₁ and β₂ as the kernels have them, and what corrects means that started at zero after so many steps: 1 / (1 − βᵗ).
 */
export function decays(
  { adamBeta1, adamBeta2 }: Decays,
  steps: number,
): { beta1: number; beta2: number; correction1: number; correction2: number } {
  // The kernel's own values, so that the corrections fit them.
  const [beta1, beta2] = [Math.fround(adamBeta1), Math.fround(adamBeta2)];
  return { beta1, beta2, correction1: 1 / (1 - beta1 ** steps), correction2: 1 / (1 - beta2 ** steps) };
}

export class Adam {
  readonly #state: TrainedState;
  readonly #configuration: TrainConfiguration;
  readonly #adaptive: boolean;
  /** m and, of Adam, v after it, each laid out as the state. */
  readonly #moments: GpuBuffer;
  readonly #units: GpuBuffer;

  /**
   * @param unitOf length of a unit step in the factor of this name
   * @param adaptive Adam; momentum alone otherwise
   */
  constructor(
    gpu: Gpu,
    state: TrainedState,
    configuration: TrainConfiguration,
    { unitOf = () => 1, adaptive = true }: { unitOf?: (name: string) => number; adaptive?: boolean } = {},
  ) {
    this.#state = state;
    this.#configuration = configuration;
    this.#adaptive = adaptive;
    this.#moments = gpu.allocate((adaptive ? 2 : 1) * state.size * 4, 'state', 'moments of Adam');
    this.#units = state.perBlock('units of Adam', ({ kind, name }) => (kind === 'factor' ? unitOf(name) : 1));
  }

  get bytes(): number {
    return this.#moments.size + this.#units.size;
  }

  /** What steps write. */
  carried(): CarriedBuffer[] {
    return [{ name: 'moments of the state', buffer: this.#moments }];
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
    const matrix = decays(this.#configuration, of.stepOfPeriod + 1);
    const vector = decays(this.#configuration, of.step + 1);
    const { coefficients, offset, decay, learningRate } = of;
    this.#state.updateByMeans(
      of.step,
      { coefficients, offset, queries: this.#configuration.queries, decay },
      { learningRate, beta1: vector.beta1, beta2: vector.beta2, matrix, vector },
      { units: this.#units, moments: this.#moments, adaptive: this.#adaptive },
    );
  }

  destroy(): void {
    this.#moments.destroy();
    this.#units.destroy();
  }
}
