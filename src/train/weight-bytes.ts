/**
 * Reading weights back from the GPU.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import { f32ToBytes } from '../safetensors/index.ts';
import { type Layout, withoutPads } from '../tensor/axis.ts';
import { transpose } from '../tensor/transpose.ts';
import type { Weight, WeightPart } from '../tensor/weight.ts';
import { codecs, isPlain, rowBytes } from '../weights/index.ts';

/** Bytes read back from the GPU at a time. */
const readBytes = 16 * 1024 * 1024;

/** A weight's bytes as files of its storage type's `dtype` have them, without pads, piece by piece. */
export async function* weightBytes(gpu: Gpu, weight: Weight): AsyncGenerator<Uint8Array> {
  const { dtype, unpack } = codecs[weight.storage];
  for await (const bytes of storedBytes(gpu, weight)) {
    yield isPlain(weight.storage) ? bytes : f32ToBytes(dtype, unpack(bytes));
  }
}

/** A weight's values without pads, piece by piece. */
export async function* weightValues(gpu: Gpu, weight: Weight): AsyncGenerator<Float32Array> {
  for await (const bytes of storedBytes(gpu, weight)) yield codecs[weight.storage].unpack(bytes);
}

/** A weight's bytes in its storage type and without pads, piece by piece, in whole blocks. */
async function* storedBytes(gpu: Gpu, weight: Weight): AsyncGenerator<Uint8Array> {
  const width = rowBytes(weight.storage, weight.columns);
  const piece = Math.max(1, Math.floor(readBytes / width)) * width;
  for (const part of weight.parts) {
    if (weight.layout) {
      yield* paddedBytes(gpu, weight, weight.layout, part);
      continue;
    }
    const total = part.rowCount * width;
    for (let offset = 0; offset < total; offset += piece) {
      const [data] = await gpu.recorder.read([{ buffer: part.buffer, offset, bytes: Math.min(piece, total - offset) }]);
      yield new Uint8Array(data!);
    }
  }
}

async function* paddedBytes(gpu: Gpu, weight: Weight, layout: Layout, part: WeightPart): AsyncGenerator<Uint8Array> {
  const unit = rowBytes(weight.storage, 1);
  const width = weight.columns * unit;
  const rowsAtOnce = Math.max(1, Math.floor(readBytes / width));
  for (let row = 0; row < part.rowCount; row += rowsAtOnce) {
    const rows = Math.min(rowsAtOnce, part.rowCount - row);
    const [data] = await gpu.recorder.read([{ buffer: part.buffer, offset: row * width, bytes: rows * width }]);
    const start = part.rowStart + row;
    yield withoutPads(layout, new Uint8Array(data!), unit, start, start + rows);
  }
}

/**
 * A matrix with its sides exchanged, which takes the whole of it.
 * @param pieces its bytes in order
 * @param shape its rows and columns
 * @param unit bytes of an element
 */
export async function* transposedBytes(
  pieces: AsyncIterable<Uint8Array>,
  shape: [number, number],
  unit: number,
): AsyncGenerator<Uint8Array> {
  const whole = new Uint8Array(shape[0] * shape[1] * unit);
  let filled = 0;
  for await (const piece of pieces) {
    whole.set(piece, filled);
    filled += piece.byteLength;
  }
  yield transpose(whole, shape, unit);
}
