import { flag, orNull, real } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { family } from './family.ts';
import { graniteFields } from './granite.ts';
import { biasedLayers, llamaLike } from './llama.ts';

/** The modules of norms of what sublayers read, and of what they give. */
const norms = {
  attention: { before: 'input_layernorm', after: 'post_norm1' },
  feedForward: { before: 'post_attention_layernorm', after: 'post_norm2' },
};

/**
 * HyperCLOVA X: a Granite with a factor of logits in place of the divisor, perhaps with norms of what sublayers give.
 * Defaults of `HyperCLOVAXConfig`.
 */
export const hyperclovax = family(
  { ...graniteFields, attention_multiplier: orNull(real(1)), use_post_norm: flag(true) },
  (values, type) =>
    llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias, values.mlp_bias),
      windows: (context) => noWindows(values, context),
      ...(values.use_post_norm ? { norms } : {}),
      residualScale: values.residual_multiplier,
      ...(values.attention_multiplier === null ? {} : { attention: { scale: values.attention_multiplier } }),
      decoder: { inputScale: values.embedding_multiplier, logits: { scale: values.logits_scaling } },
    }),
  { ignored: noWindowLayers, neutral: { use_sliding_window: offElsewhere.use_sliding_window } },
);
