import { flag, whole } from '../config-fields.ts';
import { offElsewhere } from '../config-keys.ts';
import { windowsByLayer } from '../config-windows.ts';
import { family } from './family.ts';
import { biasedLayers, llamaLike } from './llama.ts';
import { qwen2Fields } from './qwen2.ts';

/** Qwen 3: a Llama with norms of every head's queries and keys. Defaults of `Qwen3Config`. */
export const qwen3 = family(
  { ...qwen2Fields, head_dim: whole(128), attention_bias: flag(false) },
  (values, type) =>
    llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias),
      windows: () => windowsByLayer(values),
      queryKeyNorms: 'head',
    }),
  { neutral: { mlp_bias: offElsewhere.mlp_bias } },
);
