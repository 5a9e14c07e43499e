import { SubzeroError } from '../../errors.ts';
import { brief, orNull, real, text, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { windowsByPattern } from '../config-windows.ts';
import { family } from './family.ts';
import { layerNorms, llamaLike, llamaLikeFields } from './llama.ts';

const [count, letters] = [whole(4), text('')];

/**
 * EXAONE 4: a Llama with norms of what sublayers give and of every head's queries and keys; where some layers have a
 * window, the others are not turned by positions. Defaults of `Exaone4Config`.
 */
export const exaone4 = family(
  {
    ...llamaLikeFields,
    vocab_size: whole(102_400),
    intermediate_size: whole(16_384),
    num_key_value_heads: whole(32),
    rms_norm_eps: real(1e-5, { zero: true }),
    sliding_window: orNull(whole(0), 4096),
    // Letters stand beside the types of layers that they tell, and are read from those.
    sliding_window_pattern: orNull<number | string>(
      {
        fallback: 4,
        expected: 'a whole number of at least 1, or letters',
        accepts: (value) => count.accepts(value) || letters.accepts(value),
      },
      4,
    ),
  },
  (values, type) => {
    const { sliding_window_pattern: pattern, sliding_window: window, layer_types: types } = values;
    if (!types && (typeof pattern !== 'number' || window === null)) {
      throw new SubzeroError(
        'invalid_data',
        `"layer_types" must name the type of each layer where "sliding_window" is ${brief(window)} and ` +
          `"sliding_window_pattern" is ${brief(pattern)}`,
      );
    }
    const windows = windowsByPattern(values, (layer) => (layer + 1) % (pattern as number) !== 0);
    return llamaLike(type, values, {
      windows: () => windows,
      queryKeyNorms: 'head',
      unrotated: (layer) => window !== null && windows[layer] === undefined,
      norms: layerNorms.after,
    });
  },
  { ignored: noWindowLayers, neutral: offElsewhere },
);
