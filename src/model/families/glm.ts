import { flag, orNull, real, type Values, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import type { Decoder } from '../decoder.ts';
import { readRope } from '../rope-parameters.ts';
import { evenHeadWidth, family } from './family.ts';
import { type LlamaLike, llamaFields, llamaLike } from './llama.ts';

const { layer_types: _types, sliding_window: _window, mlp_bias: _bias, ...shared } = llamaFields;

/** Keys of both with the defaults of their classes. */
const fields = {
  ...shared,
  vocab_size: whole(151_552),
  intermediate_size: whole(13_696),
  num_hidden_layers: whole(40),
  num_key_value_heads: orNull(whole(0), 2),
  head_dim: orNull(whole(0), 128),
  max_position_embeddings: whole(131_072),
  rms_norm_eps: real(1.5625e-7, { zero: true }),
  attention_bias: flag(true),
  partial_rotary_factor: real(0.5),
};

function glmLike(type: string, values: Values<typeof fields>, norms?: LlamaLike['norms']): Decoder {
  const headWidth = values.head_dim ?? evenHeadWidth(values.hidden_size, values.num_attention_heads);
  const rotation = {
    ...readRope(values, headWidth, values.max_position_embeddings, { partial: true }),
    interleaved: true,
  };
  return llamaLike(type, values, {
    biased: values.attention_bias ? ['query', 'key', 'value'] : [],
    windows: () => Array(values.num_hidden_layers).fill(undefined),
    packed: ['feed-forward'],
    rotation: () => rotation,
    ...(norms ? { norms } : {}),
  });
}

const keys = {
  ignored: noWindowLayers,
  neutral: { mlp_bias: offElsewhere.mlp_bias, use_sliding_window: offElsewhere.use_sliding_window },
};

/**
 * GLM-4 of 2024: a Llama with one matrix for gate and up, which turns neighbouring elements of a part of each head as
 * pairs.
 */
export const glm = family(fields, (values, type) => glmLike(type, values), keys);

/** GLM-4 of 2025: the same with norms of what the sublayers give besides. */
export const glm4 = family(
  { ...fields, num_key_value_heads: whole(2), head_dim: whole(128) },
  (values, type) =>
    glmLike(type, values, {
      attention: { before: 'input_layernorm', after: 'post_self_attn_layernorm' },
      feedForward: { before: 'post_attention_layernorm', after: 'post_mlp_layernorm' },
    }),
  keys,
);
