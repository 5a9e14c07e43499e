/**
 * The architectures of GGUF files whose first layers may have no experts, and whose others have one for all tokens.
 *
 * @module
 */

import {
  type Architecture,
  attention,
  biases,
  f32,
  headNorms,
  llamaLayer,
  noWindow,
  type TensorNames,
  turnedShare,
  turnedShareKeys,
  u32,
  type WrittenKeys,
} from './architecture.ts';
import type { Keys } from './keys.ts';
import { chosenExperts, qwenExperts } from './mixtures.ts';

const sharedLayers = {
  ffn_gate_shexp: 'mlp.shared_experts.gate_proj',
  ffn_up_shexp: 'mlp.shared_experts.up_proj',
  ffn_down_shexp: 'mlp.shared_experts.down_proj',
};

/** What experts as DeepSeek-V3 has them are. @param normalised where the file does not say it */
function deepseekConfig(keys: Keys, normalised: boolean): Record<string, unknown> {
  for (const key of ['expert_group_count', 'expert_group_used_count']) {
    const groups = keys.whole(key, 1);
    if (groups > 1) throw keys.error('unsupported', key, `is ${groups}; experts chosen by groups are not read`);
  }
  const norm =
    keys.raw('expert_weights_norm') === true || (keys.raw('expert_weights_norm') === undefined && normalised);
  return {
    n_routed_experts: keys.whole('expert_count'),
    n_shared_experts: keys.whole('expert_shared_count'),
    num_experts_per_tok: chosenExperts(keys, norm, 'sigmoid', true),
    moe_intermediate_size: keys.whole('expert_feed_forward_length'),
    first_k_dense_replace: keys.whole('leading_dense_block_count', 0),
    routed_scaling_factor: keys.real('expert_weights_scale', 1),
    norm_topk_prob: norm,
  };
}

function deepseekKeys(config: Record<string, unknown>, usual: Record<string, unknown>): WrittenKeys {
  const own = { ...usual, ...config };
  return {
    expert_feed_forward_length: u32(own.moe_intermediate_size),
    expert_shared_count: u32(own.n_shared_experts),
    expert_shared_feed_forward_length: undefined,
    leading_dense_block_count: u32(own.first_k_dense_replace),
    expert_gating_func: u32(2),
    expert_weights_scale: f32(own.routed_scaling_factor ?? 1),
    expert_weights_norm: { kind: 'flag', value: own.norm_topk_prob as boolean },
    expert_group_count: u32(1),
    expert_group_used_count: u32(1),
    feed_forward_length: u32(own.intermediate_size),
  };
}

const glmUsual = {
  moe_intermediate_size: 1408,
  n_shared_experts: 1,
  first_k_dense_replace: 1,
  intermediate_size: 10_944,
};
const dotsUsual = {
  moe_intermediate_size: 1408,
  first_k_dense_replace: 0,
  norm_topk_prob: false,
  intermediate_size: 10_944,
};

export const sharedMixtures: Readonly<Record<string, Architecture>> = {
  glm4moe: {
    type: () => 'glm4_moe',
    className: { glm4_moe: 'Glm4MoeForCausalLM' },
    layer: {
      ...llamaLayer,
      ...headNorms,
      ...sharedLayers,
      ffn_norm: 'post_attention_layernorm',
      post_attention_norm: 'post_attention_layernorm',
      ffn_gate_inp: 'mlp.gate',
    },
    unsuffixed: { 'exp_probs_b.bias': 'mlp.gate.e_score_correction_bias' },
    experts: qwenExperts,
    own: (keys, tensors) => ({
      ...noWindow(keys),
      ...turnedShare(keys),
      ...deepseekConfig(keys, true),
      attention_bias: tensors.has('blk.0.attn_q.bias'),
      use_qk_norm: tensors.has('blk.0.attn_q_norm.weight'),
    }),
    written: (config, { headWidth }) => ({
      ...turnedShareKeys(config, headWidth, 0.5),
      ...deepseekKeys(config, { ...glmUsual, norm_topk_prob: true }),
    }),
  },
  dots1: {
    type: () => 'dots1',
    className: { dots1: 'Dots1ForCausalLM' },
    layer: { ...llamaLayer, ...headNorms, ...sharedLayers, ffn_gate_inp: 'mlp.gate' },
    unsuffixed: { 'exp_probs_b.bias': 'mlp.gate.e_score_correction_bias' },
    experts: qwenExperts,
    own: (keys, tensors) => ({
      ...noWindow(keys),
      ...biases(tensors),
      ...deepseekConfig(keys, false),
      sliding_window: null,
    }),
    written: (config) => deepseekKeys(config, dotsUsual),
  },
  'ernie4_5-moe': {
    type: () => 'ernie4_5_moe',
    className: { ernie4_5_moe: 'Ernie4_5_MoeForCausalLM' },
    layer: { ...llamaLayer, ...sharedLayers, ffn_gate_inp: 'mlp.gate' },
    unsuffixed: { 'exp_probs_b.bias': 'mlp.moe_statics.e_score_correction_bias' },
    experts: qwenExperts,
    own: (keys, tensors) => {
      // It follows from the number of heads in the converter, whatever the tensors' shapes are.
      keys.raw('expert_shared_feed_forward_length');
      return {
        ...noWindow(keys),
        use_bias: tensors.has('blk.0.attn_q.bias'),
        moe_num_experts: keys.whole('expert_count'),
        moe_k: chosenExperts(keys, true),
        moe_intermediate_size: keys.whole('expert_feed_forward_length'),
        moe_num_shared_experts: keys.whole('expert_shared_count', 0),
        moe_layer_start_index: keys.whole('leading_dense_block_count', 0),
        moe_layer_interval: keys.whole('interleave_moe_layer_step', 1),
      };
    },
    written: (config) => ({
      expert_feed_forward_length: u32(config.moe_intermediate_size ?? 1536),
      expert_shared_count: u32(config.moe_num_shared_experts ?? 2),
      leading_dense_block_count: u32(config.moe_layer_start_index ?? 1),
      interleave_moe_layer_step: u32(config.moe_layer_interval ?? 1),
      expert_shared_feed_forward_length: u32(
        ((config.moe_num_shared_experts ?? 2) as number) * ((config.moe_intermediate_size ?? 1536) as number),
      ),
      feed_forward_length: u32(config.intermediate_size ?? 12_288),
    }),
  },
  'hunyuan-moe': {
    type: () => 'hunyuan_v1_moe',
    className: { hunyuan_v1_moe: 'HunYuanMoEV1ForCausalLM' },
    layer: {
      ...attention,
      attn_norm: llamaLayer.attn_norm,
      ffn_norm: llamaLayer.ffn_norm,
      attn_q_norm: 'self_attn.query_layernorm',
      attn_k_norm: 'self_attn.key_layernorm',
      ffn_gate_inp: 'mlp.gate.wg',
      ffn_gate_shexp: 'mlp.shared_mlp.gate_proj',
      ffn_up_shexp: 'mlp.shared_mlp.up_proj',
      ffn_down_shexp: 'mlp.shared_mlp.down_proj',
    },
    experts: qwenExperts,
    own: (keys, tensors) => hunyuanMixture(keys, tensors),
    written: (_, { feedForward, experts }) => ({
      feed_forward_length: u32(feedForward),
      expert_feed_forward_length: u32(experts?.inner),
      expert_shared_count: u32(1),
    }),
  },
};

function hunyuanMixture(keys: Keys, tensors: TensorNames): Record<string, unknown> {
  const inner = keys.whole('feed_forward_length');
  for (const key of ['expert_feed_forward_length', 'expert_shared_feed_forward_length']) {
    const own = keys.whole(key, inner);
    if (own !== inner) throw keys.error('unsupported', key, `is ${own}; it is the width ${inner} in this architecture`);
  }
  const shared = keys.whole('expert_shared_count', 1);
  if (shared !== 1) throw keys.error('unsupported', 'expert_shared_count', `is ${shared}; supported is 1`);
  return {
    ...hunyuanContext(keys),
    ...biases(tensors),
    num_experts: keys.whole('expert_count'),
    moe_topk: chosenExperts(keys, true),
  };
}

/** A base of the angles that `alpha` has stretched is written as it is, with the context that it is for. */
export function hunyuanContext(keys: Keys): Record<string, unknown> {
  const original = keys.whole('rope.scaling.original_context_length', null);
  const context = keys.whole('context_length');
  if (original !== null && original !== context && keys.text('rope.scaling.type', 'none') === 'none') {
    throw keys.error(
      'unsupported',
      'rope.scaling.original_context_length',
      `is ${original}, and the context ${context}`,
    );
  }
  return noWindow(keys);
}
