import { flag, object, orNull, real, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { windowsByPattern } from '../config-windows.ts';
import { family } from './family.ts';
import { biasedLayers, llamaLike, llamaLikeFields } from './llama.ts';

/** The rotary settings of a file without any. */
const defaultRope = {
  ...{ rope_type: 'llama3', rope_theta: 1_000_000, factor: 16, original_max_position_embeddings: 8192 },
  ...{ low_freq_factor: 1, high_freq_factor: 4 },
};

/** CWM: a Llama with windows in all but every fourth layer. Defaults of `CwmConfig`. */
export const cwm = family(
  {
    ...llamaLikeFields,
    vocab_size: whole(128_256),
    hidden_size: whole(6144),
    intermediate_size: whole(21_504),
    num_hidden_layers: whole(64),
    num_attention_heads: whole(48),
    num_key_value_heads: orNull(whole(0), 8),
    head_dim: orNull(whole(0), 128),
    max_position_embeddings: whole(131_072),
    rms_norm_eps: real(1e-5, { zero: true }),
    rope_theta: real(1_000_000),
    rope_parameters: object,
    mlp_bias: flag(false),
    sliding_window: whole(8192),
  },
  (values, type) =>
    llamaLike(
      type,
      { ...values, rope_parameters: values.rope_parameters ?? defaultRope },
      {
        biased: biasedLayers(false, values.mlp_bias),
        windows: () => windowsByPattern(values, (layer) => layer % 4 !== 0),
      },
    ),
  {
    ignored: noWindowLayers,
    neutral: { attention_bias: offElsewhere.attention_bias, use_sliding_window: offElsewhere.use_sliding_window },
  },
);
