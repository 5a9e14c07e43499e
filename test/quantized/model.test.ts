/** Small quantised models against transformers with the values of the formats' libraries. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { inspectModel } from '../../src/train/inspect.ts';

const fixtures = fileURLToPath(new URL('../fixtures/quantized/', import.meta.url));

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

/** Each with the storage types that its matrices have on a software adapter. */
const models = {
  'compressed-tensors-pack': ['q4m'],
  'compressed-tensors-float': ['fp8'],
  fp8: ['fp8'],
  gptq: ['q4z', 'q4m'],
  'gptq-order': [],
  awq: ['q4m'],
  nf4: ['nf4'],
  int8: ['q8z', 'q8m'],
  mxfp4: ['mxfp4'],
};

test.each(Object.entries(models))('%s: logits agree with transformers', async (name, storages) => {
  const reference = JSON.parse(readFileSync(`${fixtures}${name}/logits.json`, 'utf8')) as {
    ids: number[][];
    logits: number[][][];
  };
  const model = await loadModel(gpu, `${fixtures}${name}`);
  try {
    const own = [...model.weights.values()].map(({ storage }) => storage).filter((storage) => storage !== 'f32');
    expect([...new Set(own)].sort()).toEqual(storages.sort());
    for (const [index, ids] of reference.ids.entries()) {
      const logits = (await sequenceLogits(model, ids)).flatMap((row) => [...row]);
      const expected = reference.logits[index]!.flat();
      expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(1);
      expect(Math.max(...logits.map((value, at) => Math.abs(value - expected[at]!)))).toBeLessThan(2e-5);
    }
  } finally {
    model.destroy();
  }
});

test('inspect names the format, and what no storage type holds', async () => {
  const plain = await inspectModel(`${fixtures}gptq`);
  expect(plain.stored.quantization).toBe('GPTQ, 4 bits, whole rows');
  expect(plain.warnings).toEqual([]);
  const ordered = await inspectModel(`${fixtures}gptq-order`);
  expect(ordered.warnings).toEqual([
    expect.stringContaining('7 of 7 quantised matrices (as "model.layers.0.mlp.down_proj.weight")'),
  ]);
  expect((await inspectModel(`${fixtures}compressed-tensors-pack`)).stored.quantization).toBe(
    'compressed-tensors: pack-quantized, 4 bits, groups of 32',
  );
});
