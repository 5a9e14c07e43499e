/**
 * The numbers that decide updates, on the GPU: one step's while training, many steps' at once in a replay.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { AppliedStep, PlannedStep } from './optimizer.ts';

/** Steps whose coefficients are uploaded at once while replaying. */
const replayChunk = 1024;

/** Steps recorded in one go: the thread does nothing else meanwhile. */
const stepsAtOnce = 16;

/** What an optimiser does with the coefficients of a step. */
export interface StepApplier {
  /** The coefficients of a step, as its kernels read them; as many for every step. Asked for once a step, in order. */
  coefficientsOf(applied: AppliedStep): ArrayLike<number>;
  /**
   * Records the updates of some steps and what must happen before each. The coefficients of the first start at an
   * element of {@link Coefficients.buffer}, those of the others follow.
   */
  record(steps: readonly PlannedStep[], coefficientOffset: number): void;
  /** Does what a step needs that cannot be recorded, after all work that was. */
  renew(step: number): Promise<void>;
  /** Whether {@link renew} may have something to do before a step. */
  renewsAt(step: number): boolean;
}

export class Coefficients {
  readonly #gpu: Gpu;
  readonly #perStep: number;
  readonly buffer: GpuBuffer;

  /** @param perStep coefficients of one step */
  constructor(gpu: Gpu, perStep: number) {
    this.#gpu = gpu;
    this.#perStep = perStep;
    this.buffer = gpu.allocate(replayChunk * perStep * 4, 'state', 'coefficients');
  }

  /** Records one step, divided; the caller may flush it. */
  update(applier: StepApplier, applied: AppliedStep): void {
    const { recorder } = this.#gpu;
    // Uploads overtake what is only recorded: these coefficients must not reach an earlier update.
    recorder.submit();
    this.supply(applier, applied);
    recorder.divide();
    applier.record([applied], 0);
  }

  /** Uploads the coefficients of one step, to the place where {@link update} has them. */
  supply(applier: StepApplier, applied: AppliedStep): void {
    this.buffer.write(Float32Array.from(applier.coefficientsOf(applied)));
  }

  /** Submits many steps; see `ZerothOrderOptimizer.replay`. */
  async replay(
    applier: StepApplier,
    steps: readonly AppliedStep[],
    onProgress?: (done: number) => void,
  ): Promise<void> {
    const { recorder } = this.#gpu;
    for (let start = 0; start < steps.length; start += replayChunk) {
      const chunk = steps.slice(start, start + replayChunk);
      const coefficients = new Float32Array(chunk.length * this.#perStep);
      for (const [index, applied] of chunk.entries()) {
        coefficients.set(applier.coefficientsOf(applied), index * this.#perStep);
      }
      this.buffer.write(coefficients);
      for (let first = 0, end = 0; first < chunk.length; first = end) {
        const { step } = chunk[first]!;
        if (applier.renewsAt(step)) await applier.renew(step);
        const most = Math.min(first + stepsAtOnce, chunk.length);
        for (end = first + 1; end < most && !applier.renewsAt(chunk[end]!.step); ) end++;
        recorder.divide();
        applier.record(chunk.slice(first, end), first * this.#perStep);
        await recorder.flush();
      }
      await this.#gpu.idle();
      onProgress?.(start + chunk.length);
    }
  }

  destroy(): void {
    this.buffer.destroy();
  }
}
