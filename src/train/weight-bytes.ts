/**
 * Reading weights back from the GPU.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import type { Weight } from '../tensor/weight.ts';
import { rowBytes } from '../weights/index.ts';

/** Bytes read back from the GPU at a time. */
const readBytes = 16 * 1024 * 1024;

/** A weight's bytes as stored, piece by piece, in whole elements. */
export async function* weightBytes(gpu: Gpu, weight: Weight): AsyncGenerator<Uint8Array> {
  const width = rowBytes(weight.storage, weight.columns);
  for (const part of weight.parts) {
    const total = part.rowCount * width;
    for (let offset = 0; offset < total; offset += readBytes) {
      const [data] = await gpu.recorder.read([
        { buffer: part.buffer, offset, bytes: Math.min(readBytes, total - offset) },
      ]);
      yield new Uint8Array(data!);
    }
  }
}
