/**
 * What a user sees of a model whose widths 4 does not divide: its own numbers, none of the pads.
 */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { embedSequences } from '../../src/model/embed.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { openModelWeights } from '../../src/safetensors/index.ts';
import { relativeError } from '../support/zo/compare.ts';
import { modelDirectory } from '../support/zo/golden.ts';
import { weightValues } from '../support/zo/weights.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

test.each([
  { name: 'qwen3-odd-tiny', width: 27 },
  { name: 'opt-odd-tiny', width: 30 },
])('$name: parameters and embeddings', async ({ name, width }) => {
  const model = await loadModel(gpu, modelDirectory(name), { storage: 'f32' });
  const source = await openModelWeights(modelDirectory(name));
  const sizes = [...source.tensors.values()].map(({ shape }) => shape.reduce((product, size) => product * size, 1));
  await source.close();
  const parameters = sizes.reduce((sum, size) => sum + size, 0);
  expect(model.parameterCount).toBe(parameters);
  expect(model.weightBytes).toBeGreaterThan(4 * parameters);

  const tokens = [3, 17, 55, 90, 12];
  const [vector] = await embedSequences(model, [tokens], 'last');
  expect(vector).toHaveLength(width);
  // The head is tied: the last logits are those of the embedding, but for its length.
  const table = await weightValues(model, model.weight(model.decoder.embedding.weight));
  const logits = (await sequenceLogits(model, tokens)).at(-1)!;
  const cosines = logits.map((_, row) => vector!.reduce((sum, x, i) => sum + x * table[row * width + i]!, 0));
  const unit = (values: Float32Array) => values.map((value) => value / Math.hypot(...values));
  expect(relativeError(unit(cosines), unit(logits))).toBeLessThan(1e-5);
  model.destroy();
});
