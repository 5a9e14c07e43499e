import { SubzeroError } from '../../errors.ts';
import { flag, numbers, orNull, real, whole } from '../config-fields.ts';
import { noWindowLayers } from '../config-keys.ts';
import { windowsOf } from '../config-windows.ts';
import { family } from './family.ts';
import { biasedLayers, llamaFields, llamaLike } from './llama.ts';

/**
 * SmolLM 3: a Llama, every fourth layer of which does not turn queries and keys by their positions. Defaults of
 * `SmolLM3Config`.
 */
export const smollm3 = family(
  {
    ...llamaFields,
    vocab_size: whole(128_256),
    hidden_size: whole(2048),
    num_hidden_layers: whole(36),
    num_attention_heads: whole(16),
    num_key_value_heads: orNull(whole(0), 4),
    max_position_embeddings: whole(32_768),
    tie_word_embeddings: flag(true),
    rope_theta: real(2_000_000),
    use_sliding_window: flag(false),
    no_rope_layers: numbers,
    no_rope_layer_interval: whole(4),
  },
  (values, type) => {
    const { no_rope_layers: listed, no_rope_layer_interval: interval, num_hidden_layers: layers } = values;
    if (listed && listed.length < layers) {
      throw new SubzeroError(
        'invalid_data',
        `"no_rope_layers" must say 1 or 0 for each of ${layers} layers; it has ${listed.length} entries`,
      );
    }
    const unrotated = (layer: number): boolean => (listed ? listed[layer] === 0 : (layer + 1) % interval === 0);
    const window = values.use_sliding_window ? (values.sliding_window ?? undefined) : undefined;
    return llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias, values.mlp_bias),
      windows: () => windowsOf(values, window, unrotated),
      unrotated,
    });
  },
  { ignored: noWindowLayers },
);
