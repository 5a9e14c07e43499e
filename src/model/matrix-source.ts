/**
 * One matrix of a checkpoint by itself, whatever its tensor holds besides and whichever way round it lies.
 *
 * @module
 */

import { transpose } from '../tensor/transpose.ts';
import type { StoredTensor, TensorSource } from '../tensor-source.ts';
import { fileBytes } from '../weights/index.ts';
import type { MatchedTensor } from './checkpoint-tensors.ts';

/** A tensor with what reads it. */
export interface MatrixSource {
  source: Pick<TensorSource, 'read'>;
  stored: StoredTensor;
}

/** The tensor of a parameter, or the one of several matrices in it that the parameter is. */
export function memberOf(
  source: Pick<TensorSource, 'read'>,
  { stored, within }: Pick<MatchedTensor, 'stored' | 'within'>,
): MatrixSource {
  if (!within) return { source, stored };
  const { name, dtype, shape, byteLength } = stored;
  const { index, count } = within;
  const bytes = byteLength / count;
  return {
    stored: { name, dtype, shape: shape.slice(1), byteLength: bytes },
    source: {
      read: (_, offset = 0, length = bytes - offset, memory) =>
        source.read(name, index * bytes + offset, length, memory),
    },
  };
}

/** Reads a matrix as [out features, in features]; of one that lies the other way round it takes the whole. */
export async function inOrder(
  { source, stored: { name, dtype, shape } }: MatrixSource,
  transposed = false,
): Promise<Pick<TensorSource, 'read'>> {
  if (!transposed) return source;
  const bytes = transpose(await source.read(name), shape as [number, number], fileBytes(dtype, 1));
  return { read: async (_, offset = 0, length = bytes.byteLength) => bytes.slice(offset, offset + length) };
}
