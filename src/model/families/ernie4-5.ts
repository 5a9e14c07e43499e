import { flag, orNull, real, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { family } from './family.ts';
import { biasedLayers, llamaLike, llamaLikeFields } from './llama.ts';

/**
 * ERNIE 4.5: a Llama that turns neighbouring elements of heads as pairs, with biases everywhere or nowhere. Defaults of
 * `Ernie4_5Config`.
 */
export const ernie45 = family(
  {
    ...llamaLikeFields,
    vocab_size: whole(103_424),
    hidden_size: whole(1024),
    intermediate_size: whole(3072),
    num_hidden_layers: whole(18),
    num_attention_heads: whole(16),
    num_key_value_heads: orNull(whole(0), 2),
    head_dim: orNull(whole(0), 128),
    max_position_embeddings: whole(131_072),
    rms_norm_eps: real(1e-5, { zero: true }),
    tie_word_embeddings: flag(true),
    rope_theta: real(500_000),
    use_bias: orNull(flag(false), false),
  },
  (values, type) =>
    llamaLike(type, values, {
      biased: values.use_bias ? biasedLayers(true, true) : [],
      windows: (context) => noWindows(values, context),
      interleaved: true,
    }),
  { ignored: noWindowLayers, neutral: offElsewhere },
);
