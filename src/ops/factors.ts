/**
 * The factors U and V of a low-rank change as they are stored.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { perElement } from '../gpu/workgroups.ts';
import { bytesToF32, f32ToBytes } from '../safetensors/convert.ts';
import { axisLength, type Layout, storedLength } from '../tensor/axis.ts';

/** The element type of U and V. */
export type FactorStorage = 'f32' | 'f16';

/** Bytes of an element of U and V. */
export const factorBytes: Readonly<Record<FactorStorage, number>> = { f32: 4, f16: 2 };

/** The kernel file that reads and writes factors. */
export const factorFile = {
  f32: 'zo/factors-f32.wgsl',
  f16: 'zo/factors-f16.wgsl',
} as const satisfies Record<FactorStorage, string>;

const dtypes = { f32: 'F32', f16: 'F16' } as const;

/** The values of stored factors; exact. */
export function factorValues(storage: FactorStorage, bytes: Uint8Array): Float32Array {
  return bytesToF32(dtypes[storage], bytes);
}

/** Values as factors are stored, rounded to the nearest. */
export function packFactors(storage: FactorStorage, values: Float32Array): Uint8Array {
  return f32ToBytes(dtypes[storage], values);
}

/** The kernels that bring factors to their places. */
export const placeKernels: Readonly<Record<FactorStorage, KernelDefinition>> = {
  f32: { files: [factorFile.f32, 'zo/place-factor.wgsl'] },
  f16: { files: [factorFile.f16, 'zo/place-factor.wgsl'] },
};

/**
 * Records a factor that lies in f32 and without pads, brought to its place.
 * @param layout of the factor there
 * @param to element from which on its rows lie, `stride` elements apart; both multiples of 4
 */
export function placeFactor(
  gpu: Gpu,
  from: GpuBuffer,
  { rows, columns }: Layout,
  storage: FactorStorage,
  to: { buffer: GpuBuffer; start: number; stride: number },
): void {
  const columnQuads = storedLength(columns) / 4;
  const count = storedLength(rows) * columnQuads;
  gpu.recorder.dispatch(
    gpu.kernel(placeKernels[storage]),
    [from, to.buffer],
    {
      count,
      row_width: rows.width,
      row_stride: rows.stride,
      column_quads: columnQuads,
      column_width: columns.width,
      column_stride: columns.stride,
      plain_columns: axisLength(columns),
      to_start: to.start / 4,
      to_stride: to.stride / 4,
    },
    perElement(count),
  );
}
