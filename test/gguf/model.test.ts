/**
 * A real GGUF file, from llama.cpp's converter and quantizer, against transformers on the values of its blocks
 * (test/reference/make_gguf.py); and the same model in the safetensors format.
 */

import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { openGgufConfiguration, openGgufWeights } from '../../src/gguf/index.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { bytesToF32, f32ToF16, openModelWeights } from '../../src/safetensors/index.ts';
import { loadTokenizer } from '../../src/tokenizer/index.ts';
import { blockFormat } from '../../src/weights/block-formats.ts';
import { expectFailure, seededIntegers, temporaryDirectory } from '../safetensors/helpers.ts';
import { f32, layOutGguf, text, u32 } from './build.ts';

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));
const file = `${fixtures}gguf/tinystories-656k-q8_0.gguf`;
const original = `${fixtures}models/tinystories-656k`;
const reference = JSON.parse(readFileSync(file.replace('.gguf', '.json'), 'utf8')) as {
  prompts: { text: string; ids: number[]; last_logits: number[]; logprobs: number[]; greedy: number[] }[];
};
const directory = await temporaryDirectory();

let gpu: Gpu;
let engine: LocalEngine;
beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
});
afterAll(() => engine.close());

const largest = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a, (value, i) => Math.abs(value - b[i]!)).reduce((most, each) => Math.max(most, each), 0);

test.each(['auto', 'f32'] as const)('logits and greedy text agree with transformers (storage %s)', async (storage) => {
  const model = await loadModel(gpu, file, { storage });
  const tokenizer = await loadTokenizer(file);
  expect(model.storage).toBe(storage);
  for (const { text: prompt, ids, last_logits, logprobs, greedy } of reference.prompts) {
    expect(tokenizer.encode(prompt)).toEqual(ids);
    const logits = await sequenceLogits(model, ids);
    expect(largest(logits.at(-1)!, last_logits)).toBeLessThan(2e-5);
    const own = ids.slice(1).map((id, i) => {
      const row = Array.from(logits[i]!);
      const top = Math.max(...row);
      return row[id]! - top - Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0));
    });
    expect(largest(own, logprobs)).toBeLessThan(2e-5);
    await engine.loadModel({ id: storage, path: file, storage });
    const generated: number[] = [];
    for await (const event of engine.generate({
      ...{ model: storage, prompt, maxTokens: greedy.length, temperature: 0 },
    })) {
      if (event.type === 'token') generated.push(event.id);
    }
    expect(generated).toEqual(greedy);
    await engine.unloadModel(storage);
  }
  model.destroy();
});

/** The values of a tensor. */
async function valuesOf(source: Awaited<ReturnType<typeof openGgufWeights>>, name: string): Promise<Float32Array> {
  const { dtype } = source.tensors.get(name)!;
  const bytes = await source.read(name);
  return blockFormat(dtype)?.toF32(bytes) ?? bytesToF32(dtype, bytes);
}

test('its tensors are those of the original, within the steps of 8 bits, and ranges are parts of them', async () => {
  const [source, expected] = [await openGgufWeights(file), await openModelWeights(original)];
  expect([...source.tensors.keys()].sort()).toEqual([...expected.tensors.keys()].sort());
  const random = seededIntegers(3);
  for (const [name, { dtype, shape }] of expected.tensors) {
    const values = bytesToF32(dtype, await expected.read(name));
    const own = source.tensors.get(name)!;
    expect(own.shape).toEqual(shape);
    const reach = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(largest(await valuesOf(source, name), values)).toBeLessThanOrEqual(
      shape.length > 1 ? (reach / 127) * 0.57 : 0,
    );
    const whole = await source.read(name);
    expect(whole.byteLength).toBe(own.byteLength);
    for (let round = 0; round < 5; round++) {
      const start = random(whole.length);
      const length = random(whole.length - start);
      expect(await source.read(name, start, length)).toEqual(whole.slice(start, start + length));
    }
    await expectFailure(source.read(name, 0, whole.length + 1), 'invalid_argument', name);
  }
  await expectFailure(source.read('none'), 'not_found', '"none"');
  await source.close();
  await expected.close();
});

describe('the same weights in f16', () => {
  /** Rows as llama.cpp's converter orders them: the halves of a head interleaved. */
  function interleaved(values: Float32Array, rows: number, heads: number): Float32Array {
    const width = values.length / rows;
    const [head, half] = [rows / heads, rows / heads / 2];
    const result = new Float32Array(values.length);
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < half; i++) {
        for (let s = 0; s < 2; s++) {
          const from = h * head + s * half + i;
          result.set(values.subarray(from * width, (from + 1) * width), (h * head + 2 * i + s) * width);
        }
      }
    }
    return result;
  }

  /** The original as the file of one or two shards. */
  async function convert(name: string, extra: { keys?: [string, ReturnType<typeof u32>][]; shards?: number } = {}) {
    const source = await openModelWeights(original);
    const { llama: names } = JSON.parse(readFileSync(`${fixtures}gguf/tensor-names.json`, 'utf8')) as {
      llama: Record<string, string>;
    };
    const tensors = [];
    for (const [key, { dtype, shape }] of source.tensors) {
      let values = bytesToF32(dtype, await source.read(key));
      if (/[qk]_proj/.test(key)) values = interleaved(values, shape[0]!, key.includes('q_proj') ? 8 : 4);
      const stored = shape.length === 1 ? values : f32ToF16(values);
      const module = key.replace(/\.weight$/, '').replace(/\.\d+\./, '.N.');
      const layer = /\.(\d+)\./.exec(key)?.[1];
      tensors.push({
        name: `${names[module]!.replace('N', layer ?? '')}.weight`,
        dimensions: shape.toReversed(),
        type: shape.length === 1 ? 0 : 1,
        data: new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength),
      });
    }
    await source.close();
    const keys = [
      ['general.architecture', text('llama')],
      ['llama.block_count', u32(2)],
      ['llama.context_length', u32(512)],
      ['llama.embedding_length', u32(128)],
      ['llama.feed_forward_length', u32(384)],
      ['llama.attention.head_count', u32(8)],
      ['llama.attention.head_count_kv', u32(4)],
      ['llama.attention.layer_norm_rms_epsilon', f32(1e-6)],
      ...(extra.keys ?? []),
    ] as [string, ReturnType<typeof u32>][];
    const { shards = 1 } = extra;
    for (let shard = 0; shard < shards; shard++) {
      const own = tensors.filter((_, index) => index % shards === shard);
      const split: typeof keys =
        shards === 1
          ? []
          : [
              ['split.no', { kind: 'u16', value: shard }],
              ['split.count', { kind: 'u16', value: shards }],
            ];
      const suffix = shards === 1 ? '' : `-0000${shard + 1}-of-0000${shards}`;
      await writeFile(
        join(directory, `${name}${suffix}.gguf`),
        layOutGguf({ keys: [...(shard === 0 ? keys : []), ...split], tensors: own }),
      );
    }
    return join(directory, shards === 1 ? `${name}.gguf` : `${name}-00001-of-0000${shards}.gguf`);
  }

  test('give the same bits, from one file and from shards', async () => {
    const expected = await loadModel(gpu, original);
    const ids = reference.prompts[0]!.ids;
    const logits = await sequenceLogits(expected, ids);
    const fingerprints: string[] = [];
    for (const path of [await convert('one'), await convert('two', { shards: 2 })]) {
      const model = await loadModel(gpu, path);
      expect(await sequenceLogits(model, ids)).toEqual(logits);
      expect(model.parameterCount).toBe(expected.parameterCount);
      fingerprints.push(model.fingerprint);
      model.destroy();
    }
    expect(new Set([...fingerprints, expected.fingerprint]).size).toBe(3);
    expected.destroy();
  });

  test('with a key that is not known are refused', async () => {
    const path = await convert('unknown', { keys: [['llama.attention.clamp_kqv', f32(8)]] });
    await expectFailure(loadModel(gpu, path), 'unsupported', '"llama.attention.clamp_kqv"', '8');
    await expectFailure(loadTokenizer(path), 'not_found', 'no tokenizer');
  });
});

test('stands for this config.json', async () => {
  expect(await openGgufConfiguration(file)).toEqual({
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: 2048,
    hidden_size: 128,
    intermediate_size: 384,
    num_hidden_layers: 2,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 16,
    hidden_act: 'silu',
    max_position_embeddings: 512,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
    rope_theta: 10_000,
    rope_scaling: null,
    bos_token_id: 1,
    eos_token_id: 2,
    pad_token_id: 0,
  });
});
