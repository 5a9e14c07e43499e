/**
 * Histograms of the magnitudes of a weight, made where the weight is.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { perElement } from '../gpu/workgroups.ts';
import { shapeOf, type Weight } from '../tensor/weight.ts';
import { codecFile } from '../weights/index.ts';

/** Bins of a histogram: one for each value of 16 bits. */
export const magnitudeBins = 65_536;

/**
 * Counts the halves of the magnitudes' f32 bits.
 *
 * @param counts room for {@link magnitudeBins} u32
 * @param upper count the lower halves of the magnitudes with this upper half; upper halves if left out
 */
export async function magnitudeHistogram(
  gpu: Gpu,
  weight: Weight,
  counts: GpuBuffer,
  upper?: number,
): Promise<Uint32Array> {
  const { recorder } = gpu;
  recorder.clear(counts);
  const kernel = gpu.kernel({
    files: [codecFile(weight.storage), 'zo/magnitude-histogram.wgsl'],
    constants: { LOW_HALF: upper !== undefined },
  });
  for (const { buffer, rowCount } of weight.parts) {
    const quads = (rowCount * weight.columns) / 4;
    recorder.dispatch(kernel, [buffer, counts], { quads, upper: upper ?? 0 }, perElement(quads));
  }
  const [data] = await recorder.read([{ buffer: counts, bytes: magnitudeBins * 4 }]);
  const found = new Uint32Array(data!);
  // Pads are zeros, which lie in the first bin of either half.
  const [rows, columns] = shapeOf(weight);
  if (!upper) found[0]! -= weight.rows * weight.columns - rows * columns;
  return found;
}
