import { SubzeroError } from '../../errors.ts';
import { flag, numbers, orNull, real, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { windowsByPattern } from '../config-windows.ts';
import { readRope } from '../rope-parameters.ts';
import { evenHeadWidth, family } from './family.ts';
import { graniteFactors, graniteFields } from './granite.ts';
import { biasedLayers, llamaLike } from './llama.ts';

/**
 * Granite with windows in three of four layers, a score for each head that takes part in every softmax and has no
 * value, and a base of the angles for each layer, 0 where it does not turn. Defaults of `GraniteSWAConfig`.
 */
export const graniteSwa = family(
  {
    ...graniteFields,
    vocab_size: whole(100_352),
    hidden_size: whole(2560),
    intermediate_size: whole(8192),
    num_hidden_layers: whole(24),
    num_attention_heads: whole(20),
    num_key_value_heads: orNull(whole(0), 4),
    max_position_embeddings: whole(8192),
    rms_norm_eps: real(1e-5, { zero: true }),
    tie_word_embeddings: flag(true),
    sliding_window: orNull(whole(0), 128),
    layer_rope_theta: numbers,
  },
  (values, type) => {
    const { num_hidden_layers: layers, layer_rope_theta: thetas } = values;
    if (thetas && (thetas.length !== layers || thetas.some((theta) => theta < 0))) {
      throw new SubzeroError(
        'invalid_data',
        `"layer_rope_theta" must have a number of at least 0 for each of ${layers} layers; got [${thetas.join(', ')}]`,
      );
    }
    const windows = windowsByPattern(values, (layer) => layer % 4 !== 0);
    const headWidth = values.head_dim ?? evenHeadWidth(values.hidden_size, values.num_attention_heads);
    const read = readRope(values, headWidth, values.max_position_embeddings);
    // Layers of one base share a table.
    const rotations = new Map(thetas?.map((theta) => [theta, { ...read, theta }]));
    const rotation = (layer: number) => rotations.get(thetas?.[layer] || read.theta) ?? read;
    return llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias, values.mlp_bias),
      windows: () => windows,
      rotation,
      unrotated: (layer) => thetas?.[layer] === 0,
      sinks: 'sinks',
      ...graniteFactors(values),
    });
  },
  {
    classes: ['GraniteSWAForCausalLM', 'GraniteSWAModel'],
    ignored: noWindowLayers,
    neutral: { use_sliding_window: offElsewhere.use_sliding_window },
  },
);
