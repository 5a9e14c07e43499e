import { flag, orNull, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { family } from './family.ts';
import { llamaFields, llamaLike } from './llama.ts';

/**
 * Seed-OSS: a Llama with biases of queries, keys and values, and of the output by a key of its own. Defaults of
 * `SeedOssConfig`.
 */
export const seedOss = family(
  {
    ...llamaFields,
    vocab_size: whole(155_136),
    intermediate_size: whole(27_648),
    num_hidden_layers: whole(64),
    num_attention_heads: whole(80),
    num_key_value_heads: orNull(whole(0), 8),
    head_dim: orNull(whole(0), 128),
    max_position_embeddings: whole(524_288),
    attention_bias: flag(true),
    attention_out_bias: flag(false),
  },
  (values, type) =>
    llamaLike(type, values, {
      biased: [
        ...(values.attention_bias ? (['query', 'key', 'value'] as const) : []),
        ...(values.attention_out_bias ? (['output'] as const) : []),
        ...(values.mlp_bias ? (['gate', 'up', 'down'] as const) : []),
      ],
      windows: (context) => noWindows(values, context),
    }),
  { ignored: noWindowLayers, neutral: { use_sliding_window: offElsewhere.use_sliding_window } },
);
