import { orNull, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { uniformWindows } from '../config-windows.ts';
import { family } from './family.ts';
import { llamaLike, llamaLikeFields } from './llama.ts';

/** Mistral: a Llama whose layers may all see the last tokens only. Defaults of `MistralConfig`. */
export const mistral = family(
  {
    ...llamaLikeFields,
    intermediate_size: whole(14_336),
    num_key_value_heads: whole(8),
    max_position_embeddings: whole(131_072),
    sliding_window: orNull(whole(0), 4096),
  },
  (values, type) => llamaLike(type, values, { windows: () => uniformWindows(values) }),
  { ignored: noWindowLayers, neutral: offElsewhere },
);
