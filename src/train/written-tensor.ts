/**
 * The tensors of a model on their way into a file: their values piece by piece, and how they are rounded there.
 *
 * @module
 */

import { bytesToF32, type FloatDtype, f32ToBytes } from '../safetensors/index.ts';
import { blockFormats } from '../weights/block-formats.ts';
import { type BlockWritten, blockWriters, isBlockWritten } from '../weights/write-blocks.ts';

/** A tensor under its name in transformers. */
export interface ModelTensor {
  name: string;
  /** `[rows, columns]`, or `[length]`. */
  shape: readonly number[];
  /** The values, whole rows at a time. */
  values(): AsyncIterable<Float32Array>;
}

/** What a model's matrices are written as. */
export type WrittenStorage = BlockWritten | keyof typeof plain;

/** How a tensor is written. */
export type WrittenType = FloatDtype | (typeof blockWriters)[BlockWritten]['dtype'];

/** What rounding has done to a tensor. */
export interface TensorError {
  name: string;
  shape: readonly number[];
  type: WrittenType;
  /** ‖rounded − value‖ / ‖value‖. */
  relativeError: number;
}

const plain = { f16: 'F16', f32: 'F32' } as const;

/** The type of a tensor: blocks where rows are whole ones, 16 bits for other matrices, `vectors` for the rest. */
export function writtenType(
  { shape }: Pick<ModelTensor, 'shape'>,
  storage: WrittenStorage,
  vectors: FloatDtype,
): WrittenType {
  if (shape.length < 2) return vectors;
  if (!isBlockWritten(storage)) return plain[storage];
  const { dtype, elements } = blockWriters[storage];
  return shape.at(-1)! % elements === 0 ? dtype : 'F16';
}

/** The bytes of a tensor in its type, piece by piece; `told` gets the error when all have been made. */
export async function* writtenBytes(
  tensor: ModelTensor,
  type: WrittenType,
  told?: (error: TensorError) => void,
): AsyncGenerator<Uint8Array> {
  let [error, total] = [0, 0];
  for await (const values of tensor.values()) {
    const bytes = pack(type, values);
    yield bytes;
    if (!told) continue;
    const rounded = unpack(type, bytes);
    for (let index = 0; index < values.length; index++) {
      error += (rounded[index]! - values[index]!) ** 2;
      total += values[index]! ** 2;
    }
  }
  const { name, shape } = tensor;
  told?.({ name, shape, type, relativeError: total === 0 ? 0 : Math.sqrt(error / total) });
}

function pack(type: WrittenType, values: Float32Array): Uint8Array {
  const writer = Object.values(blockWriters).find(({ dtype }) => dtype === type);
  return writer ? writer.pack(values) : f32ToBytes(type as FloatDtype, values);
}

function unpack(type: WrittenType, bytes: Uint8Array): Float32Array {
  return type === 'Q8_0' || type === 'Q4_0' ? blockFormats[type].toF32(bytes) : bytesToF32(type, bytes);
}
