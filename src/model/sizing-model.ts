/**
 * A model without weights, on a device without memory.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import { allocateMatrices } from '../tensor/weight.ts';
import type { MatchedTensor } from './checkpoint-tensors.ts';
import type { Decoder } from './decoder.ts';
import type { StorageChoice } from './load.ts';
import { Model } from './model.ts';

/**
 * A model of a description, of which only sizes mean something.
 * @param gpu of `Gpu.forSizing`
 * @param parameters those that the checkpoint holds
 */
export function sizingModel(
  gpu: Gpu,
  decoder: Decoder,
  parameters: readonly MatchedTensor[],
  { storage, storageOf }: StorageChoice,
): Model {
  const matrices = parameters.filter(({ axes }) => axes.length === 2);
  const vectors = parameters.filter(({ axes }) => axes.length === 1);
  return new Model(gpu, {
    ...{ directory: '', decoder, fingerprint: '', storage },
    weights: allocateMatrices(
      gpu,
      matrices.map(({ name, axes: [rows, columns], stored, stack }) => {
        const layout = { rows: rows!, columns: columns! };
        return { name, layout, storage: storageOf(layout, stored.dtype), ...(stack ? { stack } : {}) };
      }),
    ),
    vectors: new Map(
      vectors.map(({ name, shape }) => [name, new Float32Array(shape.reduce((product, size) => product * size, 1))]),
    ),
  });
}
