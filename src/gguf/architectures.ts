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
  /** Tensors of a layer: what follows `blk.N.` → what follows `model.layers.N.`, both without suffix. */
  layer: Readonly<Record<string, string>>;
  /** What config.json has beside the keys of all Llama-like models. */
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

/** A window of keys that is as long as the context changes nothing; shorter ones are for the families that have them. */
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
    type: () => 'olmo2',
    className: { olmo2: 'Olmo2ForCausalLM' },
    layer: {
      ...attention,
      ...feedForward,
      ...headNorms,
      post_attention_norm: 'post_attention_layernorm',
      post_ffw_norm: 'post_feedforward_layernorm',
    },
    own: (keys, tensors) => ({ ...noWindow(keys), ...biases(tensors) }),
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
};
