/**
 * Updates of whole weights along dense directions, drawn anew where they are needed; of their curvature and of their
 * moments.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Kernel, KernelDefinition } from '../gpu/kernel.ts';
import { perElement } from '../gpu/workgroups.ts';
import { partOf, type Weight } from '../tensor/weight.ts';
import { type ConsecutiveSteps, inLaunches } from './consecutive-steps.ts';
import { noisyKernel, padParameters, type RowSlice, rowSlices } from './dense.ts';
import { type DenseTensor, type DirectionKind, directionNumber } from './probes.ts';

/** Which noise: the Philox key, and the number of queries of a step. */
export interface DenseNoiseOfRun {
  seed: readonly [low: number, high: number];
  queries: number;
}

/** What of a weight decides the kernels that draw its noise. */
type NoisyWeight = Pick<Weight, 'storage' | 'layout'>;

/** The update of a weight along its directions; see kernels/zo/dense-update.wgsl. */
export function denseUpdateKernel(weight: NoisyWeight, kind: DirectionKind, queries: number): KernelDefinition {
  return noisyKernel(weight, ['zo/direction.wgsl', 'zo/after-curvature.wgsl', 'zo/dense-update.wgsl'], {
    DIRECTION: directionNumber[kind],
    ONE_QUERY: queries === 1,
  });
}

/**
 * Records some steps of a weight: W ← (1 − decay) · W − Σ coefficient · direction, and of curved directions ln H after
 * it.
 *
 * @param smoothing s of HiZOO
 */
export function recordDenseUpdate(
  gpu: Gpu,
  weight: Weight,
  { tensor, threshold, logCurvature }: DenseTensor,
  noise: DenseNoiseOfRun,
  kind: DirectionKind,
  smoothing: number,
  of: ConsecutiveSteps,
): void {
  const kernel = gpu.kernel(denseUpdateKernel(weight, kind, noise.queries));
  recordSlices(gpu, kernel, weight, logCurvature, { tensor, noise, of, elements: 8 }, (slice) => ({
    buffers: [slice.weight, slice.beside ?? gpu.unused],
    parameters: {
      rows: slice.count,
      weight_row: slice.weightRow,
      curvature_row: slice.besideRow,
      output_row: slice.row,
      threshold,
      smoothing,
    },
  }));
}

/**
 * Records a kernel over a weight and what lies beside it, slice by slice and in launches of bounded length.
 *
 * @param elements elements that an invocation takes
 * @param ofSlice buffers before the coefficients, and the parameters besides noise, steps and coefficients
 */
function recordSlices(
  gpu: Gpu,
  kernel: Kernel,
  weight: Weight,
  companion: Weight | undefined,
  {
    tensor,
    noise: { seed, queries },
    of,
    elements,
  }: { tensor: number; noise: DenseNoiseOfRun; of: ConsecutiveSteps; elements: number },
  ofSlice: (slice: RowSlice) => { buffers: GpuBuffer[]; parameters: Record<string, number> },
): void {
  for (const slice of rowSlices(weight, companion)) {
    const workgroups = perElement((slice.count * weight.columns) / elements);
    const workOfStep = workgroups[0] * workgroups[1] * queries;
    const { buffers, parameters } = ofSlice(slice);
    for (const { step, steps, offset, work } of inLaunches(gpu, kernel, of, workOfStep)) {
      gpu.recorder.dispatch(
        kernel,
        [...buffers, of.coefficients],
        {
          ...parameters,
          ...padParameters(weight),
          width_quads: weight.columns / 4,
          seed_low: seed[0],
          seed_high: seed[1],
          tensor,
          step,
          steps,
          queries,
          coefficient_offset: offset,
          coefficient_stride: of.stride,
        },
        workgroups,
        work,
      );
    }
  }
}

/**
 * Records ln H of a stretch of the state after a step.
 *
 * @param logCurvature laid out as the state
 * @param coefficientOffset where the curvature terms of the queries start
 */
export function recordCurvature(
  gpu: Gpu,
  logCurvature: GpuBuffer,
  { tensor, offset, length }: { tensor: number; offset: number; length: number },
  { seed, queries }: DenseNoiseOfRun,
  {
    step,
    coefficients,
    coefficientOffset,
    smoothing,
  }: { step: number; coefficients: GpuBuffer; coefficientOffset: number; smoothing: number },
): void {
  const quads = Math.ceil(length / 4);
  gpu.recorder.dispatch(
    gpu.kernel({ files: ['random/philox.wgsl', 'zo/after-curvature.wgsl', 'zo/curvature.wgsl'] }),
    [logCurvature, coefficients],
    {
      quads,
      quad_start: offset / 4,
      first_element: 0,
      seed_low: seed[0],
      seed_high: seed[1],
      tensor,
      step,
      queries,
      coefficient_offset: coefficientOffset,
      smoothing,
    },
    perElement(quads),
  );
}

/** The running means of the gradient of a weight, f32, in its shape. */
export interface DenseMoments {
  mean: Weight;
  /** Absent from momentum. */
  square: Weight | undefined;
}

/** The update of a weight along its mean gradients; see kernels/zo/dense-adam.wgsl. */
export function denseAdamKernel(weight: NoisyWeight, adaptive: boolean, queries: number): KernelDefinition {
  return noisyKernel(weight, ['zo/moments.wgsl', 'zo/dense-adam.wgsl'], {
    ADAPTIVE: adaptive,
    ONE_QUERY: queries === 1,
  });
}

/** Records some steps of a weight along its mean gradients. @param tensor identity for the random numbers */
export function recordDenseAdam(
  gpu: Gpu,
  weight: Weight,
  tensor: number,
  { mean, square }: DenseMoments,
  noise: DenseNoiseOfRun,
  { beta1, beta2 }: { beta1: number; beta2: number },
  of: ConsecutiveSteps,
): void {
  const kernel = gpu.kernel(denseAdamKernel(weight, square !== undefined, noise.queries));
  const widthQuads = weight.columns / 4;
  recordSlices(gpu, kernel, weight, mean, { tensor, noise, of, elements: 4 }, (slice) => ({
    buffers: [slice.weight, slice.beside!, square ? partOf(square, slice.row).buffer : gpu.unused],
    parameters: {
      quads: slice.count * widthQuads,
      weight_start: slice.weightRow * widthQuads,
      moment_start: slice.besideRow * widthQuads,
      element_start: slice.row * widthQuads,
      beta1,
      beta2,
    },
  }));
}
