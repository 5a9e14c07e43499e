import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { tinyModels } from '../support/tiny-models.ts';

const fixtures = fileURLToPath(new URL('../fixtures/models/', import.meta.url));

interface Reference {
  ids: number[][];
  last_logits: number[][];
  full: { sequence: number; logits: number[][] };
  argmax: number[][];
  mean_nll: (number | null)[];
}

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

/** Squared error over the squared size of the reference; NaN stays NaN and fails every comparison. */
function normalisedError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let error = 0;
  let size = 0;
  for (let i = 0; i < expected.length; i++) {
    error += (actual[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return error / size;
}

test('more tokens than the context has are refused: their positions have no angles', async () => {
  const model = await loadModel(gpu, `${fixtures}${tinyModels[0]}`);
  try {
    const { contextLength } = model.decoder;
    await expect(sequenceLogits(model, Array(contextLength + 1).fill(1))).rejects.toMatchObject({
      code: 'context_length_exceeded',
      message: expect.stringContaining(`it has ${contextLength + 1} tokens`),
    });
    expect(await sequenceLogits(model, Array(contextLength).fill(1))).toHaveLength(contextLength);
  } finally {
    model.destroy();
  }
});

// What Hugging Face transformers computes from the same files (test/reference/make_models.py).
describe.each(tinyModels)('%s', (name) => {
  const reference = JSON.parse(readFileSync(`${fixtures}${name}/logits.json`, 'utf8')) as Reference;

  test.each(['auto', 'f32', 'f16', 'bf16'] as const)('logits agree with transformers (storage %s)', async (storage) => {
    // Narrowing the stored type changes the weights themselves: only storage that holds them exactly is compared
    // closely.
    const config = JSON.parse(readFileSync(`${fixtures}${name}/config.json`, 'utf8')) as Record<string, unknown>;
    const stored = { float16: 'f16', bfloat16: 'bf16', float32: 'f32' }[String(config.torch_dtype ?? config.dtype)];
    const exact = storage === 'auto' || storage === 'f32' || storage === stored;
    const model = await loadModel(gpu, `${fixtures}${name}`, { storage });
    for (const [index, ids] of reference.ids.entries()) {
      const logits = await sequenceLogits(model, ids);
      expect(normalisedError(logits.at(-1)!, reference.last_logits[index]!)).toBeLessThan(exact ? 1e-10 : 1e-3);
      if (exact) expect(logits.map((row) => row.indexOf(Math.max(...row)))).toEqual(reference.argmax[index]);
      if (exact && index === reference.full.sequence) {
        for (const [row, expected] of reference.full.logits.entries()) {
          expect(normalisedError(logits[row]!, expected)).toBeLessThan(1e-10);
        }
      }
    }
    model.destroy();
  });
});
