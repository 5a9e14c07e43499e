import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { Model } from '../../src/model/model.ts';

// The kernel variants that a GPU would get, on whatever adapter runs the tests.
let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open({ kernelStyle: 'hardware' });
});
afterAll(() => gpu.close());

test.each([0, 3])('logits agree with transformers with the kernel variants for GPUs, sequence %i', async (index) => {
  const directory = fileURLToPath(new URL('../fixtures/models/llama-tiny', import.meta.url));
  const reference = JSON.parse(readFileSync(`${directory}/logits.json`, 'utf8')) as {
    ids: number[][];
    last_logits: number[][];
  };
  const model = await Model.load(gpu, directory);
  const logits = (await sequenceLogits(model, reference.ids[index]!)).at(-1)!;
  for (const [token, expected] of reference.last_logits[index]!.entries()) {
    expect(Math.abs(logits[token]! - expected)).toBeLessThan(2e-5 * (1 + Math.abs(expected)));
  }
  model.destroy();
});
