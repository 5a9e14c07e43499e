import { real, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { family } from './family.ts';
import { biasedLayers, llamaFields, llamaLike } from './llama.ts';

/** Helium: a Llama that turns neighbouring elements of heads as pairs. Defaults of `HeliumConfig`. */
export const helium = family(
  {
    ...llamaFields,
    vocab_size: whole(48_000),
    hidden_size: whole(2560),
    intermediate_size: whole(7040),
    num_hidden_layers: whole(24),
    num_attention_heads: whole(20),
    num_key_value_heads: whole(20),
    head_dim: whole(128),
    max_position_embeddings: whole(4096),
    rms_norm_eps: real(1e-8, { zero: true }),
    rope_theta: real(100_000),
  },
  (values, type) =>
    llamaLike(type, values, {
      // The output has none, whatever the key says.
      biased: biasedLayers(values.attention_bias, values.mlp_bias).filter((name) => name !== 'output'),
      windows: (context) => noWindows(values, context),
      interleaved: true,
    }),
  { ignored: noWindowLayers, neutral: { use_sliding_window: offElsewhere.use_sliding_window } },
);
