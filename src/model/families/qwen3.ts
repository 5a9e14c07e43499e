import { flag, whole } from '../config-fields.ts';
import { windowsByLayer } from '../config-windows.ts';
import { family } from './family.ts';
import { llamaLike } from './llama.ts';
import { qwen2Fields } from './qwen2.ts';

/** Qwen 3: a Llama with norms of every head's queries and keys. Defaults of `Qwen3Config`. */
export const qwen3 = family({ ...qwen2Fields, head_dim: whole(128), attention_bias: flag(false) }, (values, type) =>
  llamaLike(type, values, {
    biased: values.attention_bias ? ['query', 'key', 'value', 'output'] : [],
    windows: () => windowsByLayer(values),
    headNorms: true,
  }),
);
