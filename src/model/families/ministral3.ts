import { SubzeroError } from '../../errors.ts';
import { orNull, real, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { windowsOf } from '../config-windows.ts';
import { readRope, ropeSettings } from '../rope-parameters.ts';
import { evenHeadWidth, family } from './family.ts';
import { llamaLike, llamaLikeFields } from './llama.ts';
import { mistral } from './mistral.ts';
import { wrapper } from './wrapper.ts';

const { layer_types: _, ...fields } = llamaLikeFields;

/** The rotary settings of a file without any. */
const defaultRope = {
  ...{ type: 'yarn', rope_theta: 1_000_000, factor: 16, original_max_position_embeddings: 16_384 },
  ...{ beta_fast: 32, beta_slow: 1, mscale_all_dim: 1, mscale: 1, llama_4_scaling_beta: 0.1 },
};

/** Ministral 3: a Mistral whose queries grow with the length of the text. Defaults of `Ministral3Config`. */
export const ministral3 = family(
  {
    ...fields,
    vocab_size: whole(131_072),
    intermediate_size: whole(14_336),
    num_hidden_layers: whole(34),
    num_key_value_heads: orNull(whole(0), 8),
    head_dim: orNull(whole(0), 128),
    max_position_embeddings: whole(262_144),
    rms_norm_eps: real(1e-5, { zero: true }),
  },
  ({ rope_parameters, ...given }, type) => {
    const values = { ...given, rope_parameters: rope_parameters ?? defaultRope };
    const { max_position_embeddings: context } = values;
    const headWidth = values.head_dim ?? evenHeadWidth(values.hidden_size, values.num_attention_heads);
    const rotation = readRope(values, headWidth, context, {
      own: ['llama_4_scaling_beta', 'max_position_embeddings'],
    });
    const { llama_4_scaling_beta: beta } = ropeSettings(values).values;
    if (typeof beta !== 'number' || !('originalContext' in rotation.scaling)) {
      throw new SubzeroError(
        'invalid_data',
        'the rotary settings need "llama_4_scaling_beta" and an original context (yarn, llama3) in this architecture',
      );
    }
    const queryRotation = { ...rotation, growth: { beta, context: rotation.scaling.originalContext } };
    return llamaLike(type, values, {
      windows: () => windowsOf({ ...values, layer_types: null }, values.sliding_window ?? undefined, () => true),
      rotation: () => rotation,
      attention: { queryRotation },
    });
  },
  {
    ignored: noWindowLayers,
    neutral: offElsewhere,
  },
);

/** Mistral Small 3 and Ministral 3 with eyes, whose language model is read. */
export const mistral3 = wrapper({ mistral, ministral3 }, 'mistral', {
  classes: ['Mistral3ForConditionalGeneration'],
  ignored: [
    ...['image_token_index', 'projector_hidden_act', 'vision_feature_layer', 'multimodal_projector_bias'],
    'spatial_merge_size',
  ],
});
