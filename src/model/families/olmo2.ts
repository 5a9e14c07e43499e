import { real, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { family } from './family.ts';
import { biasedLayers, layerNorms, llamaFields, llamaLike } from './llama.ts';

const { mlp_bias: _, ...fields } = llamaFields;

/**
 * OLMo 2: a Llama with norms of what the sublayers give, and of all queries and all keys together. Defaults of
 * `Olmo2Config`.
 */
export const olmo2 = family(
  { ...fields, vocab_size: whole(50_304), rms_norm_eps: real(1e-5, { zero: true }) },
  (values, type) =>
    llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias),
      windows: (context) => noWindows(values, context),
      queryKeyNorms: 'whole',
      norms: layerNorms.after,
    }),
  {
    ignored: noWindowLayers,
    neutral: { mlp_bias: offElsewhere.mlp_bias, use_sliding_window: offElsewhere.use_sliding_window },
  },
);
