/**
 * The numbers that decide updates, on the GPU: one step's while training, many steps' at once in a replay.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { AppliedStep } from './optimizer.ts';

/** Steps whose coefficients are uploaded at once while replaying. */
const replayChunk = 1024;

/** Steps recorded in one go: the thread does nothing else meanwhile. */
const stepsAtOnce = 16;

/** What an optimiser does with the coefficients of a step. */
export interface StepApplier {
  beginStep(step: number): void;
  /** The coefficients of a step, as its kernels read them. */
  coefficientsOf(applied: AppliedStep): ArrayLike<number>;
  /** Records the update of a step, whose coefficients start at an element of {@link Coefficients.buffer}. */
  recordUpdate(applied: AppliedStep, coefficientOffset: number): void;
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
    this.buffer.write(Float32Array.from(applier.coefficientsOf(applied)));
    recorder.divide();
    applier.recordUpdate(applied, 0);
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
      for (const [index, applied] of chunk.entries()) {
        recorder.divide();
        applier.beginStep(applied.step);
        applier.recordUpdate(applied, index * this.#perStep);
        if (index % stepsAtOnce === stepsAtOnce - 1) await recorder.flush();
      }
      await recorder.flush();
      await this.#gpu.idle();
      onProgress?.(start + chunk.length);
    }
  }

  destroy(): void {
    this.buffer.destroy();
  }
}
