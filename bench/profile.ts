/**
 * Which kernels take the time of something.
 *
 * @module
 */

import type { Gpu } from '../src/gpu/gpu.ts';
import { type KernelTiming, Profiler, summarise } from '../src/gpu/profiler.ts';
import { table } from '../src/table.ts';

/** The times of all kernels that are launched, on adapters with timestamps. */
export async function profile(gpu: Gpu, body: () => Promise<unknown>): Promise<KernelTiming[]> {
  const profiler = new Profiler(gpu);
  gpu.recorder.profiler = profiler;
  try {
    await body();
    return await profiler.collect();
  } finally {
    gpu.recorder.profiler = undefined;
    profiler.destroy();
  }
}

/** The eight kernels that took most of the time. */
export function kernelTable(timed: readonly KernelTiming[]): string {
  const total = timed.reduce((sum, { start, end }) => sum + (end - start) / 1e6, 0);
  return table(
    ['kernel', 'launches', 'ms', 'share'],
    summarise(timed)
      .slice(0, 8)
      .map(({ label, count, milliseconds }) => [
        label,
        String(count),
        milliseconds.toFixed(1),
        `${((100 * milliseconds) / total).toFixed(1)} %`,
      ]),
  );
}
