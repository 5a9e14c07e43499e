/**
 * Small models of any shape with random weights, written as a model directory.
 *
 * @module
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfiguration } from '../../../src/model/configuration.ts';
import type { Matrix } from '../../../src/model/decoder.ts';
import { fixedParameters, parameterShapes } from '../../../src/model/parameters.ts';
import { f32ToBytes, writeSafetensors } from '../../../src/safetensors/index.ts';
import type { Random } from '../random.ts';

export interface RandomModel {
  directory: string;
  /** What config.json says, for failures. */
  config: Record<string, unknown>;
  /** All weights in float64, exactly as stored. */
  parameters: Map<string, Float64Array>;
  /** Names of those that can train. */
  trainable: string[];
  remove(): Promise<void>;
}

/** Fields of a model with a recurrent layer and one with attention, in either order. */
export function recurrentOverrides(random: Random): Record<string, unknown> {
  const attention = random.integer(0, 1);
  const both = { num_hidden_layers: 2, head_dim: 4 * random.integer(1, 3) };
  if (random.uniform() < 0.5) {
    return {
      ...{ model_type: 'lfm2', ...both, full_attn_idxs: [attention], block_auto_adjust_ff_dim: false },
      ...{
        hidden_size: 4 * random.integer(2, 9),
        conv_L_cache: random.integer(1, 4),
        conv_bias: random.uniform() < 0.5,
      },
    };
  }
  const keyHeads = random.integer(1, 2);
  const kinds = ['linear_attention', 'full_attention'];
  const inner = random.integer(3, 17);
  const experts = { moe_intermediate_size: inner, shared_expert_intermediate_size: inner, num_experts: 3 };
  const types = [
    { model_type: 'qwen3_5_text' },
    { model_type: 'olmo_hybrid', partial_rotary_factor: null },
    { model_type: 'qwen3_next', ...experts, num_experts_per_tok: 2, mlp_only_layers: [random.integer(0, 1)] },
  ];
  return {
    ...{ partial_rotary_factor: 0.5, ...random.pick(types), ...both },
    ...{ layer_types: attention === 1 ? kinds : kinds.reverse() },
    ...{ linear_conv_kernel_dim: random.integer(2, 4), rms_norm_eps: 1e-3 },
    ...{ linear_num_key_heads: keyHeads, linear_num_value_heads: keyHeads * random.integer(1, 3) },
    ...{ linear_key_head_dim: 4 * random.integer(1, 2), linear_value_head_dim: 4 * random.integer(1, 3) },
  };
}

/**
 * Most that a loss may be off, as a share of itself and 1. The delta rule's results are made of one size by a norm:
 * where a query is at a right angle to all keys they are small, and the norm makes rounding errors large, the more so
 * the smaller its epsilon is: by up to 1/√epsilon, that is 30 times with the 10⁻³ of Qwen here and 300 times with the
 * 10⁻⁵ that OLMo Hybrid has whatever a file says. It is this norm alone: of 1,080 losses of such models the worst was
 * off by 2·10⁻⁶, and with an epsilon of 0.1 by 2·10⁻⁷. The tolerance is that of the worst case.
 */
export function lossTolerance({ model_type: type }: Record<string, unknown>): number {
  if (type === 'olmo_hybrid') return 1e-4;
  return type === 'qwen3_5_text' || type === 'qwen3_next' ? 4e-5 : 5e-6;
}

/** @param overrides fields of config.json that are not left to chance */
export async function writeRandomModel(random: Random, overrides: Record<string, unknown> = {}): Promise<RandomModel> {
  const keyHeads = random.integer(1, 2);
  // Half of the models have widths that are multiples of 4, as kernels read them; the others are stored with pads.
  const unit = random.uniform() < 0.5 ? 4 : 1;
  const width = (low: number, high: number) => unit * random.integer((4 / unit) * low, (4 / unit) * high);
  const config: Record<string, unknown> = {
    model_type: 'llama',
    vocab_size: random.integer(7, 90),
    hidden_size: width(2, 11),
    intermediate_size: width(1, 15),
    num_hidden_layers: random.integer(1, 2),
    num_attention_heads: keyHeads * random.integer(1, 3),
    num_key_value_heads: keyHeads,
    head_dim: unit === 4 ? 4 * random.integer(1, 3) : 2 * random.integer(1, 7),
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: random.uniform() < 0.5,
  };
  const biased = random.uniform() < 0.5;
  // Biases of all linear layers are a Llama's.
  const ofLlama = { attention_bias: biased, mlp_bias: biased };
  const { model_type: type = 'llama' } = overrides;
  Object.assign(config, type === 'llama' ? ofLlama : {}, overrides);
  // Keys of another name, and those that other architectures do not have.
  if (type === 'lfm2') {
    config.norm_eps = config.rms_norm_eps;
    delete config.rms_norm_eps;
  }
  inKeysOf(config);
  const configuration = await readConfiguration(config, 'config.json');
  const directory = await mkdtemp(join(tmpdir(), 'subzero-random-model-'));
  const parameters = new Map<string, Float64Array>();
  const tensors = parameterShapes(configuration).map(({ name, shape, transposed, within }) => {
    const count = shape.reduce((product, size) => product * size, 1);
    // Gains near 1, biases small, matrices that keep the size of their input.
    const values =
      shape.length === 2
        ? random.normals(count, 1 / Math.sqrt(shape[1]!))
        : random.normals(count, 0.2, /bias$|A_log$|sinks$/.test(name) ? 0 : 1);
    parameters.set(name, Float64Array.from(values));
    const [rows, columns] = shape as [number, number];
    const stored = transposed
      ? values.map((_, index) => values[(index % rows) * columns + Math.floor(index / rows)]!)
      : values;
    const storedShape = transposed ? shape.toReversed() : shape;
    const bytes = f32ToBytes('F32', stored);
    return { name, within, dtype: 'F32' as const, shape: storedShape, data: () => [bytes] };
  });
  await writeFile(join(directory, 'config.json'), JSON.stringify(config));
  await writeSafetensors(join(directory, 'model.safetensors'), joined(tensors));
  const fixed = fixedParameters(configuration);
  const trainable = [...parameters.keys()].filter((name) => !fixed.has(name));
  return { directory, config, parameters, trainable, remove: () => rm(directory, { recursive: true, force: true }) };
}

/** Tensors with those that hold several matrices in one piece. */
function joined<T extends { name: string; within: Matrix['within']; shape: number[]; data: () => Uint8Array[] }>(
  tensors: readonly T[],
): T[] {
  return tensors.flatMap((tensor) => {
    const { within } = tensor;
    if (!within) return [tensor];
    const members = tensors.filter((other) => other.within?.tensor === within.tensor);
    if (members[0] !== tensor) return [];
    const shape = [members.length, ...tensor.shape];
    return [{ ...tensor, name: within.tensor, shape, data: () => members.flatMap(({ data }) => data()) }];
  });
}

/** Says sizes of heads and layers as families do that have no `head_dim`, or other names for all of them. */
function inKeysOf(config: Record<string, unknown>): void {
  const { model_type: type, num_attention_heads: heads, head_dim: headWidth } = config;
  const types = ['phi3', 'gpt2', 'gpt_neox', 'phi', 'roberta', 'xlm-roberta', 'bert', 'bloom', 'mpt'];
  if (!types.includes(String(type))) return;
  const take = (name: string): unknown => {
    const value = config[name];
    delete config[name];
    return value;
  };
  config.hidden_size = (heads as number) * (headWidth as number);
  take('head_dim');
  if (type === 'phi3') return;
  take('rms_norm_eps');
  if (type !== 'phi') take('num_key_value_heads');
  for (const [name, own] of Object.entries(ownNames[String(type)] ?? {})) {
    const value = take(name);
    if (own) config[own] = value;
  }
}

/** The names of sizes where they are not the usual ones; none where the family does not choose them. */
const ownNames: Readonly<Record<string, Readonly<Record<string, string | undefined>>>> = {
  gpt2: {
    hidden_size: 'n_embd',
    intermediate_size: 'n_inner',
    num_hidden_layers: 'n_layer',
    num_attention_heads: 'n_head',
    max_position_embeddings: 'n_positions',
  },
  bloom: { intermediate_size: undefined, max_position_embeddings: 'seq_length' },
  mpt: {
    hidden_size: 'd_model',
    intermediate_size: undefined,
    num_hidden_layers: 'n_layers',
    num_attention_heads: 'n_heads',
    max_position_embeddings: 'max_seq_len',
  },
};

/** Models with packed projections, transposed matrices, learned positions, ALiBi or parallel sublayers. */
export function otherBones(random: Random): Record<string, unknown> {
  return random.pick([
    { model_type: 'phi3', sliding_window: random.integer(2, 40) },
    { model_type: 'gpt2' },
    { model_type: 'bloom' },
    { model_type: 'apertus', rope_parameters: { rope_type: 'default', rope_theta: 10_000 } },
    { model_type: 'mpt', attn_config: { softmax_scale: random.pick([null, 0.3]) } },
    { model_type: 'gpt_neox', head_dim: 4 * random.integer(1, 3), rotary_pct: 0.5 },
    { model_type: 'gpt_neox', head_dim: 4 * random.integer(1, 3), rotary_pct: 1, use_parallel_residual: false },
    { model_type: 'phi', head_dim: 4 * random.integer(1, 3), qk_layernorm: random.uniform() < 0.5 },
  ]);
}

/** Models with experts, some of which no token may go to. */
export function expertBones(random: Random): Record<string, unknown> {
  const experts = random.integer(2, 6);
  const chosen = random.integer(1, experts);
  const headWidth = 4 * random.integer(1, 3);
  return random.pick([
    {
      ...{ model_type: 'qwen3_moe', num_experts: experts, num_experts_per_tok: chosen, head_dim: headWidth },
      ...{ moe_intermediate_size: random.integer(3, 17), norm_topk_prob: random.uniform() < 0.5 },
    },
    { model_type: 'mixtral', num_local_experts: experts, num_experts_per_tok: chosen, head_dim: headWidth },
    { model_type: 'olmoe', num_experts: experts, num_experts_per_tok: chosen, head_dim: headWidth },
    {
      ...{ model_type: 'qwen2_moe', num_experts: experts, num_experts_per_tok: chosen, head_dim: headWidth },
      ...{ moe_intermediate_size: random.integer(3, 17), shared_expert_intermediate_size: random.integer(3, 17) },
    },
    {
      ...{ model_type: 'gpt_oss', num_local_experts: experts, num_experts_per_tok: chosen, head_dim: headWidth },
      ...{ rope_parameters: { rope_type: 'default', rope_theta: 10_000 }, sliding_window: random.integer(2, 9) },
      swiglu_limit: random.pick([0.5, 7]),
    },
    {
      ...{ model_type: random.pick(['granitemoe', 'granitemoeshared']), num_local_experts: experts },
      ...{ num_experts_per_tok: chosen, head_dim: headWidth },
    },
    {
      ...{ model_type: 'granitemoehybrid', num_local_experts: random.pick([0, experts]), num_experts_per_tok: chosen },
      ...{ head_dim: headWidth, num_hidden_layers: 2, layer_types: ['attention', 'attention'] },
      shared_intermediate_size: random.integer(3, 17),
    },
    {
      ...{ model_type: 'ernie4_5_moe', moe_num_experts: experts, moe_k: chosen, head_dim: headWidth },
      ...{ moe_intermediate_size: random.integer(3, 17), moe_norm_min: random.pick([1e-12, 0.5]) },
      ...{ moe_layer_start_index: 0, use_bias: random.uniform() < 0.5 },
    },
    {
      ...{ model_type: 'glm4_moe', n_routed_experts: experts, num_experts_per_tok: chosen, head_dim: headWidth },
      ...{ moe_intermediate_size: random.integer(3, 17), partial_rotary_factor: 1, routed_scaling_factor: 1.5 },
      ...{ first_k_dense_replace: 0, use_qk_norm: random.uniform() < 0.5, norm_topk_prob: random.uniform() < 0.5 },
    },
    {
      ...{ model_type: 'hunyuan_v1_moe', num_experts: experts, head_dim: headWidth },
      moe_topk: random.pick([chosen, [chosen, 1], 1]),
      num_hidden_layers: 2,
    },
    {
      ...{ model_type: 'phimoe', num_local_experts: random.integer(2, 6), head_dim: headWidth },
      router_jitter_noise: random.pick([0, 0.3]),
    },
  ]);
}

/** Gemma 4: heads by kind of layer, last layers with the keys and values of earlier ones, inputs of layers, experts. */
export function gemma4Bones(random: Random, withExperts = random.uniform() < 0.5): Record<string, unknown> {
  const [sliding, full] = ['sliding_attention', 'full_attention'];
  const shared = random.integer(0, 2);
  const types = [
    [sliding, full],
    [full, sliding, full],
    [sliding, full, sliding, full],
  ][shared]!;
  const least = withExperts ? 0 : 1;
  const inputs = { hidden_size_per_layer_input: random.integer(least, 9), vocab_size_per_layer_input: 90 };
  const experts = random.integer(2, 6);
  const ofExperts = { num_experts: experts, top_k_experts: random.integer(1, experts) };
  return {
    ...(withExperts || random.uniform() < 0.7
      ? { model_type: 'gemma4_text', ...inputs }
      : { model_type: 'gemma4_unified_text' }),
    ...(withExperts ? { enable_moe_block: true, ...ofExperts, moe_intermediate_size: random.integer(3, 17) } : {}),
    ...{ num_hidden_layers: types.length, layer_types: types, num_kv_shared_layers: shared },
    ...{ use_double_wide_mlp: random.uniform() < 0.5, sliding_window: random.integer(1, 9) },
    ...{ global_head_dim: 2 * random.integer(1, 8), hidden_activation: 'silu', final_logit_softcapping: 4 },
    ...{ attention_k_eq_v: random.uniform() < 0.5, num_global_key_value_heads: random.pick([null, 1]) },
    // Values and what sublayers give are normed, so that small ones would show what rounding left of them.
    rms_norm_eps: 1e-2,
    rope_parameters: {
      sliding_attention: { rope_type: 'default', rope_theta: 20 },
      full_attention: { rope_type: 'default', rope_theta: 900 },
    },
  };
}

/** Masked language models. */
export function maskedBones(random: Random): Record<string, unknown> {
  return { model_type: random.pick(['roberta', 'xlm-roberta', 'bert']), type_vocab_size: random.integer(1, 3) };
}
