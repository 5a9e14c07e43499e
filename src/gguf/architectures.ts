/**
 * The architectures of GGUF files: which model type of transformers each is, where it keeps its tensors, and what its
 * keys are in config.json.
 *
 * @module
 */

import type { Keys } from './keys.ts';

/** What the tensors of a file say about its architecture. */
export interface TensorNames {
  has(name: string): boolean;
}

export interface Architecture {
  /** `model_type` of config.json. @param keys of the file */
  type: (keys: Keys) => string;
  /** The class in transformers, by its model type. */
  className: Readonly<Record<string, string>>;
  /** Whether the rows of queries and keys lie in ggml's order: both halves of a head interleaved. */
  permuted?: boolean;
  /** Whether norms that transformers has as their distance from 1 have 1 added in the file. */
  gainsFromZero?: boolean;
  /** The epsilon of norms, as `rms_norm_eps`; of RMSNorms by default. */
  epsilon?: (keys: Keys) => number | undefined;
  /** Tensors of a layer: what follows `blk.N.` → what follows `model.layers.N.`, both without suffix. */
  layer: Readonly<Record<string, string>>;
  /** What config.json has beside the keys of all Llama-like models, or in their place; undefined for nothing. */
  own?: (keys: Keys, tensors: TensorNames) => Record<string, unknown>;
}

/** Tensors outside of the layers, without suffix. */
export const outerTensors: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
};

const attention = {
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
};

const feedForward = { ffn_gate: 'mlp.gate_proj', ffn_up: 'mlp.up_proj', ffn_down: 'mlp.down_proj' };

const normsBefore = { attn_norm: 'input_layernorm', ffn_norm: 'post_attention_layernorm' };

const headNorms = { attn_q_norm: 'self_attn.q_norm', attn_k_norm: 'self_attn.k_norm' };

const llamaLayer = { ...normsBefore, ...attention, ...feedForward };

/** Switches of biases, which a file has as tensors only. */
function biases(tensors: TensorNames): Record<string, unknown> {
  return {
    ...(tensors.has('blk.0.attn_q.bias') ? { attention_bias: true } : {}),
    ...(tensors.has('blk.0.ffn_gate.bias') ? { mlp_bias: true } : {}),
  };
}

/**
 * A window of keys that is as long as the context changes nothing; shorter ones are for the families that have them.
 */
function noWindow(keys: Keys): Record<string, unknown> {
  const window = keys.whole('attention.sliding_window', 0);
  const context = keys.whole('context_length');
  if (window > 0 && window < context) {
    throw keys.error('unsupported', 'attention.sliding_window', `is ${window}, below the context of ${context}`);
  }
  return {};
}

/** A window, with which a Llama is a Mistral. */
function windowOf(keys: Keys): number {
  return keys.whole('attention.sliding_window', 0);
}

/** A window in every layer but each n-th, or as a list says, or in none. @param usual the n where the file has none */
function windowsByPattern(keys: Keys, usual: number): Record<string, unknown> {
  const key = 'attention.sliding_window_pattern';
  const window = windowOf(keys);
  const layers = keys.whole('block_count');
  const pattern = keys.raw(key) ?? usual;
  const slides = (layer: number): boolean =>
    Array.isArray(pattern) ? pattern[layer] === true : (layer + 1) % (pattern as number) !== 0;
  const isList = Array.isArray(pattern) && pattern.length === layers && pattern.every((it) => typeof it === 'boolean');
  if (!isList && !(typeof pattern === 'number' && Number.isInteger(pattern) && pattern > 0)) {
    throw keys.wrong(key, `a whole number, or a truth value for each of ${layers} layers`, pattern);
  }
  const typeOf = (layer: number): string => (window > 0 && slides(layer) ? 'sliding_attention' : 'full_attention');
  return {
    sliding_window: window > 0 ? window : null,
    layer_types: Array.from({ length: layers }, (_, layer) => typeOf(layer)),
  };
}

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

export const architectures: Readonly<Record<string, Architecture>> = {
  llama: {
    type: (keys) => (windowOf(keys) > 0 ? 'mistral' : 'llama'),
    className: { llama: 'LlamaForCausalLM', mistral: 'MistralForCausalLM' },
    permuted: true,
    layer: llamaLayer,
    own: (keys, tensors) => ({
      ...biases(tensors),
      ...(windowOf(keys) > 0 ? { sliding_window: windowOf(keys) } : {}),
    }),
  },
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
    gainsFromZero: true,
    layer: llamaLayer,
    own: (keys) => ({ ...noWindow(keys), ...gemmaActivation }),
  },
  gemma2: {
    type: () => 'gemma2',
    className: { gemma2: 'Gemma2ForCausalLM' },
    gainsFromZero: true,
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
    gainsFromZero: true,
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
      // In this architecture, the key switches rotation.
      if (keys.raw('rope.scaling.finetuned') === false) {
        throw keys.error('unsupported', 'rope.scaling.finetuned', 'is false, with which heads would not turn');
      }
      const width = keys.whole('embedding_length') / keys.whole('attention.head_count');
      return {
        ...noWindow(keys),
        ...biases(tensors),
        attention_multiplier: keys.real('attention.scale', width ** -0.5),
        embedding_multiplier: keys.real('embedding_scale', 1),
        residual_multiplier: keys.real('residual_scale', 1),
        logits_scaling: keys.real('logit_scale', 1),
      };
    },
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
};
