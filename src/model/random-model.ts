/**
 * Models of a given shape with random weights.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import { gaussian } from '../random/philox.ts';
import { axisLength } from '../tensor/axis.ts';
import { allocateMatrices, destroyWeight, type Weight } from '../tensor/weight.ts';
import { codecs, fitsRows, type PackableStorage } from '../weights/index.ts';
import { readConfiguration } from './configuration.ts';
import { Model } from './model.ts';
import { parameterShapes } from './parameters.ts';

/**
 * A model of a given shape with random weights, for benchmarks and tests that must not need a download. The same 4 MiB
 * of normal numbers (deviation 0.02) fill every matrix again and again; 1-D gains are 1, biases 0. All widths must be
 * multiples of 4 and whole blocks of the storage type.
 */
export async function randomModel(
  gpu: Gpu,
  config: Record<string, unknown>,
  storage: PackableStorage,
  seed = 0,
): Promise<Model> {
  const decoder = await readConfiguration(config, 'the given configuration');
  const block = Float32Array.from(
    gaussian(seed, { tensor: 0, step: 0, purpose: 0, query: 0 }, 1 << 20),
    (z) => 0.02 * z,
  );
  const bytes = codecs[storage].pack(block);
  const weights = new Map<string, Weight>();
  const vectors = new Map<string, Float32Array>();
  try {
    const parameters = parameterShapes(decoder);
    const matrices = parameters.flatMap(({ name, axes: [rows, columns], stack }) =>
      columns ? [{ name, layout: { rows: rows!, columns }, storage, ...(stack ? { stack } : {}) }] : [],
    );
    for (const [name, weight] of allocateMatrices(gpu, matrices)) weights.set(name, weight);
    for (const { name, shape, axes } of parameters) {
      const [rows, columns] = axes;
      if (!columns) {
        const isBias = name.endsWith('.bias');
        // Biases of 0 are none; only models with LayerNorms are timed with them.
        if (isBias && decoder.finalNorm?.kind === 'rms') continue;
        vectors.set(name, new Float32Array(axisLength(rows!)).fill(isBias ? 0 : 1));
        continue;
      }
      const weight = weights.get(name)!;
      if (!fitsRows(storage, weight.columns))
        throw new Error(`${name} [${shape.join(', ')}] cannot be stored in ${storage}`);
      if (weight.layout) throw new Error(`${name} [${shape.join(', ')}] would need zeros as pads`);
      for (const { buffer } of weight.parts) {
        for (let offset = 0; offset < buffer.size; offset += bytes.byteLength) {
          buffer.write(bytes.subarray(0, Math.min(bytes.byteLength, buffer.size - offset)), offset);
        }
      }
      await gpu.idle();
    }
    await gpu.checkAllocations();
    return new Model(gpu, { directory: 'random', decoder, weights, vectors, fingerprint: `random ${seed}`, storage });
  } catch (error) {
    for (const weight of weights.values()) destroyWeight(weight);
    throw error;
  }
}
