/**
 * Checks one case against its reference, then times it.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import { Profiler } from '../gpu/profiler.ts';
import { Bed } from './bed.ts';
import { checkPrepared, type KernelCase } from './case.ts';
import { Random } from './random.ts';
import type { Roofline } from './roofline.ts';

/** Measurements of a case; times are in milliseconds. */
export interface Measurement {
  operation: string;
  name: string;
  /** Normalised mean squared error against the float64 reference. */
  error: number;
  /** Median time of the kernels by GPU timestamps; absent if the adapter has none. */
  gpuMilliseconds?: number;
  /** Time per run in a long series of runs, including recording and submission. */
  wallMilliseconds: number;
  gigaflopsPerSecond: number;
  gigabytesPerSecond: number;
  /** Time that the roofline allows, divided by the time taken. */
  rooflineShare: number;
}

/** Elements of a result to compare before it is timed. */
const comparedElements = 1 << 12;

const warmUpRuns = 2;

/** Number of runs that fill a time, given the time of one run. */
function runsFor(seconds: number, milliseconds: number): number {
  return Math.min(200, Math.max(3, Math.ceil((seconds * 1000) / Math.max(milliseconds, 1e-3))));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * Checks and times a case.
 *
 * @param seconds how long to repeat it with each of the two clocks
 * @throws Error if the result is wrong: the speed of a wrong kernel means nothing
 */
export async function measureCase(
  gpu: Gpu,
  kernelCase: KernelCase,
  roofline: Roofline,
  options: { seed: number; seconds: number },
): Promise<Measurement> {
  const bed = new Bed(gpu, new Random(options.seed, `${kernelCase.operation} ${kernelCase.name}`));
  try {
    const prepared = kernelCase.prepare(bed);
    const error = await checkPrepared(bed, kernelCase, prepared, comparedElements);
    bed.poisoning = false;
    const wallOf = async (runs: number): Promise<number> => {
      prepared.reset?.();
      await gpu.idle();
      const start = performance.now();
      for (let run = 0; run < runs; run++) prepared.record();
      gpu.recorder.submit();
      await gpu.idle();
      return (performance.now() - start) / runs;
    };
    const runs = runsFor(options.seconds, await wallOf(warmUpRuns));
    const wallMilliseconds = await wallOf(runs);
    let gpuMilliseconds: number | undefined;
    if (gpu.features.has('timestamp-query')) {
      const profiler = new Profiler(gpu);
      gpu.recorder.profiler = profiler;
      const times: number[] = [];
      try {
        for (let run = 0; run < runs; run++) {
          prepared.reset?.();
          prepared.record();
          const timings = await profiler.collect();
          times.push(timings.reduce((sum, { start, end }) => sum + (end - start), 0) / 1e6);
        }
      } finally {
        gpu.recorder.profiler = undefined;
        profiler.destroy();
      }
      gpuMilliseconds = median(times);
    }
    // A clock too coarse for the kernel reads 0.
    const milliseconds = gpuMilliseconds || wallMilliseconds;
    const ideal = Math.max(kernelCase.flops / roofline.flopsPerSecond, kernelCase.bytes / roofline.bytesPerSecond);
    return {
      operation: kernelCase.operation,
      name: kernelCase.name,
      error,
      ...(gpuMilliseconds === undefined ? {} : { gpuMilliseconds }),
      wallMilliseconds,
      gigaflopsPerSecond: kernelCase.flops / milliseconds / 1e6,
      gigabytesPerSecond: kernelCase.bytes / milliseconds / 1e6,
      rooflineShare: (ideal * 1000) / milliseconds,
    };
  } finally {
    bed.destroy();
  }
}
