import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { matrixKinds } from '../../src/experiments/matrices.ts';
import { writeScaledModel } from '../../src/experiments/scaled-model.ts';
import { readConfigurationFile } from '../../src/model/load.ts';
import { removeTemporary, temporaryFolder, tinyModel } from '../train/tiny.ts';

afterAll(removeTemporary);

test('convolutions, which train as vectors, are no matrices', async () => {
  const model = temporaryFolder();
  const config = {
    ...{ model_type: 'lfm2', vocab_size: 11, hidden_size: 16, intermediate_size: 8, num_hidden_layers: 3 },
    ...{ num_attention_heads: 2, num_key_value_heads: 1, full_attn_idxs: [1], conv_L_cache: 3 },
  };
  writeFileSync(join(model, 'config.json'), JSON.stringify(config));
  const names = [...(await matrixKinds(model)).keys()];
  expect(names).toContain('model.layers.*.conv.in_proj.weight');
  expect(names).not.toContain('model.layers.*.conv.conv.weight');
});

test('a model of more layers has its kinds of layers again and again', async () => {
  const model = tinyModel('qwen3-tiny');
  const { layer_types: types } = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8'));
  expect(types).toHaveLength(2);
  const out = temporaryFolder();
  await writeScaledModel(model, { layers: 2, width: 1, context: 1 }, out);
  expect(JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')).layer_types).toEqual([...types, ...types]);
  expect((await readConfigurationFile(out)).blocks).toHaveLength(4);
  const gguf = fileURLToPath(new URL('../fixtures/gguf/tinystories-656k-q8_0.gguf', import.meta.url));
  mkdirSync(join(out, 'none'));
  await expect(writeScaledModel(gguf, { layers: 1, width: 1, context: 1 }, join(out, 'none'))).rejects.toMatchObject({
    code: 'io',
    message: expect.stringContaining('config.json'),
  });
});
