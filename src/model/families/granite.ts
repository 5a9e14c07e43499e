import { real } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { family } from './family.ts';
import { biasedLayers, llamaFields, llamaLike } from './llama.ts';

/** Keys with the defaults of `GraniteConfig`. */
export const graniteFields = {
  ...llamaFields,
  embedding_multiplier: real(1),
  residual_multiplier: real(1),
  attention_multiplier: real(1),
  logits_scaling: real(1),
};

/** Granite: a Llama with a factor of its embedding, of what sublayers add, of scores, and a divisor of logits. */
export const granite = family(
  graniteFields,
  (values, type) =>
    llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias, values.mlp_bias),
      windows: (context) => noWindows(values, context),
      residualScale: values.residual_multiplier,
      attention: { scale: values.attention_multiplier },
      decoder: { inputScale: values.embedding_multiplier, logits: { scale: 1 / values.logits_scaling } },
    }),
  { ignored: noWindowLayers, neutral: { use_sliding_window: offElsewhere.use_sliding_window } },
);
