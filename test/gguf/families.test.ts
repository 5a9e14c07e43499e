/**
 * Every architecture as a GGUF file, with what llama.cpp's converter does to keys and tensors, against the folder that
 * it was made from: the same function.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { architectures } from '../../src/gguf/architectures.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { type ParameterShape, parameterShapes } from '../../src/model/parameters.ts';
import { writeSafetensors } from '../../src/safetensors/index.ts';
import { wordSplittings } from '../../src/tokenizer/gguf-splits.ts';
import { quantizeModel } from '../../src/train/quantize.ts';
import { expectFailure, seededIntegers, temporaryDirectory } from '../safetensors/helpers.ts';
import { readConfiguration } from '../support/configuration.ts';
import { writeLetters } from '../support/letters.ts';
import { f32, flag, layOutGguf, list, type TensorToLayOut, text, u32, type Value } from './build.ts';

const names = JSON.parse(
  readFileSync(fileURLToPath(new URL('../fixtures/gguf/tensor-names.json', import.meta.url)), 'utf8'),
) as Record<string, Record<string, string>>;
/** Those that converted.test.ts compares with what the converter makes. */
const converted = JSON.parse(
  readFileSync(fileURLToPath(new URL('../fixtures/gguf/converted.json', import.meta.url)), 'utf8'),
) as { architecture: string }[];
const directory = await temporaryDirectory();

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

type Config = Record<string, unknown>;

interface Case {
  architecture: string;
  config: Config;
  /** Keys beside those of all. */
  keys?: Record<string, Value>;
  tensors?: TensorToLayOut[];
  /** What our own writer refuses it with. */
  unwritten?: string;
  /** Whether the converter cannot make it. */
  unmade?: boolean;
  /** Whether queries, keys and values lie in one tensor, as the converter can put them and older files have them. */
  fused?: boolean;
}

const sizes = {
  ...{ vocab_size: 48, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 3, num_attention_heads: 4 },
  ...{ num_key_value_heads: 2, max_position_embeddings: 64, rope_theta: 10_000, rms_norm_eps: 1e-5 },
};

const chosen = (experts: number, ofToken: number) => ({
  expert_count: u32(experts),
  expert_used_count: u32(ofToken),
});

const pattern = (layers: readonly boolean[]): Value => list('flag', layers);

/** Divisors for the rule of Llama 3 with factor 4, theta 100, heads of 8, and a context of 8192. */
const llama3 = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};

function vectorOf(name: string, values: number[]): TensorToLayOut {
  return { name, dimensions: [values.length], type: 0, data: new Uint8Array(Float32Array.from(values).buffer) };
}

function llama3Divisors(theta: number, width: number): TensorToLayOut {
  const values = Float32Array.from({ length: width / 2 }, (_, pair) => {
    const turns = (8192 * theta ** ((-2 * pair) / width)) / (2 * Math.PI);
    const smooth = Math.min(1, Math.max(0, (turns - 1) / 3));
    return 1 / ((1 - smooth) / 8 + smooth);
  });
  return { name: 'rope_freqs.weight', dimensions: [width / 2], type: 0, data: new Uint8Array(values.buffer) };
}

const cases: Case[] = [
  { architecture: 'llama', config: { ...sizes, model_type: 'llama' } },
  {
    architecture: 'llama',
    config: { ...sizes, model_type: 'llama', tie_word_embeddings: true, attention_bias: true, mlp_bias: true },
  },
  {
    architecture: 'llama',
    config: { ...sizes, model_type: 'llama', rope_theta: 500_000, rope_scaling: llama3, head_dim: 16 },
    keys: { 'attention.key_length': u32(16), 'attention.value_length': u32(16), 'rope.dimension_count': u32(16) },
    tensors: [llama3Divisors(500_000, 16)],
  },
  {
    architecture: 'llama',
    config: { ...sizes, model_type: 'mistral', sliding_window: 7 },
    keys: { 'attention.sliding_window': u32(7) },
  },
  {
    architecture: 'llama',
    config: {
      ...{ ...sizes, model_type: 'llama' },
      rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 },
    },
    keys: {
      'rope.scaling.type': text('yarn'),
      'rope.scaling.factor': f32(4),
      'rope.scaling.original_context_length': u32(16),
    },
  },
  { architecture: 'qwen2', config: { ...sizes, model_type: 'qwen2' } },
  {
    architecture: 'qwen3',
    config: { ...sizes, model_type: 'qwen3', head_dim: 16, attention_bias: true },
    keys: { 'attention.key_length': u32(16), 'attention.value_length': u32(16) },
  },
  { architecture: 'smollm3', config: { ...sizes, num_hidden_layers: 5, model_type: 'smollm3' } },
  { architecture: 'olmo2', config: { ...sizes, model_type: 'olmo2' } },
  {
    architecture: 'olmo2',
    config: { ...sizes, num_hidden_layers: 5, model_type: 'olmo3', rope_theta: 500_000, sliding_window: 5 },
    keys: {
      'attention.sliding_window': u32(5),
      'attention.sliding_window_pattern': pattern([true, true, true, false, true]),
    },
  },
  { architecture: 'olmo', config: { ...sizes, rms_norm_eps: undefined, model_type: 'olmo' } },
  { architecture: 'seed_oss', config: { ...sizes, model_type: 'seed_oss', head_dim: 8 } },
  {
    architecture: 'gemma',
    config: { ...sizes, model_type: 'gemma', head_dim: 8 },
    keys: { 'attention.key_length': u32(8), 'attention.value_length': u32(8) },
  },
  {
    architecture: 'gemma2',
    config: { ...sizes, model_type: 'gemma2', head_dim: 16, query_pre_attn_scalar: 16, sliding_window: 6 },
    keys: {
      ...{ 'attention.key_length': u32(16), 'attention.value_length': u32(16), 'attention.sliding_window': u32(6) },
      ...{ attn_logit_softcapping: f32(50), final_logit_softcapping: f32(30) },
    },
  },
  {
    architecture: 'gemma3',
    config: {
      ...{ ...sizes, num_hidden_layers: 7, model_type: 'gemma3_text', head_dim: 8, query_pre_attn_scalar: 8 },
      ...{ sliding_window: 6, rope_theta: 1_000_000, rope_scaling: { rope_type: 'linear', factor: 8 } },
    },
    keys: {
      ...{ 'attention.key_length': u32(8), 'attention.value_length': u32(8), 'attention.sliding_window': u32(6) },
      ...{ 'rope.scaling.type': text('linear'), 'rope.scaling.factor': f32(8) },
    },
  },
  {
    architecture: 'granite',
    config: {
      ...{ ...sizes, model_type: 'granite', embedding_multiplier: 12, residual_multiplier: 0.22 },
      ...{ attention_multiplier: 0.5, logits_scaling: 8 },
    },
    keys: {
      ...{ 'attention.scale': f32(0.5), embedding_scale: f32(12), residual_scale: f32(0.22), logit_scale: f32(8) },
    },
  },
  {
    // As Granite 4 without Mamba layers has it.
    architecture: 'granite',
    config: { ...sizes, model_type: 'granite', attention_multiplier: 8 ** -0.5 },
    keys: {
      ...{ feed_forward_length: u32(40), expert_shared_feed_forward_length: u32(48), expert_count: u32(0) },
      ...{ 'ssm.conv_kernel': u32(4), 'ssm.state_size': u32(256), 'ssm.group_count': u32(1) },
      ...{ 'ssm.inner_size': u32(64), 'ssm.time_step_rank': u32(4), 'attention.head_count_kv': list('u32', [2, 2, 2]) },
    },
  },
  { architecture: 'llama', config: { ...sizes, model_type: 'llama', attention_bias: true }, fused: true },
  {
    architecture: 'chatglm',
    config: { ...sizes, model_type: 'glm', head_dim: 8 },
    keys: { 'rope.dimension_count': u32(4) },
    fused: true,
  },
  { architecture: 'arcee', config: { ...sizes, model_type: 'arcee' } },
  {
    architecture: 'exaone4',
    config: { ...sizes, num_hidden_layers: 5, model_type: 'exaone4', sliding_window: 6, sliding_window_pattern: 4 },
    keys: {
      'attention.sliding_window': u32(6),
      'attention.sliding_window_pattern': pattern([true, true, true, false, true]),
    },
  },
  {
    architecture: 'phi3',
    config: { ...sizes, model_type: 'phi3', original_max_position_embeddings: 64, sliding_window: 9 },
    keys: { 'attention.sliding_window': u32(9), 'rope.scaling.original_context_length': u32(64) },
  },
  {
    architecture: 'phi3',
    config: {
      ...{ ...sizes, model_type: 'phi3', original_max_position_embeddings: 16, sliding_window: null },
      rope_scaling: { type: 'longrope', short_factor: [1, 1.5, 2, 3], long_factor: [1, 2, 4, 8] },
    },
    keys: {
      'rope.scaling.original_context_length': u32(16),
      'rope.scaling.attn_factor': f32(Math.sqrt(1 + Math.log(4) / Math.log(16))),
    },
    tensors: [
      vectorOf('rope_factors_short.weight', [1, 1.5, 2, 3]),
      vectorOf('rope_factors_long.weight', [1, 2, 4, 8]),
    ],
    // Its divisors are not written.
    unwritten: 'would differ',
  },
  {
    architecture: 'starcoder2',
    config: { ...sizes, model_type: 'starcoder2', rms_norm_eps: undefined, norm_epsilon: 1e-5, sliding_window: 7 },
    keys: { 'attention.sliding_window': u32(7) },
  },
  { architecture: 'ernie4_5', config: { ...sizes, model_type: 'ernie4_5', head_dim: 8 } },
  {
    architecture: 'llama',
    config: { ...sizes, model_type: 'mixtral', num_local_experts: 4, num_experts_per_tok: 2, sliding_window: 7 },
    keys: { ...chosen(4, 2), 'attention.sliding_window': u32(7) },
  },
  {
    architecture: 'qwen2moe',
    config: {
      ...{ ...sizes, model_type: 'qwen2_moe', num_experts: 5, num_experts_per_tok: 3 },
      ...{ moe_intermediate_size: 12, shared_expert_intermediate_size: 20 },
    },
    keys: { ...chosen(5, 3), expert_feed_forward_length: u32(12), expert_shared_feed_forward_length: u32(20) },
  },
  {
    architecture: 'qwen3moe',
    config: {
      ...{ ...sizes, model_type: 'qwen3_moe', head_dim: 16, num_experts: 6, num_experts_per_tok: 2 },
      ...{ moe_intermediate_size: 18, norm_topk_prob: true },
    },
    keys: {
      ...{ ...chosen(6, 2), expert_feed_forward_length: u32(18) },
      ...{ 'attention.key_length': u32(16), 'attention.value_length': u32(16) },
    },
  },
  {
    architecture: 'qwen3moe',
    config: {
      ...{ ...sizes, model_type: 'qwen3_moe', num_experts: 4, num_experts_per_tok: 2, norm_topk_prob: true },
      ...{ moe_intermediate_size: 16, mlp_only_layers: [1] },
    },
    unmade: true,
    // Files of this architecture have no layers without experts.
    unwritten: 'has no name in GGUF files of "qwen3moe"',
  },
  {
    architecture: 'olmoe',
    config: { ...sizes, model_type: 'olmoe', num_experts: 4, num_experts_per_tok: 2 },
    keys: chosen(4, 2),
  },
  {
    architecture: 'granitemoe',
    config: {
      ...{ ...sizes, model_type: 'granitemoe', num_local_experts: 4, num_experts_per_tok: 2 },
      ...{ embedding_multiplier: 12, residual_multiplier: 0.22, attention_multiplier: 0.5, logits_scaling: 8 },
    },
    keys: {
      ...chosen(4, 2),
      ...{ 'attention.scale': f32(0.5), embedding_scale: f32(12), residual_scale: f32(0.22), logit_scale: f32(8) },
    },
  },
  {
    architecture: 'phimoe',
    config: {
      ...{ ...sizes, model_type: 'phimoe', num_local_experts: 4, num_experts_per_tok: 2 },
      ...{ attention_bias: true, lm_head_bias: true, sliding_window: 7, rms_norm_eps: 1e-5 },
    },
    keys: {
      ...{ ...chosen(4, 2), 'attention.sliding_window': u32(7) },
      'rope.scaling.original_context_length': u32(64),
    },
  },
  {
    architecture: 'gpt-oss',
    config: {
      ...{ ...sizes, model_type: 'gpt_oss', head_dim: 8, num_local_experts: 4, num_experts_per_tok: 2 },
      ...{ sliding_window: 6, intermediate_size: 18 },
      rope_scaling: {
        ...{ rope_type: 'yarn', factor: 4, beta_fast: 32, beta_slow: 1, truncate: false },
        original_max_position_embeddings: 16,
      },
    },
    keys: {
      ...{ ...chosen(4, 2), expert_feed_forward_length: u32(18), 'attention.sliding_window': u32(6) },
      ...{ 'attention.key_length': u32(8), 'attention.value_length': u32(8) },
      'rope.scaling.type': text('yarn'),
      'rope.scaling.factor': f32(4),
      'rope.scaling.original_context_length': u32(16),
    },
  },
  {
    architecture: 'mistral3',
    config: {
      ...{ ...sizes, model_type: 'ministral3', head_dim: 8 },
      rope_parameters: {
        ...{ rope_type: 'yarn', rope_theta: 10_000, factor: 4, original_max_position_embeddings: 16 },
        ...{ mscale: 1, mscale_all_dim: 1, llama_4_scaling_beta: 0.1 },
      },
    },
    keys: {
      'rope.scaling.type': text('yarn'),
      'rope.scaling.factor': f32(4),
      'rope.scaling.original_context_length': u32(16),
      'rope.scaling.yarn_log_multiplier': f32(1),
      'attention.temperature_scale': f32(0.1),
    },
  },
  {
    architecture: 'hunyuan-moe',
    config: { ...sizes, model_type: 'hunyuan_v1_moe', head_dim: 8, num_experts: 4, moe_topk: 2 },
    unmade: true,
  },
  {
    architecture: 'jais2',
    config: { ...sizes, model_type: 'jais2', rms_norm_eps: undefined, layer_norm_eps: 1e-5 },
    unmade: true,
  },
  {
    architecture: 'cohere2',
    config: {
      ...{ ...sizes, num_hidden_layers: 5, model_type: 'cohere2', rms_norm_eps: undefined, layer_norm_eps: 1e-5 },
      ...{ logit_scale: 0.25, sliding_window: 7 },
    },
    unmade: true,
  },
];

const random = seededIntegers(5);

/** Values whose sum with 1 an f32 holds. */
function valuesOf(name: string, count: number): Float32Array {
  const scale = /embed_tokens/.test(name) ? 1 / 64 : 1 / 512;
  const isGain = /norm\.weight$/.test(name);
  return Float32Array.from({ length: count }, () => (isGain ? (random(64) - 16) / 64 : (random(256) - 128) * scale));
}

/** Rows as the converter orders those of queries and keys: the halves of a head interleaved. */
function interleaved(values: Float32Array, rows: number, heads: number): Float32Array {
  const width = values.length / rows;
  const [head, half] = [rows / heads, rows / heads / 2];
  return Float32Array.from(values, (_, index) => {
    const [row, column] = [Math.floor(index / width), index % width];
    const place = row % head;
    const from = row - place + (place % 2) * half + Math.floor(place / 2);
    return values[from * width + column]!;
  });
}

/** The keys that the converter writes for all. */
function keysOf(architecture: string, config: Config): [string, Value][] {
  const whole = {
    ...{ block_count: 'num_hidden_layers', context_length: 'max_position_embeddings' },
    ...{ embedding_length: 'hidden_size', feed_forward_length: 'intermediate_size' },
    ...{ 'attention.head_count': 'num_attention_heads', 'attention.head_count_kv': 'num_key_value_heads' },
  };
  const epsilon = ['olmo', 'starcoder2'].includes(architecture)
    ? 'attention.layer_norm_epsilon'
    : 'attention.layer_norm_rms_epsilon';
  return [
    ['general.architecture', text(architecture)],
    ...Object.entries(whole).map(([key, from]): [string, Value] => [
      `${architecture}.${key}`,
      u32(config[from] as number),
    ]),
    [`${architecture}.${epsilon}`, f32(1e-5)],
    [`${architecture}.rope.freq_base`, f32(config.rope_theta as number)],
    [`${architecture}.rope.scaling.finetuned`, flag(true)],
  ];
}

interface Tensor {
  name: string;
  shape: number[];
  values: Float32Array;
}

/** Rows of a matrix that have a number. */
function rowsOf(values: Float32Array, width: number, has: (row: number) => boolean): Float32Array {
  return values.filter((_, index) => has(Math.floor(index / width)));
}

/** What the converter makes of experts: a tensor for each projection of a layer. */
function convertExperts(tensors: readonly Tensor[]): [TensorToLayOut[], Tensor[]] {
  const names = { gate_proj: 'gate', w1: 'gate', up_proj: 'up', w3: 'up', down_proj: 'down', w2: 'down' };
  const found = new Map<string, { shape: number[]; parts: Float32Array[] }>();
  const add = (name: string, shape: number[], values: Float32Array): void => {
    if (!found.has(name)) found.set(name, { shape, parts: [] });
    found.get(name)!.parts.push(values);
  };
  const others = tensors.filter(({ name, shape, values }) => {
    const layer = /layers\.(\d+)\./.exec(name)?.[1];
    const own = /experts\.\d+\.([^.]+)\.weight$/.exec(name)?.[1] as keyof typeof names | undefined;
    if (own) {
      add(`blk.${layer}.ffn_${names[own]}_exps.weight`, shape, values);
      return false;
    }
    const [, kind] = /(gate_up_proj|down_proj|input_linear|output_linear)(\.weight\.\d+|\.\d+|_bias)$/.exec(name) ?? [];
    if (!kind) return true;
    const isBias = name.endsWith('_bias');
    const suffix = isBias ? 'bias' : 'weight';
    if (/down|output/.test(kind)) {
      add(`blk.${layer}.ffn_down_exps.${suffix}`, shape, values);
      return false;
    }
    // Biases of all experts are rows of one number, of which each expert has an even number.
    const [rows, width] = isBias ? [shape[1]!, 1] : (shape as [number, number]);
    for (const [turn, projection] of ['gate', 'up'].entries()) {
      const isOwn = (row: number): boolean =>
        kind === 'gate_up_proj' ? row % 2 === turn : Math.floor((row % rows) / (rows / 2)) === turn;
      const part = isBias ? [shape[0]!, rows / 2] : [rows / 2, width];
      add(`blk.${layer}.ffn_${projection}_exps.${suffix}`, part, rowsOf(values, width, isOwn));
    }
    return false;
  });
  const stacks = [...found].map(([name, { shape, parts }]): TensorToLayOut => {
    const values = Float32Array.from(parts.flatMap((part) => [...part]));
    const whole = name.endsWith('.bias') ? shape : [parts.length, ...shape];
    return { name, dimensions: whole.toReversed(), type: 0, data: new Uint8Array(values.buffer) };
  });
  return [stacks, others];
}

/** Queries, keys and values of each layer in one tensor. */
function fuse(tensors: readonly TensorToLayOut[]): TensorToLayOut[] {
  return tensors.flatMap((tensor) => {
    if (/attn_[kv]\./.test(tensor.name)) return [];
    if (!tensor.name.includes('attn_q.')) return [tensor];
    const parts = ['q', 'k', 'v'].map((kind) => {
      return tensors.find(({ name }) => name === tensor.name.replace('attn_q', `attn_${kind}`))!;
    });
    const rows = parts.reduce((sum, { dimensions }) => sum + Number(dimensions.at(-1)), 0);
    return [
      {
        ...tensor,
        name: tensor.name.replace('attn_q', 'attn_qkv'),
        dimensions: [...tensor.dimensions.slice(0, -1), rows],
        data: new Uint8Array(Buffer.concat(parts.map(({ data }) => data!))),
      },
    ];
  });
}

/** The tensors of a folder: experts that lie in one tensor put together, [in, out] where the family has them so. */
function inFolder(tensors: readonly Tensor[], parameters: readonly ParameterShape[]): Tensor[] {
  const whole = new Map<string, Tensor>();
  for (const [index, { name, shape, values }] of tensors.entries()) {
    const { within, transposed } = parameters[index]!;
    const [rows, columns] = shape as [number, number];
    const turned = values.map((_, at) => values[(at % rows) * columns + Math.floor(at / rows)]!);
    const own = { shape: transposed ? [columns, rows] : shape, values: transposed ? turned : values };
    const before = within && whole.get(within.tensor);
    if (!within) whole.set(name, { name, ...own });
    else {
      const all = Float32Array.from([...(before?.values ?? []), ...own.values]);
      whole.set(within.tensor, { name: within.tensor, shape: [within.count, ...own.shape], values: all });
    }
  }
  return [...whole.values()];
}

async function writeBoth(index: number, { architecture, config: given, keys = {}, tensors: more = [], fused }: Case) {
  const config = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const folder = join(directory, `${index}`);
  mkdirSync(folder);
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  const decoder = readConfiguration(config, folder);
  const parameters = parameterShapes(decoder);
  const tensors: Tensor[] = parameters.map(({ name, shape }) => ({
    name,
    shape,
    values: valuesOf(
      name,
      shape.reduce((product, size) => product * size, 1),
    ),
  }));
  await writeSafetensors(
    join(folder, 'model.safetensors'),
    inFolder(tensors, parameters).map(({ name, shape, values }) => {
      return { name, shape, dtype: 'F32', data: () => [new Uint8Array(values.buffer)] };
    }),
  );
  const isPermuted = ['llama', 'smollm3', 'olmo', 'granite', 'arcee', 'granitemoe', 'mistral3'].includes(architecture);
  const [stacks, others] = convertExperts(tensors);
  const converted = others.map(({ name, shape, values }): TensorToLayOut => {
    const [, module = '', suffix = ''] = /^(.*)\.(weight|bias)$/.exec(name.replace(/sinks$/, 'sinks.weight'))!;
    const layer = /\.(\d+)\./.exec(module)?.[1];
    const general = module.replace(/\.\d+\./, '.N.');
    const own = names[architecture]?.[general] ?? names.llama![general];
    const heads = /q_proj/.test(name)
      ? config.num_attention_heads
      : /k_proj/.test(name)
        ? config.num_key_value_heads
        : 0;
    let data = values;
    if (isPermuted && heads) data = interleaved(values, shape[0]!, heads as number);
    if (/^gemma/.test(architecture) && name.endsWith('norm.weight')) data = values.map((value) => value + 1);
    return {
      name: `${(own ?? module).replace('N', layer ?? '')}.${suffix}`,
      // The converter takes sides of 1 away.
      dimensions: shape.filter((side) => side !== 1).toReversed(),
      type: 0,
      data: new Uint8Array(data.buffer),
    };
  });
  const file = join(directory, `${index}.gguf`);
  const own = Object.entries(keys).map(([key, value]): [string, Value] => [`${architecture}.${key}`, value]);
  writeFileSync(
    file,
    layOutGguf({
      keys: [...new Map([...keysOf(architecture, config), ...own])],
      tensors: [...(fused ? fuse(converted) : converted), ...stacks, ...more],
    }),
  );
  return { folder, file };
}

test('every architecture has a case', () => {
  const all = [...cases, ...converted].map(({ architecture }) => architecture);
  expect(new Set(all)).toEqual(new Set(Object.keys(architectures)));
});

describe('a GGUF file is the model that it was made from', () => {
  const made = cases.map((each, index) => ({ ...each, index, type: each.config.model_type as string }));
  test.each(made.filter(({ unmade }) => !unmade))('$architecture ($type)', async ({ index, ...given }) => {
    const { folder, file } = await writeBoth(index, given);
    const ids = Array.from({ length: 24 }, () => random(48));
    const [expected, model] = [await loadModel(gpu, folder), await loadModel(gpu, file)];
    try {
      expect(model.decoder.architecture).toBe(given.config.model_type);
      const [right, logits] = [await sequenceLogits(expected, ids), await sequenceLogits(model, ids)];
      const size = Math.max(...right.map((row) => Math.max(...row.map(Math.abs))));
      expect(size).toBeGreaterThan(0.01);
      for (const [row, values] of right.entries()) {
        const worst = Math.max(...values.map((value, id) => Math.abs(value - logits[row]![id]!)));
        // Only the divisors of Llama 3's rule are rounded on the way, and are found again.
        expect(worst).toBeLessThanOrEqual(1e-6 * size);
      }
    } finally {
      expected.destroy();
      model.destroy();
    }
  });
});

/** Qwen 2 has sections of its own whatever its tokenizer.json says. */
function sectionsOf(type: unknown) {
  const { normalizer, preTokenizer } = wordSplittings.qwen2!;
  return type === 'qwen2' ? { normalizer, pre_tokenizer: preTokenizer } : {};
}

describe('a file of our own writing is the model that it was made from', () => {
  test.each(cases.map((each, index) => ({ ...each, index: 200 + index, type: each.config.model_type as string })))(
    '$architecture ($type, case $index)',
    async ({ index, ...given }) => {
      const { folder } = await writeBoth(index, given);
      writeLetters(folder, sectionsOf(given.config.model_type));
      const out = join(directory, `${index}-written.gguf`);
      const writing = quantizeModel({ model: folder, out, format: 'gguf', storage: 'f32' });
      if (given.unwritten) {
        await expectFailure(writing, 'unsupported', given.unwritten);
        return;
      }
      await writing;
      const ids = Array.from({ length: 24 }, () => random(48));
      const [expected, model] = [await loadModel(gpu, folder), await loadModel(gpu, out)];
      try {
        const [right, logits] = [await sequenceLogits(expected, ids), await sequenceLogits(model, ids)];
        const size = Math.max(...right.map((row) => Math.max(...row.map(Math.abs))));
        for (const [row, values] of right.entries()) {
          const worst = Math.max(...values.map((value, id) => Math.abs(value - logits[row]![id]!)));
          expect(worst).toBeLessThanOrEqual(1e-6 * size);
        }
      } finally {
        expected.destroy();
        model.destroy();
      }
    },
  );
});

test('a tensor that the architecture does not have is refused by its name', async () => {
  const extra = { name: 'blk.0.attn_sinks.weight', dimensions: [4], type: 0, data: new Uint8Array(16) };
  const { file } = await writeBoth(100, { ...cases[0]!, tensors: [extra] });
  await expectFailure(loadModel(gpu, file), 'invalid_data', 'blk.0.attn_sinks.weight');
});
