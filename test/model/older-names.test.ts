/** Tensors under the names that early files have, and masks beside them. */

import { mkdtempSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { openSafetensors, type TensorToWrite, writeSafetensors } from '../../src/safetensors/index.ts';
import { withSeed } from '../support/random.ts';

const fixtures = fileURLToPath(new URL('../fixtures/models/', import.meta.url));
const tokens = [3, 17, 55, 90, 12];

let gpu: Gpu;
let folder: string;
beforeAll(async () => {
  gpu = await Gpu.open();
  folder = mkdtempSync(join(tmpdir(), 'subzero-names-'));
});
afterAll(async () => {
  gpu.close();
  await rm(folder, { recursive: true });
});

async function logitsOf(directory: string): Promise<Float32Array[]> {
  const model = await loadModel(gpu, directory);
  const logits = await sequenceLogits(model, tokens);
  model.destroy();
  return logits;
}

/** A copy of a model whose tensors have other names. */
async function renamed(model: string, rename: (name: string) => string, more: TensorToWrite[] = []): Promise<string> {
  const directory = mkdtempSync(join(folder, 'model-'));
  await cp(join(fixtures, model, 'config.json'), join(directory, 'config.json'));
  const source = await openSafetensors(join(fixtures, model, 'model.safetensors'));
  const tensors = await Promise.all(
    [...source.tensors.values()].map(async ({ name, dtype, shape }): Promise<TensorToWrite> => {
      const bytes = await source.read(name);
      return { name: rename(name), dtype, shape: [...shape], data: () => [bytes] };
    }),
  );
  await source.close();
  await writeSafetensors(join(directory, 'model.safetensors'), [...tensors, ...more]);
  return directory;
}

test('GPT-2 without its prefix and with masks, as its authors stored it', () =>
  withSeed('masks', async (random) => {
    const mask = (name: string, shape: number[], dtype: 'F32' | 'U8'): TensorToWrite => {
      const count = shape.reduce((product, size) => product * size, dtype === 'F32' ? 4 : 1);
      return { name, dtype, shape, data: () => [Uint8Array.from({ length: count }, () => random.integer(0, 1))] };
    };
    const directory = await renamed('gpt2-tiny', (name) => name.replace('transformer.', ''), [
      mask('h.0.attn.bias', [1, 1, 64, 64], 'F32'),
      mask('h.1.attn.bias', [1, 1, 64, 64], 'U8'),
      mask('h.1.attn.masked_bias', [1], 'F32'),
    ]);
    expect(await logitsOf(directory)).toEqual(await logitsOf(join(fixtures, 'gpt2-tiny')));
  }));

test('a GPT-2 whose matrices lie as those of other models is refused with both shapes', async () => {
  const up = 'transformer.h.0.mlp.c_fc.weight';
  const turned: TensorToWrite = { name: up, dtype: 'F16', shape: [42, 30], data: () => [new Uint8Array(42 * 30 * 2)] };
  const directory = await renamed('gpt2-tiny', (name) => (name === up ? 'transformer.h.0.attn.bias' : name), [turned]);
  await expect(loadModel(gpu, directory)).rejects.toMatchObject({
    code: 'invalid_data',
    message: expect.stringContaining(`"${up}" has shape [42, 30]; config.json implies [30, 42]`),
  });
});

test('GPT-NeoX with the newer name of its head, and without its prefix', async () => {
  const expected = await logitsOf(join(fixtures, 'gpt-neox-tiny'));
  const newer = await renamed('gpt-neox-tiny', (name) => name.replace('embed_out.', 'lm_head.'));
  expect(await logitsOf(newer)).toEqual(expected);
  const bare = await renamed('gpt-neox-tiny', (name) => name.replace('gpt_neox.', ''));
  expect(await logitsOf(bare)).toEqual(expected);
});
