import { real, type Values } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { family } from './family.ts';
import { biasedLayers, type LlamaLike, llamaFields, llamaLike } from './llama.ts';

/** Keys with the defaults of `GraniteConfig`. */
export const graniteFields = {
  ...llamaFields,
  embedding_multiplier: real(1),
  residual_multiplier: real(1),
  attention_multiplier: real(1),
  logits_scaling: real(1),
};

/** What these keys mean. */
export function graniteFactors({
  embedding_multiplier: embedding,
  residual_multiplier: residual,
  attention_multiplier: scores,
  logits_scaling: divisor,
}: Pick<Values<typeof graniteFields>, `${'embedding' | 'residual' | 'attention'}_multiplier` | 'logits_scaling'>) {
  return {
    residualScale: residual,
    attention: { scale: scores },
    decoder: { inputScale: embedding, logits: { scale: 1 / divisor } },
  } satisfies Partial<LlamaLike>;
}

/** Granite: a Llama with a factor of its embedding, of what sublayers add, of scores, and a divisor of logits. */
export const granite = family(
  graniteFields,
  (values, type) =>
    llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias, values.mlp_bias),
      windows: (context) => noWindows(values, context),
      ...graniteFactors(values),
    }),
  { ignored: noWindowLayers, neutral: { use_sliding_window: offElsewhere.use_sliding_window } },
);
