/**
 * The architectures of GGUF files with LayerNorms in place of RMSNorms.
 *
 * @module
 */

import {
  type Architecture,
  attention,
  biases,
  everyNorm,
  f32,
  llamaLayer,
  normsBefore,
  noWindow,
  turnedShare,
  turnedShareKeys,
  u32,
  windowsByPattern,
} from './architecture.ts';
import type { Keys } from './keys.ts';

/** Command R has one norm for both sublayers of a layer. */
const { ffn_norm: _, ...parallelLayer } = llamaLayer;

const plainLayer = { ...normsBefore, ...attention, ffn_up: 'mlp.up_proj', ffn_down: 'mlp.down_proj' };

/** No epsilon of RMSNorms. */
const epsilon = (): undefined => undefined;

const epsilonOf = (keys: Keys): number => keys.real('attention.layer_norm_epsilon');

export const layerNorms: Readonly<Record<string, Architecture>> = {
  'command-r': {
    type: () => 'cohere',
    className: { cohere: 'CohereForCausalLM' },
    layer: parallelLayer,
    epsilon,
    own: (keys, tensors) => ({
      ...noWindow(keys),
      ...biases(tensors),
      layer_norm_eps: epsilonOf(keys),
      logit_scale: keys.real('logit_scale', 1),
    }),
    written: (config) => ({ logit_scale: f32(config.logit_scale ?? 0.0625) }),
  },
  cohere2: {
    type: () => 'cohere2',
    className: { cohere2: 'Cohere2ForCausalLM' },
    layer: parallelLayer,
    epsilon,
    own: (keys, tensors) => ({
      ...windowsByPattern(keys, 4),
      ...biases(tensors),
      layer_norm_eps: epsilonOf(keys),
      logit_scale: keys.real('logit_scale', 1),
    }),
    written: (config) => ({
      logit_scale: f32(config.logit_scale ?? 0.0625),
      'attention.sliding_window': u32(config.sliding_window ?? 4096),
    }),
  },
  stablelm: {
    type: () => 'stablelm',
    className: { stablelm: 'StableLmForCausalLM' },
    layer: llamaLayer,
    epsilon,
    own: (keys, tensors) => ({
      ...noWindow(keys),
      ...turnedShare(keys),
      head_dim: undefined,
      layer_norm_eps: epsilonOf(keys),
      use_qkv_bias: tensors.has('blk.0.attn_q.bias'),
      use_parallel_residual: keys.raw('use_parallel_residual') ?? true,
    }),
    written: (config, { headWidth }) => ({
      ...turnedShareKeys(config, headWidth, 0.25),
      use_parallel_residual: { kind: 'flag', value: (config.use_parallel_residual ?? false) as boolean },
    }),
  },
  phi2: {
    type: () => 'phi',
    className: { phi: 'PhiForCausalLM' },
    outer: { output_norm: 'model.final_layernorm' },
    layer: {
      ...attention,
      attn_norm: 'input_layernorm',
      attn_output: 'self_attn.dense',
      ffn_up: 'mlp.fc1',
      ffn_down: 'mlp.fc2',
    },
    epsilon,
    own: (keys, tensors) => ({
      ...noWindow(keys),
      ...turnedShare(keys),
      head_dim: undefined,
      // The converter writes four times the width, whatever it is.
      intermediate_size: tensors.rows('blk.0.ffn_up.weight') || keys.whole('feed_forward_length'),
      layer_norm_eps: epsilonOf(keys),
      hidden_act: 'gelu_new',
    }),
    written: (config, { headWidth }) => turnedShareKeys(config, headWidth, 0.5),
  },
  nemotron: {
    type: () => 'nemotron',
    className: { nemotron: 'NemotronForCausalLM' },
    gainsFromZero: everyNorm,
    layer: plainLayer,
    // The converter writes the number under this name too.
    epsilon: (keys) => void keys.raw('attention.layer_norm_rms_epsilon'),
    own: (keys, tensors) => ({
      ...noWindow(keys),
      ...turnedShare(keys),
      ...biases(tensors),
      mlp_bias: tensors.has('blk.0.ffn_up.bias'),
      norm_eps: epsilonOf(keys),
      hidden_act: 'relu2',
    }),
    written: (config, { headWidth }) => turnedShareKeys(config, headWidth, 0.5),
  },
  jais2: {
    type: () => 'jais2',
    className: { jais2: 'Jais2ForCausalLM' },
    layer: plainLayer,
    epsilon,
    own: (keys, tensors) => ({
      ...noWindow(keys),
      attention_bias: tensors.has('blk.0.attn_q.bias'),
      mlp_bias: tensors.has('blk.0.ffn_up.bias'),
      layer_norm_eps: epsilonOf(keys),
      hidden_act: 'relu2',
    }),
  },
};
