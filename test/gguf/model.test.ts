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
import { equalBytes } from '../../src/platform/index.ts';
import { bytesToF32, f32ToF16, openModelWeights } from '../../src/safetensors/index.ts';
import { loadTokenizer } from '../../src/tokenizer/index.ts';
import { blockFormat, blockFormats } from '../../src/weights/block-formats.ts';
import { expectFailure, seededIntegers, temporaryDirectory } from '../safetensors/helpers.ts';
import { f32, layOutGguf, type TensorToLayOut, text, u32 } from './build.ts';

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
      expect(equalBytes(await source.read(name, start, length), whole.subarray(start, start + length))).toBe(true);
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

test('blocks of all types lie on the GPU as they are, and give what their values give', async () => {
  const random = seededIntegers(17);
  const noise = (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, () => random(256));
  /** Random blocks whose scales are f16 numbers of about 0.01. */
  const blocks = (type: string, count: number): Uint8Array => {
    const { bytes, elements } = blockFormats[type as keyof typeof blockFormats];
    const result = noise((count / elements) * bytes);
    const halves = { Q4_1: [0, 2], Q5_1: [0, 2], Q4_K: [0, 2], Q5_K: [0, 2], Q6_K: [208] }[type] ?? [0];
    for (let at = 0; at < result.length; at += bytes) {
      for (const half of halves) {
        if (type === 'MXFP4') result[at] = 118 + random(3);
        else result.set(/_K$/.test(type) ? [random(256), 0x05] : [random(256), 0x1c], at + half);
      }
    }
    return result;
  };
  const width = 256;
  const shapes: Record<string, [number, number]> = {
    token_embd: [64, width],
    'blk.0.attn_q': [width, width],
    'blk.0.attn_k': [128, width],
    'blk.0.attn_v': [128, width],
    'blk.0.attn_output': [width, width],
    'blk.0.ffn_gate': [width, width],
    'blk.0.ffn_up': [width, width],
    'blk.0.ffn_down': [width, width],
    output: [64, width],
  };
  const types = ['Q6_K', 'Q4_K', 'Q5_K', 'Q8_0', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'MXFP4'];
  const numbers = { Q4_0: 2, Q4_1: 3, Q5_0: 6, Q5_1: 7, Q8_0: 8, Q4_K: 12, Q5_K: 13, Q6_K: 14, MXFP4: 39 };
  const norms = ['blk.0.attn_norm', 'blk.0.ffn_norm', 'output_norm'].map((name) => ({
    ...{ name: `${name}.weight`, dimensions: [width], type: 0 },
    data: new Uint8Array(Float32Array.from({ length: width }, () => 0.5 + random(100) / 100).buffer),
  }));
  const keys = Object.entries({
    ...{ 'general.architecture': text('llama'), 'llama.block_count': u32(1), 'llama.context_length': u32(64) },
    ...{ 'llama.embedding_length': u32(width), 'llama.feed_forward_length': u32(width) },
    ...{ 'llama.attention.head_count': u32(8), 'llama.attention.head_count_kv': u32(4) },
    'llama.attention.layer_norm_rms_epsilon': f32(1e-5),
  });
  const quantised = Object.entries(shapes).map(([name, [rows, columns]], index) => ({
    ...{ name: `${name}.weight`, dimensions: [columns, rows], kind: types[index]! },
    data: blocks(types[index]!, rows * columns),
  }));
  const write = async (name: string, tensors: TensorToLayOut[]): Promise<string> => {
    await writeFile(join(directory, name), layOutGguf({ keys, tensors: [...tensors, ...norms] }));
    return join(directory, name);
  };
  const inBlocks = await write(
    'blocks.gguf',
    quantised.map(({ kind, ...tensor }) => ({ ...tensor, type: numbers[kind as keyof typeof numbers] })),
  );
  const inF32 = await write(
    'values.gguf',
    quantised.map(({ kind, data, ...tensor }) => {
      const values = blockFormat(kind)!.toF32(data);
      return { ...tensor, type: 0, data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
    }),
  );
  const ids = Array.from({ length: 20 }, () => random(64));
  const [model, expected] = [await loadModel(gpu, inBlocks), await loadModel(gpu, inF32)];
  const storages = new Set([...model.weights.values()].map(({ storage }) => storage));
  expect([...storages].sort()).toEqual(['mxfp4', 'q4', 'q4k', 'q4m', 'q6k', 'q8', 'q8m']);
  const [logits, right] = [await sequenceLogits(model, ids), await sequenceLogits(expected, ids)];
  const size = Math.max(...right.map((row) => Math.max(...row.map(Math.abs))));
  expect(size).toBeGreaterThan(0.1);
  for (const [index, row] of right.entries()) expect(largest(logits[index]!, row)).toBeLessThan(2e-5 * size);
  model.destroy();
  expected.destroy();
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
