/**
 * The architectures of GGUF files whose layers have experts. A file does not say whether the scores of a token's
 * experts are divided by their sum: that belongs to the architecture, as in llama.cpp.
 *
 * @module
 */

import {
  type Architecture,
  attention,
  biases,
  type Config,
  graniteFactors,
  headNorms,
  llamaLayer,
  normsBefore,
  noWindow,
  u32,
  windowOf,
  windowsByPattern,
  withoutMamba,
} from './architecture.ts';
import type { Keys } from './keys.ts';
import type { Rearranged } from './rearranged.ts';
import { readRope } from './rope.ts';

/** Experts of a layer; 0 where it has none. */
export function expertCount(keys: Keys): number {
  return keys.whole('expert_count', 0);
}

/** What `expert_gating_func` means: scores of all experts, of each by itself, and of the chosen ones alone. */
const [ofAll, ofEach, ofChosen] = [1, 2, 3];

/**
 * Experts of a token, once it is known that they are chosen and weighted as the architecture does it.
 * @param normalised whether their scores are divided by their sum
 * @param score what the scores are
 * @param scaled whether they may have a factor, which is read elsewhere
 */
export function chosenExperts(
  keys: Keys,
  normalised: boolean,
  score: 'softmax' | 'sigmoid' = 'softmax',
  scaled = false,
): number {
  const usual = score === 'softmax' ? ofAll : ofEach;
  const scores = keys.whole('expert_gating_func', 0) || usual;
  if (scores !== usual && !(scores === ofChosen && normalised && score === 'softmax')) {
    throw keys.error('unsupported', 'expert_gating_func', `is ${scores}; supported is ${usual}, ${score}`);
  }
  const sum = keys.raw('expert_weights_norm') ?? normalised;
  if (sum !== normalised) {
    throw keys.error(
      'unsupported',
      'expert_weights_norm',
      `is ${String(sum)}; it is ${normalised} in this architecture`,
    );
  }
  const scale = keys.real('expert_weights_scale', 1);
  if (scale !== 1 && scale !== 0 && !scaled)
    throw keys.error('unsupported', 'expert_weights_scale', `is ${scale}; supported is 1`);
  return keys.whole('expert_used_count');
}

/** Experts under the keys of most families, with scores whose sum is 1. */
export function localExperts(keys: Keys): Record<string, unknown> {
  return { num_local_experts: keys.whole('expert_count'), num_experts_per_tok: chosenExperts(keys, true) };
}

/** Experts under the keys of Qwen's families. */
function numberedExperts(keys: Keys, normalised: boolean): Record<string, unknown> {
  return {
    num_experts: keys.whole('expert_count'),
    num_experts_per_tok: chosenExperts(keys, normalised),
    norm_topk_prob: normalised,
  };
}

/** Elements inside of an expert. */
function innerOfQwen(keys: Keys): number {
  const usual = Math.floor(keys.whole('feed_forward_length') / Math.max(1, keys.whole('expert_used_count')));
  return keys.whole('expert_feed_forward_length', usual);
}

const everyLayer = { decoder_sparse_step: 1, mlp_only_layers: [] };

const { attn_norm, ffn_norm } = llamaLayer;

/** A layer without a feed-forward layer, but for the norm before it. */
const sparseLayer = { ...attention, attn_norm, ffn_norm };

export const qwenExperts = {
  gate: 'mlp.experts.*.gate_proj',
  up: 'mlp.experts.*.up_proj',
  down: 'mlp.experts.*.down_proj',
};

export const mixtralExperts = {
  gate: 'block_sparse_moe.experts.*.w1',
  up: 'block_sparse_moe.experts.*.w3',
  down: 'block_sparse_moe.experts.*.w2',
};

/** Factors of cosines and sines in the published models, of which a file has another one, by Phi-3's formula. */
const phimoeFactors = { short_mscale: 1.243163121016122, long_mscale: 1.243163121016122 };

/** The experts of a Qwen and the one for all tokens, but for the matrices of each. */
export const sharedExpertLayers = {
  ffn_gate_inp: 'mlp.gate',
  ffn_gate_inp_shexp: 'mlp.shared_expert_gate',
  ffn_gate_shexp: 'mlp.shared_expert.gate_proj',
  ffn_up_shexp: 'mlp.shared_expert.up_proj',
  ffn_down_shexp: 'mlp.shared_expert.down_proj',
};

const sharedOf = (keys: Keys): number => keys.whole('expert_shared_feed_forward_length', 0);

/** Gate and up of the feed-forward layer for all tokens, which Granite has in one matrix. */
function packedShared(inner: number): Rearranged {
  return {
    parameter: 'shared_mlp.input_linear.weight',
    tensors: ['ffn_gate_shexp.weight', 'ffn_up_shexp.weight'],
    along: 'rows',
    runs: [
      { from: 0, count: inner },
      { from: 0, count: inner, which: 1 },
    ],
  };
}

export const mixtures: Readonly<Record<string, Architecture>> = {
  qwen2moe: {
    type: () => 'qwen2_moe',
    className: { qwen2_moe: 'Qwen2MoeForCausalLM' },
    layer: {
      ...sparseLayer,
      ...sharedExpertLayers,
    },
    experts: qwenExperts,
    own: (keys, tensors) => ({
      ...noWindow(keys),
      ...numberedExperts(keys, false),
      ...everyLayer,
      moe_intermediate_size: innerOfQwen(keys),
      shared_expert_intermediate_size: keys.whole(
        'expert_shared_feed_forward_length',
        keys.whole('feed_forward_length'),
      ),
      qkv_bias: tensors.has('blk.0.attn_q.bias'),
      use_sliding_window: false,
    }),
  },
  qwen3moe: {
    type: () => 'qwen3_moe',
    className: { qwen3_moe: 'Qwen3MoeForCausalLM' },
    layer: { ...sparseLayer, ...headNorms, ffn_gate_inp: 'mlp.gate' },
    experts: qwenExperts,
    own: (keys, tensors) => ({
      ...noWindow(keys),
      ...numberedExperts(keys, true),
      ...everyLayer,
      moe_intermediate_size: innerOfQwen(keys),
      attention_bias: tensors.has('blk.0.attn_q.bias'),
      use_sliding_window: false,
    }),
  },
  olmoe: {
    type: () => 'olmoe',
    className: { olmoe: 'OlmoeForCausalLM' },
    layer: { ...sparseLayer, ...headNorms, ffn_gate_inp: 'mlp.gate' },
    experts: qwenExperts,
    own: (keys, tensors) => ({
      ...noWindow(keys),
      ...numberedExperts(keys, false),
      ...biases(tensors),
    }),
  },
  granitemoe: {
    type: (keys) => (sharedOf(keys) > 0 ? 'granitemoeshared' : 'granitemoe'),
    className: { granitemoe: 'GraniteMoeForCausalLM', granitemoeshared: 'GraniteMoeSharedForCausalLM' },
    permuted: true,
    layer: {
      ...sparseLayer,
      ffn_gate_inp: 'block_sparse_moe.router.layer',
      ffn_down_shexp: 'shared_mlp.output_linear',
    },
    rearranged: ({ shared_intermediate_size: inner }) => (inner ? [packedShared(inner as number)] : []),
    experts: {
      packed: 'block_sparse_moe.input_linear.weight',
      down: 'block_sparse_moe.output_linear.weight',
      interleaved: false,
    },
    own: (keys, tensors) => {
      withoutMamba(keys);
      return {
        ...noWindow(keys),
        ...localExperts(keys),
        ...biases(tensors),
        ...graniteFactors(keys),
        ...(sharedOf(keys) > 0 ? { shared_intermediate_size: sharedOf(keys) } : {}),
      };
    },
    written: ({ shared_intermediate_size: inner }) => ({
      expert_shared_feed_forward_length: inner ? u32(inner) : undefined,
    }),
  },
  phimoe: {
    type: () => 'phimoe',
    className: { phimoe: 'PhimoeForCausalLM' },
    layer: { ...sparseLayer, ffn_gate_inp: 'block_sparse_moe.gate' },
    experts: mixtralExperts,
    rope: async (keys, read) => {
      const width = keys.whole('embedding_length') / keys.whole('attention.head_count');
      const rope = await readRope(keys, { width, context: keys.whole('context_length') }, read);
      const { attention_factor: _, ...scaling } = (rope.rope_scaling ?? {}) as Config;
      return scaling.rope_type === 'longrope' ? { ...rope, rope_scaling: { ...scaling, ...phimoeFactors } } : rope;
    },
    own: (keys, tensors) => ({
      ...localExperts(keys),
      attention_bias: tensors.has('blk.0.attn_q.bias'),
      lm_head_bias: tensors.has('output.bias'),
      sliding_window: windowOf(keys) > 0 ? windowOf(keys) : null,
    }),
    written: ({ sliding_window: window }) => ({
      'attention.sliding_window': typeof window === 'number' ? u32(window) : undefined,
    }),
  },
  'gpt-oss': {
    type: () => 'gpt_oss',
    className: { gpt_oss: 'GptOssForCausalLM' },
    layer: {
      ...attention,
      attn_norm: normsBefore.attn_norm,
      post_attention_norm: 'post_attention_layernorm',
      ffn_gate_inp: 'mlp.router',
    },
    unsuffixed: { 'attn_sinks.weight': 'self_attn.sinks' },
    experts: {
      packed: 'mlp.experts.gate_up_proj',
      down: 'mlp.experts.down_proj',
      interleaved: true,
      biases: { packed: 'mlp.experts.gate_up_proj_bias', down: 'mlp.experts.down_proj_bias' },
    },
    // The published models have it; llama.cpp rounds the bounds of its ramp in spite of it.
    yarn: { truncate: false },
    own: (keys, tensors) => ({
      ...localExperts(keys),
      intermediate_size: keys.whole('expert_feed_forward_length', keys.whole('feed_forward_length')),
      attention_bias: tensors.has('blk.0.attn_q.bias'),
      // Layers 0, 2, … have the window.
      ...windowsByPattern(keys, 2),
    }),
  },
};
