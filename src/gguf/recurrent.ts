/**
 * The architectures of GGUF files with layers of the gated delta rule, or of short convolutions.
 *
 * @module
 */

import {
  type Architecture,
  attention,
  type Config,
  feedForward,
  headNorms,
  type TensorNames,
  u32,
  type WrittenKeys,
} from './architecture.ts';
import { type Keys, layersOf } from './keys.ts';
import { chosenExperts, qwenExperts, sharedExpertLayers } from './mixtures.ts';
import type { Rearranged, Run } from './rearranged.ts';

interface RuleHeads {
  keyHeads: number;
  heads: number;
  keyWidth: number;
  valueWidth: number;
}

function headsOf(config: Config): RuleHeads {
  return {
    keyHeads: config.linear_num_key_heads as number,
    heads: config.linear_num_value_heads as number,
    keyWidth: config.linear_key_head_dim as number,
    valueWidth: config.linear_value_head_dim as number,
  };
}

/**
 * Heads of values by the head of keys that they share, as transformers has them; a file has the first of every head of
 * keys, then the second.
 * @param unit elements of a head @param before elements in front of the first
 */
function byKeyHead({ heads, keyHeads }: RuleHeads, unit: number, before = 0): Run[] {
  const each = heads / keyHeads;
  return Array.from({ length: heads }, (_, head) => ({
    from: before + ((head % each) * keyHeads + Math.floor(head / each)) * unit,
    count: unit,
  }));
}

/** The order of the heads of values in all tensors of Qwen 3.5 that have them. */
function ruleOrder(config: Config): Rearranged[] {
  const heads = headsOf(config);
  const keys = 2 * heads.keyHeads * heads.keyWidth;
  const single = byKeyHead(heads, 1);
  const whole = byKeyHead(heads, heads.valueWidth);
  const mixed: Run[] = [{ from: 0, count: keys }, ...byKeyHead(heads, heads.valueWidth, keys)];
  const rows = (parameter: string, tensor: string, runs: Run[]): Rearranged => {
    return { parameter: `linear_attn.${parameter}`, tensors: [tensor], along: 'rows', runs };
  };
  return [
    rows('in_proj_qkv.weight', 'attn_qkv.weight', mixed),
    rows('in_proj_z.weight', 'attn_gate.weight', whole),
    rows('in_proj_b.weight', 'ssm_beta.weight', single),
    rows('in_proj_a.weight', 'ssm_alpha.weight', single),
    rows('conv1d.weight', 'ssm_conv1d.weight', mixed),
    rows('A_log', 'ssm_a', single),
    rows('dt_bias', 'ssm_dt.bias', single),
    { parameter: 'linear_attn.out_proj.weight', tensors: ['ssm_out.weight'], along: 'columns', runs: whole },
  ];
}

/** The packed projection of Qwen 3 Next, which has the parts of every head of keys together: two tensors in a file. */
function packedOrder(config: Config): Rearranged[] {
  const { keyHeads, heads, keyWidth, valueWidth } = headsOf(config);
  const values = (heads / keyHeads) * valueWidth;
  const runs = Array.from({ length: keyHeads }, (_, head): Run[] => [
    { from: head * keyWidth, count: keyWidth },
    { from: (keyHeads + head) * keyWidth, count: keyWidth },
    { from: 2 * keyHeads * keyWidth + head * values, count: values },
    { from: head * values, count: values, which: 1 },
  ]);
  const tensors = ['attn_qkv.weight', 'attn_gate.weight'] as const;
  return [{ parameter: 'linear_attn.in_proj_qkvz.weight', tensors, along: 'rows', runs: runs.flat() }];
}

/** The most heads of a layer that are read, since each has a run of its own; the published models have 64 at most. */
const mostHeads = 4096;

/** What the files of a Qwen say of its layers of the delta rule. */
function ruleConfig(keys: Keys, { has }: TensorNames): Record<string, unknown> {
  const layers = layersOf(keys);
  const interval = keys.whole('full_attention_interval', 4);
  const recurrent =
    keys.flags('attention.recurrent_layers', keys.whole('block_count')) ??
    Array.from({ length: layers }, (_, layer) => (layer + 1) % interval !== 0);
  const heads = keys.whole('ssm.time_step_rank');
  const inner = keys.whole('ssm.inner_size');
  if (heads > mostHeads) {
    throw keys.error('unsupported', 'ssm.time_step_rank', `is ${heads}; at most ${mostHeads} heads are read`);
  }
  if (heads === 0 || inner % heads !== 0) {
    throw keys.error('invalid_data', 'ssm.inner_size', `is ${inner}, which ${heads} heads do not share evenly`);
  }
  const keyHeads = keys.whole('ssm.group_count');
  if (keyHeads === 0 || heads % keyHeads !== 0) {
    throw keys.error('invalid_data', 'ssm.group_count', `is ${keyHeads}, which ${heads} heads do not share evenly`);
  }
  // Text has one position for all axes of the rotation.
  keys.raw('rope.dimension_sections');
  const width = keys.whole('attention.key_length');
  const first = recurrent.indexOf(false);
  return {
    layer_types: recurrent.slice(0, layers).map((is) => (is ? 'linear_attention' : 'full_attention')),
    linear_conv_kernel_dim: keys.whole('ssm.conv_kernel'),
    linear_key_head_dim: keys.whole('ssm.state_size'),
    linear_num_key_heads: keyHeads,
    linear_num_value_heads: heads,
    linear_value_head_dim: inner / heads,
    partial_rotary_factor: keys.whole('rope.dimension_count', width) / width,
    attention_bias: first >= 0 && has(`blk.${first}.attn_q.bias`),
  };
}

/** @param sectioned whether the rotation has axes */
function ruleKeys(config: Config, headWidth: number, sectioned: boolean): WrittenKeys {
  const heads = headsOf({
    ...{ linear_num_key_heads: 16, linear_num_value_heads: 32, linear_key_head_dim: 128, linear_value_head_dim: 128 },
    ...config,
  });
  const interval = (config.full_attention_interval as number | undefined) ?? 4;
  const types =
    (config.layer_types as string[] | undefined) ??
    Array.from({ length: config.num_hidden_layers as number }, (_, layer) =>
      (layer + 1) % interval === 0 ? 'full_attention' : 'linear_attention',
    );
  const rope = (config.rope_scaling ?? config.rope_parameters ?? {}) as Config;
  const share = (rope.partial_rotary_factor ?? config.partial_rotary_factor ?? 0.25) as number;
  const sections = (rope.mrope_section as number[] | undefined) ?? [11, 11, 10];
  const four = [0, 1, 2, 3].map((axis) => sections[axis] ?? 0);
  return {
    'ssm.conv_kernel': u32(config.linear_conv_kernel_dim ?? 4),
    'ssm.state_size': u32(heads.keyWidth),
    'ssm.group_count': u32(heads.keyHeads),
    'ssm.time_step_rank': u32(heads.heads),
    'ssm.inner_size': u32(heads.valueWidth * heads.heads),
    'attention.recurrent_layers': { kind: 'flags', value: types.map((type) => type === 'linear_attention') },
    full_attention_interval: u32(interval),
    'rope.dimension_count': u32(Math.floor(headWidth * share)),
    ...(sectioned ? { 'rope.dimension_sections': { kind: 'i32s', value: four } } : {}),
  };
}

const ruleLayer = {
  ...attention,
  ...headNorms,
  attn_norm: 'input_layernorm',
  post_attention_norm: 'post_attention_layernorm',
  ssm_conv1d: 'linear_attn.conv1d',
  ssm_norm: 'linear_attn.norm',
  ssm_out: 'linear_attn.out_proj',
};

const ruleNumbers = { ssm_a: 'linear_attn.A_log', 'ssm_dt.bias': 'linear_attn.dt_bias' };

const separateRule = {
  attn_qkv: 'linear_attn.in_proj_qkv',
  attn_gate: 'linear_attn.in_proj_z',
  ssm_beta: 'linear_attn.in_proj_b',
  ssm_alpha: 'linear_attn.in_proj_a',
};

/** Gains of all norms but that of what the delta rule gives. */
const ruleGains = /(?<!linear_attn\.)norm\.weight$/;

const sharedOfQwen = (keys: Keys): Record<string, unknown> => ({
  num_experts: keys.whole('expert_count'),
  num_experts_per_tok: chosenExperts(keys, true),
  moe_intermediate_size: keys.whole('expert_feed_forward_length'),
  shared_expert_intermediate_size: keys.whole('expert_shared_feed_forward_length'),
});

const convolutionLayer = {
  ...attention,
  attn_output: 'self_attn.out_proj',
  attn_q_norm: 'self_attn.q_layernorm',
  attn_k_norm: 'self_attn.k_layernorm',
  attn_norm: 'operator_norm',
  ffn_norm: 'ffn_norm',
  ffn_gate: 'feed_forward.w1',
  ffn_up: 'feed_forward.w3',
  ffn_down: 'feed_forward.w2',
  'shortconv.conv': 'conv.conv',
  'shortconv.in_proj': 'conv.in_proj',
  'shortconv.out_proj': 'conv.out_proj',
};

/** Heads of keys of the layers of attention; the others have none. */
function attentionHeads(keys: Keys): { keyHeads: number } {
  const counts = keys.wholes('attention.head_count_kv', keys.whole('block_count')).filter((count) => count > 0);
  if (new Set(counts).size <= 1) return { keyHeads: counts[0] ?? keys.whole('attention.head_count') };
  throw keys.error('unsupported', 'attention.head_count_kv', 'differs between layers of attention');
}

function convolutionConfig(keys: Keys, tensors: TensorNames): Record<string, unknown> {
  const counts = keys.wholes('attention.head_count_kv', keys.whole('block_count'));
  const first = counts.indexOf(0);
  return {
    layer_types: counts.map((count) => (count > 0 ? 'full_attention' : 'conv')),
    conv_L_cache: keys.whole('shortconv.l_cache'),
    conv_bias: tensors.has(`blk.${first}.shortconv.conv.bias`),
    norm_eps: keys.real('attention.layer_norm_rms_epsilon'),
    rms_norm_eps: undefined,
    hidden_act: undefined,
  };
}

function convolutionKeys(config: Config, sizes: { keyHeads: number; layers: number }): WrittenKeys {
  const indices = config.full_attn_idxs as number[] | undefined;
  const types =
    (config.layer_types as string[] | undefined) ??
    Array.from({ length: sizes.layers }, (_, layer) =>
      (indices?.includes(layer) ?? true) ? 'full_attention' : 'conv',
    );
  const heads = types.map((type) => (type === 'conv' ? 0 : sizes.keyHeads));
  return {
    'attention.head_count_kv': { kind: 'i32s', value: heads },
    'shortconv.l_cache': u32(config.conv_L_cache ?? 3),
    'rope.dimension_count': undefined,
  };
}

const convolutionOuter = { token_embd_norm: 'model.embedding_norm' };

export const recurrent: Readonly<Record<string, Architecture>> = {
  qwen35: {
    type: () => 'qwen3_5_text',
    className: { qwen3_5_text: 'Qwen3_5ForCausalLM' },
    gainsFromZero: ruleGains,
    layer: { ...ruleLayer, ...separateRule, ...feedForward },
    unsuffixed: ruleNumbers,
    rearranged: ruleOrder,
    own: ruleConfig,
    written: (config, { headWidth }) => ruleKeys(config, headWidth, true),
  },
  qwen35moe: {
    type: () => 'qwen3_5_moe_text',
    className: { qwen3_5_moe_text: 'Qwen3_5MoeForCausalLM' },
    gainsFromZero: ruleGains,
    layer: { ...ruleLayer, ...separateRule, ...sharedExpertLayers },
    unsuffixed: ruleNumbers,
    rearranged: ruleOrder,
    experts: { packed: 'mlp.experts.gate_up_proj', down: 'mlp.experts.down_proj', interleaved: false },
    sizes: (keys) => ({ inner: keys.whole('feed_forward_length', 0) }),
    own: (keys, tensors) => ({ ...ruleConfig(keys, tensors), ...sharedOfQwen(keys), intermediate_size: undefined }),
    written: (config, { headWidth, feedForward: inner }) => ({
      ...ruleKeys(config, headWidth, true),
      feed_forward_length: u32(config.intermediate_size ?? inner),
    }),
  },
  qwen3next: {
    type: () => 'qwen3_next',
    className: { qwen3_next: 'Qwen3NextForCausalLM' },
    gainsFromZero: ruleGains,
    layer: {
      ...ruleLayer,
      ...sharedExpertLayers,
      // Early files have both projections of a layer as transformers has them.
      ssm_in: 'linear_attn.in_proj_qkvz',
      ssm_ba: 'linear_attn.in_proj_ba',
    },
    unsuffixed: ruleNumbers,
    rearranged: packedOrder,
    experts: qwenExperts,
    sizes: (keys) => ({ inner: keys.whole('feed_forward_length', 0) }),
    own: (keys, tensors) => ({
      ...ruleConfig(keys, tensors),
      ...sharedOfQwen(keys),
      norm_topk_prob: true,
      decoder_sparse_step: 1,
      mlp_only_layers: [],
    }),
    written: (config, { headWidth }) => ({
      ...ruleKeys(config, headWidth, false),
      feed_forward_length: u32(config.intermediate_size ?? 5632),
    }),
  },
  lfm2: {
    type: () => 'lfm2',
    className: { lfm2: 'Lfm2ForCausalLM' },
    outer: convolutionOuter,
    layer: convolutionLayer,
    sizes: attentionHeads,
    own: (keys, tensors) => ({ ...convolutionConfig(keys, tensors), block_auto_adjust_ff_dim: false }),
    written: convolutionKeys,
  },
  lfm2moe: {
    type: () => 'lfm2_moe',
    className: { lfm2_moe: 'Lfm2MoeForCausalLM' },
    outer: convolutionOuter,
    layer: { ...convolutionLayer, ffn_gate_inp: 'feed_forward.gate' },
    unsuffixed: { 'exp_probs_b.bias': 'feed_forward.expert_bias' },
    experts: {
      gate: 'feed_forward.experts.*.w1',
      up: 'feed_forward.experts.*.w3',
      down: 'feed_forward.experts.*.w2',
    },
    sizes: attentionHeads,
    own: (keys, tensors) => {
      const dense = keys.whole('leading_dense_block_count', 0);
      return {
        ...convolutionConfig(keys, tensors),
        num_experts: keys.whole('expert_count'),
        num_experts_per_tok: chosenExperts(keys, true, 'sigmoid'),
        moe_intermediate_size: keys.whole('expert_feed_forward_length'),
        num_dense_layers: dense,
        norm_topk_prob: true,
        use_expert_bias: tensors.has(`blk.${dense}.exp_probs_b.bias`),
      };
    },
    written: (config, sizes) => ({
      ...convolutionKeys(config, sizes),
      expert_feed_forward_length: u32(config.moe_intermediate_size ?? 1792),
      leading_dense_block_count: u32(config.num_dense_layers ?? 2),
      expert_gating_func: u32(2),
      feed_forward_length: u32(config.intermediate_size ?? 7168),
    }),
  },
};
