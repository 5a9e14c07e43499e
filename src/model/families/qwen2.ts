import { flag, orNull, whole } from '../config-fields.ts';
import { offElsewhere, only } from '../config-keys.ts';
import { windowsByLayer } from '../config-windows.ts';
import { family } from './family.ts';
import { llamaLike, llamaLikeFields } from './llama.ts';

/** Keys with the defaults of `Qwen2Config`. */
export const qwen2Fields = {
  ...llamaLikeFields,
  vocab_size: whole(151_936),
  intermediate_size: whole(22_016),
  num_key_value_heads: orNull(whole(0), 32),
  max_position_embeddings: whole(32_768),
  use_sliding_window: flag(false),
  sliding_window: orNull(whole(0), 4096),
  max_window_layers: whole(28, 0),
};

/** Qwen 2: a Llama with biases of queries, keys and values, and windows in its upper layers. */
export const qwen2 = family(
  qwen2Fields,
  (values, type) =>
    llamaLike(type, values, { biased: ['query', 'key', 'value'], windows: () => windowsByLayer(values) }),
  {
    ignored: { attention_bias: 'queries, keys and values have biases in this architecture, the output has none' },
    neutral: {
      mlp_bias: offElsewhere.mlp_bias,
      qkv_bias: only([true], 'queries, keys and values would have no biases'),
    },
  },
);
