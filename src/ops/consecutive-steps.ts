/**
 * Steps that a kernel takes in one launch, and how many of them fit one.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Kernel } from '../gpu/kernel.ts';

/** Steps without a gap. */
export interface ConsecutiveSteps {
  /** The first. */
  step: number;
  steps: number;
  coefficients: GpuBuffer;
  /** Where the coefficients of the first start, and those of the next after them. */
  offset: number;
  stride: number;
}

/**
 * Cuts steps into launches that take no longer than a piece of divided work should.
 * @param work of one step, as `Recorder.dispatch` has it
 */
export function* inLaunches(
  { recorder }: Gpu,
  kernel: Kernel,
  { step, steps, offset, stride }: ConsecutiveSteps,
  work: number,
): Generator<{ step: number; steps: number; offset: number; work: number }> {
  const most = Math.ceil(steps / recorder.launches(kernel, work * steps));
  for (let first = 0; first < steps; first += most) {
    const count = Math.min(most, steps - first);
    yield { step: step + first, steps: count, offset: offset + first * stride, work: work * count };
  }
}
