/**
 * The architectures of GGUF files: which model type of transformers each is, where it keeps its tensors, and what its
 * keys are in config.json.
 *
 * @module
 */

import {
  type Architecture,
  attention,
  biases,
  type Config,
  everyNorm,
  f32,
  feedForward,
  graniteFactors,
  headNorms,
  llamaLayer,
  normsBefore,
  noWindow,
  turnedShare,
  turnedShareKeys,
  u32,
  windowOf,
  windowsByPattern,
  withoutMamba,
} from './architecture.ts';
import { gemma4 } from './gemma4.ts';
import { gptLike } from './gpt-like.ts';
import type { Keys } from './keys.ts';
import { layerNorms } from './layer-norms.ts';
import { expertCount, localExperts, mixtralExperts, mixtures } from './mixtures.ts';
import { recurrent } from './recurrent.ts';
import { readRope, ropeDivisors } from './rope.ts';
import { hunyuanContext, sharedMixtures } from './shared-mixtures.ts';

/** Tensors outside of the layers, without suffix. */
export const outerTensors: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
};

/** Architectures that cannot be read, with what is missing, where one would look for them. */
export const unsupported: Readonly<Record<string, string>> = {
  granitehybrid: 'its Mamba layers are not implemented',
  gptj: 'the format has names for it, but llama.cpp neither writes nor reads such files',
  bert: 'files of encoders have no head that says the words at masks',
  'modern-bert': 'files of encoders have no head that says the words at masks',
  eurobert: 'files of encoders have no head that says the words at masks',
};

const gemmaActivation = { hidden_act: 'gelu_pytorch_tanh', hidden_activation: 'gelu_pytorch_tanh' };

/**
 * The number whose root divides scores. A file does not have it: it is the width of a head but in the largest model of
 * a generation, which is known by its number of layers, as in llama.cpp.
 */
function gemmaScale(keys: Keys, layersOfLargest: number): Record<string, unknown> {
  const perHead = keys.whole('embedding_length') / keys.whole('attention.head_count');
  const isLargest = keys.whole('block_count') === layersOfLargest;
  return { query_pre_attn_scalar: isLargest ? perHead : keys.whole('attention.key_length', perHead) };
}

const gemmaLayer = {
  ...attention,
  ...feedForward,
  attn_norm: 'input_layernorm',
  post_attention_norm: 'post_attention_layernorm',
  ffn_norm: 'pre_feedforward_layernorm',
  post_ffw_norm: 'post_feedforward_layernorm',
};

const normsAfter = { post_attention_norm: 'post_attention_layernorm', post_ffw_norm: 'post_feedforward_layernorm' };

const apertusRope = {
  ...{ rope_type: 'llama3', rope_theta: 12_000_000, factor: 8, original_max_position_embeddings: 8192 },
  ...{ low_freq_factor: 1, high_freq_factor: 4 },
};

export const architectures: Readonly<Record<string, Architecture>> = {
  llama: {
    type: (keys) => (expertCount(keys) > 0 ? 'mixtral' : windowOf(keys) > 0 ? 'mistral' : 'llama'),
    className: { llama: 'LlamaForCausalLM', mistral: 'MistralForCausalLM', mixtral: 'MixtralForCausalLM' },
    permuted: true,
    layer: { ...llamaLayer, ffn_gate_inp: 'block_sparse_moe.gate' },
    experts: mixtralExperts,
    own: (keys, tensors) => ({
      ...(expertCount(keys) > 0 ? { ...localExperts(keys), sliding_window: null } : biases(tensors)),
      ...(windowOf(keys) > 0 ? { sliding_window: windowOf(keys) } : {}),
    }),
  },
  ...mixtures,
  ...sharedMixtures,
  ...recurrent,
  ...layerNorms,
  ...gptLike,
  gemma4,
  qwen2: {
    type: () => 'qwen2',
    className: { qwen2: 'Qwen2ForCausalLM' },
    layer: llamaLayer,
    own: (keys) => ({ ...noWindow(keys), use_sliding_window: false }),
  },
  qwen3: {
    type: () => 'qwen3',
    className: { qwen3: 'Qwen3ForCausalLM' },
    layer: { ...llamaLayer, ...headNorms },
    own: (keys, tensors) => ({ ...noWindow(keys), ...biases(tensors), use_sliding_window: false }),
  },
  smollm3: {
    type: () => 'smollm3',
    className: { smollm3: 'SmolLM3ForCausalLM' },
    permuted: true,
    layer: llamaLayer,
    // The interval is fixed in the architecture.
    own: (keys, tensors) => ({ ...noWindow(keys), ...biases(tensors), no_rope_layer_interval: 4 }),
  },
  olmo2: {
    type: (keys) => (windowOf(keys) > 0 ? 'olmo3' : 'olmo2'),
    className: { olmo2: 'Olmo2ForCausalLM', olmo3: 'Olmo3ForCausalLM' },
    layer: { ...attention, ...feedForward, ...headNorms, ...normsAfter },
    own: (keys, tensors) => {
      if (windowOf(keys) === 0) return biases(tensors);
      const theta = keys.real('rope.freq_base', 10_000);
      // In transformers, layers with a window have this base, whatever the others have.
      if (theta !== 500_000) throw keys.error('unsupported', 'rope.freq_base', `is ${theta}; expected 500000`);
      const local = keys.real('rope.freq_base_swa', 500_000);
      if (local !== 500_000) throw keys.error('unsupported', 'rope.freq_base_swa', `is ${local}; expected 500000`);
      return { ...biases(tensors), ...windowsByPattern(keys, 4) };
    },
  },
  olmo: {
    type: () => 'olmo',
    className: { olmo: 'OlmoForCausalLM' },
    permuted: true,
    // LayerNorms without parameters.
    layer: { ...attention, ...feedForward },
    epsilon: (keys) => {
      const epsilon = keys.real('attention.layer_norm_epsilon', 1e-5);
      if (epsilon === 1e-5) return undefined;
      throw keys.error('unsupported', 'attention.layer_norm_epsilon', `is ${epsilon}; it is 1e-5 in this architecture`);
    },
    own: (keys) => noWindow(keys),
  },
  seed_oss: {
    type: () => 'seed_oss',
    className: { seed_oss: 'SeedOssForCausalLM' },
    layer: {
      ...attention,
      ...feedForward,
      attn_norm: 'input_layernorm',
      post_attention_norm: 'post_attention_layernorm',
    },
    own: (keys, tensors) => ({
      ...noWindow(keys),
      attention_bias: tensors.has('blk.0.attn_q.bias'),
      attention_out_bias: tensors.has('blk.0.attn_output.bias'),
      mlp_bias: tensors.has('blk.0.ffn_gate.bias'),
    }),
  },
  gemma: {
    type: () => 'gemma',
    className: { gemma: 'GemmaForCausalLM' },
    gainsFromZero: everyNorm,
    layer: llamaLayer,
    own: (keys) => ({ ...noWindow(keys), ...gemmaActivation }),
  },
  gemma2: {
    type: () => 'gemma2',
    className: { gemma2: 'Gemma2ForCausalLM' },
    gainsFromZero: everyNorm,
    layer: gemmaLayer,
    own: (keys) => ({
      ...gemmaActivation,
      // Layers 0, 2, … have the window.
      ...windowsByPattern(keys, 2),
      ...gemmaScale(keys, 46),
      attn_logit_softcapping: keys.real('attn_logit_softcapping', 50),
      final_logit_softcapping: keys.real('final_logit_softcapping', 30),
    }),
  },
  gemma3: {
    type: () => 'gemma3_text',
    className: { gemma3_text: 'Gemma3ForCausalLM' },
    gainsFromZero: everyNorm,
    layer: { ...gemmaLayer, ...headNorms },
    own: (keys) => ({
      ...gemmaActivation,
      ...windowsByPattern(keys, 6),
      ...gemmaScale(keys, 62),
      rope_theta: keys.real('rope.freq_base', 1_000_000),
      rope_local_base_freq: keys.real('rope.freq_base_swa', 10_000),
      final_logit_softcapping: keys.real('final_logit_softcapping', null),
    }),
  },
  granite: {
    type: () => 'granite',
    className: { granite: 'GraniteForCausalLM' },
    permuted: true,
    layer: llamaLayer,
    own: (keys, tensors) => {
      withoutMamba(keys);
      // A Granite 4 without experts has the feed-forward layer that is for all tokens in others, and its width.
      const inner = keys.whole('expert_shared_feed_forward_length', keys.whole('feed_forward_length'));
      return { ...noWindow(keys), ...biases(tensors), ...graniteFactors(keys), intermediate_size: inner };
    },
  },
  granite_swa: {
    type: () => 'granite_swa',
    className: { granite_swa: 'GraniteSWAForCausalLM' },
    permuted: true,
    layer: llamaLayer,
    unsuffixed: { 'attn_sinks.weight': 'self_attn.sinks' },
    own: (keys, tensors) => ({
      ...windowsByPattern(keys, 4),
      ...biases(tensors),
      ...graniteFactors(keys),
      layer_rope_theta: keys
        .flags('attention.rope_pattern', keys.whole('block_count'))
        ?.map((turns) => (turns ? keys.real('rope.freq_base', 10_000) : 0)),
    }),
    written: (config, { layers }) => ({
      'attention.sliding_window': u32(config.sliding_window ?? 128),
      'attention.sliding_window_pattern': {
        kind: 'flags',
        value: Array.from({ length: layers }, (_, layer) =>
          Array.isArray(config.layer_types) ? config.layer_types[layer] === 'sliding_attention' : layer % 4 !== 0,
        ),
      },
      'attention.rope_pattern': Array.isArray(config.layer_rope_theta)
        ? { kind: 'flags', value: config.layer_rope_theta.map((theta) => theta !== 0) }
        : undefined,
    }),
  },
  arcee: {
    type: () => 'arcee',
    className: { arcee: 'ArceeForCausalLM' },
    permuted: true,
    layer: { ...normsBefore, ...attention, ffn_up: 'mlp.up_proj', ffn_down: 'mlp.down_proj' },
    own: (keys, tensors) => ({ ...noWindow(keys), ...biases(tensors), hidden_act: 'relu2' }),
  },
  exaone4: {
    type: () => 'exaone4',
    className: { exaone4: 'Exaone4ForCausalLM' },
    layer: { ...attention, ...feedForward, ...headNorms, ...normsAfter },
    own: (keys) => windowsByPattern(keys, 4),
  },
  phi3: {
    type: () => 'phi3',
    className: { phi3: 'Phi3ForCausalLM' },
    // One matrix for queries, keys and values, and one for gate and up.
    layer: {
      ...normsBefore,
      attn_qkv: 'self_attn.qkv_proj',
      attn_output: 'self_attn.o_proj',
      ffn_up: 'mlp.gate_up_proj',
      ffn_down: 'mlp.down_proj',
    },
    own: (keys) => ({
      head_dim: undefined,
      original_max_position_embeddings: keys.whole(
        'rope.scaling.original_context_length',
        keys.whole('context_length'),
      ),
      sliding_window: windowOf(keys) > 0 ? windowOf(keys) : null,
    }),
  },
  starcoder2: {
    type: () => 'starcoder2',
    className: { starcoder2: 'Starcoder2ForCausalLM' },
    layer: { ...normsBefore, ...attention, ffn_up: 'mlp.c_fc', ffn_down: 'mlp.c_proj' },
    // LayerNorms.
    epsilon: () => undefined,
    own: (keys, tensors) => ({
      norm_epsilon: keys.real('attention.layer_norm_epsilon'),
      hidden_act: 'gelu_pytorch_tanh',
      use_bias: tensors.has('blk.0.attn_q.bias'),
      sliding_window: windowOf(keys) > 0 ? windowOf(keys) : null,
    }),
  },
  ernie4_5: {
    type: () => 'ernie4_5',
    className: { ernie4_5: 'Ernie4_5ForCausalLM' },
    layer: llamaLayer,
    own: (keys, tensors) => ({ ...noWindow(keys), use_bias: tensors.has('blk.0.attn_q.bias') }),
  },
  mistral3: {
    type: (keys) => (keys.raw('attention.temperature_scale') === undefined ? 'mistral' : 'ministral3'),
    className: { mistral: 'MistralForCausalLM', ministral3: 'Ministral3ForCausalLM' },
    permuted: true,
    layer: llamaLayer,
    rope: async (keys, read) => {
      const context = keys.whole('context_length');
      const usual = keys.whole('embedding_length') / keys.whole('attention.head_count');
      const width = keys.whole('attention.key_length', usual);
      const rope = await readRope(keys, { width, context, mscale: true }, read);
      const beta = keys.real('attention.temperature_scale', null);
      return beta === null
        ? rope
        : { ...rope, rope_scaling: { ...(rope.rope_scaling as Config), llama_4_scaling_beta: beta } };
    },
    own: (keys, tensors) => ({ ...noWindow(keys), ...biases(tensors), sliding_window: null }),
    written: (config) => {
      const rope = (config.rope_scaling ?? config.rope_parameters ?? {}) as Config;
      return {
        'attention.temperature_scale':
          rope.llama_4_scaling_beta === undefined ? undefined : f32(rope.llama_4_scaling_beta),
        'rope.scaling.yarn_log_multiplier': f32(rope.mscale_all_dim ?? 0),
      };
    },
  },
  glm4: {
    type: () => 'glm4',
    className: { glm4: 'Glm4ForCausalLM' },
    layer: {
      ...attention,
      attn_norm: 'input_layernorm',
      post_attention_norm: 'post_self_attn_layernorm',
      ffn_norm: 'post_attention_layernorm',
      post_ffw_norm: 'post_mlp_layernorm',
      // One matrix for gate and up.
      ffn_up: 'mlp.gate_up_proj',
      ffn_down: 'mlp.down_proj',
    },
    own: (keys, tensors) => ({
      ...noWindow(keys),
      ...turnedShare(keys),
      attention_bias: tensors.has('blk.0.attn_q.bias'),
    }),
    written: (config, { headWidth }) => turnedShareKeys(config, headWidth, 0.5),
  },
  chatglm: {
    type: () => 'glm',
    className: { glm: 'GlmForCausalLM' },
    // One matrix for gate and up.
    layer: { ...normsBefore, ...attention, ffn_up: 'mlp.gate_up_proj', ffn_down: 'mlp.down_proj' },
    own: (keys, tensors) => ({
      ...noWindow(keys),
      ...turnedShare(keys),
      attention_bias: tensors.has('blk.0.attn_q.bias'),
    }),
    written: (config, { headWidth }) => turnedShareKeys(config, headWidth, 0.5),
  },
  exaone: {
    type: () => 'exaone',
    className: { exaone: 'ExaoneForCausalLM' },
    layer: llamaLayer,
    own: (keys, tensors) => ({ ...noWindow(keys), ...biases(tensors) }),
  },
  'hunyuan-dense': {
    type: () => 'hunyuan_v1_dense',
    className: { hunyuan_v1_dense: 'HunYuanDenseV1ForCausalLM' },
    layer: { ...llamaLayer, attn_q_norm: 'self_attn.query_layernorm', attn_k_norm: 'self_attn.key_layernorm' },
    own: (keys, tensors) => ({ ...hunyuanContext(keys), ...biases(tensors) }),
  },
  apertus: {
    type: () => 'apertus',
    className: { apertus: 'ApertusForCausalLM' },
    layer: {
      ...attention,
      ...headNorms,
      attn_norm: 'attention_layernorm',
      ffn_norm: 'feedforward_layernorm',
      ffn_up: 'mlp.up_proj',
      ffn_down: 'mlp.down_proj',
    },
    keptInKeys: [
      { key: 'xielu.alpha_p', parameter: 'mlp.act_fn.alpha_p' },
      { key: 'xielu.alpha_n', parameter: 'mlp.act_fn.alpha_n' },
      { key: 'xielu.beta', constant: 0.5 },
      { key: 'xielu.eps', constant: -1e-6 },
    ],
    // Where config.json says nothing, heads turn by Llama 3's rule.
    divisors: (config, { headWidth }) => {
      const given = config.rope_parameters ?? config.rope_scaling;
      const divisors = ropeDivisors(given ? config : { ...config, rope_parameters: apertusRope }, headWidth);
      return divisors && [...divisors];
    },
    own: (keys, tensors) => ({
      ...noWindow(keys),
      ...biases(tensors),
      ...(tensors.has('rope_freqs.weight')
        ? {}
        : { rope_parameters: { rope_type: 'default', rope_theta: keys.real('rope.freq_base', 12_000_000) } }),
      hidden_act: 'xielu',
    }),
  },
};
