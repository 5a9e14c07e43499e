/**
 * A model without weights, on a device without memory.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import { allocateMatrix } from '../tensor/weight.ts';
import type { Storage } from '../weights/index.ts';
import type { Decoder } from './decoder.ts';
import { Model } from './model.ts';
import type { ParameterShape } from './parameters.ts';

/**
 * A model of a description, of which only sizes mean something.
 * @param gpu of `Gpu.forSizing`
 * @param parameters those that the checkpoint holds
 */
export function sizingModel(
  gpu: Gpu,
  decoder: Decoder,
  parameters: readonly Pick<ParameterShape, 'name' | 'shape' | 'axes'>[],
  storage: Storage,
): Model {
  const matrices = parameters.filter(({ axes }) => axes.length === 2);
  const vectors = parameters.filter(({ axes }) => axes.length === 1);
  return new Model(gpu, {
    ...{ directory: '', decoder, fingerprint: '' },
    weights: new Map(
      matrices.map(({ name, axes: [rows, columns] }) => {
        return [name, allocateMatrix(gpu, name, { rows: rows!, columns: columns! }, storage)];
      }),
    ),
    vectors: new Map(vectors.map(({ name, shape }) => [name, new Float32Array(shape[0]!)])),
  });
}
