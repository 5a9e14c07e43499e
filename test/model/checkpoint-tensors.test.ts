/** Tensors of a checkpoint that are more, or other, than its config.json implies. */

import { mkdtempSync, readFileSync } from 'node:fs';
import { cp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import type { Model } from '../../src/model/model.ts';
import {
  dtypeBytes,
  openSafetensors,
  type SafetensorsDtype,
  type TensorToWrite,
  writeSafetensors,
} from '../../src/safetensors/index.ts';

const fixtures = fileURLToPath(new URL('../fixtures/checkpoint-tensors/', import.meta.url));

let gpu: Gpu;
let folder: string;
beforeAll(async () => {
  gpu = await Gpu.open();
  folder = mkdtempSync(join(tmpdir(), 'subzero-checkpoint-'));
});
afterAll(async () => {
  gpu.close();
  await rm(folder, { recursive: true });
});
afterEach(() => vi.restoreAllMocks());

/** Everything written to standard error while a model loads, and the model. */
async function load(directory: string): Promise<{ model: Model; said: string }> {
  const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const model = await loadModel(gpu, directory);
  const said = written.mock.calls.map(([text]) => String(text)).join('');
  written.mockRestore();
  return { model, said };
}

// What transformers 5.24 makes of the same files (test/reference/checkpoint_tensors.py).
describe.each(['own-head', 'own-head-opt', 'head-copy', 'float64'])('%s', (name) => {
  test('logits agree with transformers, and a head of its own is told', async () => {
    const golden = JSON.parse(readFileSync(`${fixtures}${name}/logits.json`, 'utf8'));
    const { model, said } = await load(`${fixtures}${name}`);
    try {
      expect(model.decoder.head.tied).toBe(golden.tied);
      expect(model.weights.has('lm_head.weight')).toBe(!golden.tied);
      if (golden.tied) expect(said).toBe('');
      else expect(said).toMatch(/^warning: .*own-head.*"lm_head\.weight" that differs.*"tie_word_embeddings": false/);
      const logits = await sequenceLogits(model, golden.ids);
      const difference = logits.flatMap((row, at) =>
        [...row].map((value, column) => Math.abs(value - golden.logits[at][column])),
      );
      expect(difference).toHaveLength(7 * 24);
      expect(Math.max(...difference)).toBeLessThan(3e-5);
    } finally {
      model.destroy();
    }
  });
});

/** A copy of own-head's files with other tensors. */
async function changed(change: (tensors: Map<string, TensorToWrite>) => void, from = 'own-head'): Promise<string> {
  const directory = mkdtempSync(join(folder, 'model-'));
  await cp(`${fixtures}${from}/config.json`, join(directory, 'config.json'));
  const source = await openSafetensors(`${fixtures}${from}/model.safetensors`);
  const tensors = new Map<string, TensorToWrite>();
  for (const { name, dtype, shape } of source.tensors.values()) {
    const bytes = await source.read(name);
    tensors.set(name, { name, dtype, shape: [...shape], data: () => [bytes] });
  }
  await source.close();
  change(tensors);
  await writeSafetensors(join(directory, 'model.safetensors'), [...tensors.values()]);
  return directory;
}

/** A tensor of zeros. */
function zeros(name: string, shape: number[], dtype: SafetensorsDtype = 'F32'): TensorToWrite {
  const count = shape.reduce((product, size) => product * size, 1);
  return { name, dtype, shape, data: () => [new Uint8Array(count * dtypeBytes[dtype])] };
}

describe('tensors that nothing loads from', () => {
  test('are counted and named', async () => {
    const directory = await changed((tensors) => {
      for (let layer = 1; layer <= 5; layer++) {
        const name = `model.layers.${layer}.mlp.up_proj.weight`;
        tensors.set(name, zeros(name, [24, 16]));
      }
    });
    await expect(loadModel(gpu, directory)).rejects.toMatchObject({
      code: 'invalid_data',
      message: expect.stringMatching(
        /the weights have 5 tensors that a llama model of this config\.json does not use: model\.layers\.1\.mlp\.up_proj\.weight, .*…\. .*"num_hidden_layers"/,
      ),
    });
  });

  test.each([
    'model.layers.0.self_attn.rotary_emb.inv_freq',
    'model.rotary_emb.inv_freq',
    'model.layers.0.self_attn.rotary_emb.cos_cached',
    'decoder.version',
  ])('%s changes nothing', async (name) => {
    const { model, said } = await load(await changed((tensors) => tensors.set(name, zeros(name, [4])), 'float64'));
    model.destroy();
    expect(said).toBe('');
  });

  test.each(['inv_freq', 'lm_head.bias', 'my_rotary_emb.inv_freqs', 'score.weight'])('%s is an error', async (name) => {
    const directory = await changed((tensors) => tensors.set(name, zeros(name, [24])));
    await expect(loadModel(gpu, directory)).rejects.toThrow(name);
  });

  test('a second name with the same values is a copy, with others an error', async () => {
    const name = 'embed_tokens.weight';
    const copy = await changed((tensors) => tensors.set(name, { ...tensors.get('model.embed_tokens.weight')!, name }));
    (await load(copy)).model.destroy();
    const other = await changed((tensors) => tensors.set(name, zeros(name, [24, 16])));
    await expect(loadModel(gpu, other)).rejects.toThrow(
      /"model\.embed_tokens\.weight" and "embed_tokens\.weight" name the same parameter and hold different values/,
    );
  });
});

test('a head that is the embedding in a wider type is a copy; one number apart it is not', async () => {
  const widen = (bump: number) => (tensors: Map<string, TensorToWrite>) => {
    const embedding = tensors.get('model.embed_tokens.weight')!;
    const [bytes] = [...(embedding.data() as Uint8Array[])];
    const values = Float64Array.from(new Float32Array(bytes!.slice().buffer));
    values[values.length - 1]! += bump;
    const head: TensorToWrite = {
      name: 'lm_head.weight',
      dtype: 'F64',
      shape: [24, 16],
      data: () => [new Uint8Array(values.buffer)],
    };
    tensors.set('lm_head.weight', head);
  };
  for (const bump of [0, 0.5]) {
    const { model } = await load(await changed(widen(bump)));
    expect(model.decoder.head.tied).toBe(bump === 0);
    model.destroy();
  }
});

test.each(['I8', 'F8_E4M3', 'U8', 'BOOL'] as const)('weights of %s are refused by name', async (dtype) => {
  const name = 'model.layers.0.mlp.up_proj.weight';
  const directory = await changed((tensors) => tensors.set(name, zeros(name, [24, 16], dtype)));
  await expect(loadModel(gpu, directory)).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringContaining(`"${name}" is stored as ${dtype}; supported are F32, F16, BF16 and F64`),
  });
});

test.each([['adapter_config.json', 'adapter_model.safetensors'], ['adapter_model.bin'], ['adapter_config.json']])(
  'an adapter in the folder is refused: %s %s',
  async (...names) => {
    const directory = await changed(() => {});
    for (const name of names) if (name) await writeFile(join(directory, name), '{}');
    await expect(loadModel(gpu, directory)).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(
        new RegExp(`holds a PEFT adapter \\(${names.filter(Boolean).join(', ')}\\).*merge_and_unload.*remove`),
      ),
    });
  },
);
