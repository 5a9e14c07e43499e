import { SubzeroError } from '../../errors.ts';
import { brief, type Field, whole } from '../config-fields.ts';
import { only } from '../config-keys.ts';
import { expertsLayer, sharedExpert } from './experts.ts';
import { family } from './family.ts';
import { hunyuanDecoder, hunyuanFields, hunyuanKeys, picture } from './hunyuan.ts';

const { fallback, accepts, expected } = whole(1);

/** A whole number for all layers, or one for each. */
const byLayer: Field<number | readonly number[]> = {
  fallback,
  expected: `${expected}, or a list of such, one for each layer`,
  accepts: (value) => accepts(value) || (Array.isArray(value) && value.every(accepts)),
};

const byShapes = 'follows from "intermediate_size" in transformers; tensors of other shapes are refused';

/**
 * Hunyuan with experts in place of the feed-forward layer, one of which every token goes through. Defaults of
 * `HunYuanMoEV1Config`.
 */
export const hunyuanV1Moe = family(
  { ...hunyuanFields, num_experts: whole(1), moe_topk: byLayer },
  (values, type) => {
    const { hidden_size: width, intermediate_size: inner, num_experts: experts, moe_topk: chosen } = values;
    if (typeof chosen !== 'number' && chosen.length !== values.num_hidden_layers) {
      throw new SubzeroError(
        'invalid_data',
        `"moe_topk" must have a number for each of ${values.num_hidden_layers} layers; got ${brief(chosen)}`,
      );
    }
    return hunyuanDecoder(type, values, (layer, prefix) =>
      expertsLayer({
        ...{ router: `${prefix}.mlp.gate.wg`, experts: `${prefix}.mlp.experts`, width, inner },
        routing: {
          ...{ experts, chosen: typeof chosen === 'number' ? chosen : chosen[layer]! },
          ...{ score: 'softmax', normalised: true },
        },
        routerIsLayer: true,
        shared: sharedExpert(`${prefix}.mlp.shared_mlp`, width, inner),
      }),
    );
  },
  {
    classes: ['HunYuanMoEV1ForCausalLM', 'HunYuanMoEV1Model'],
    ignored: {
      ...hunyuanKeys.ignored,
      ...{ moe_intermediate_size: byShapes, num_shared_expert: byShapes },
      ...{ anyres_pooling_size: picture, num_media_embeds: picture },
      ...{ video_start_id: picture, video_end_id: picture, vit_input_resolution: picture, vit_token: picture },
      ...{ vit_mapping_type: picture, vit_norm_type: picture, vit_patch: picture },
    },
    neutral: {
      ...hunyuanKeys.neutral,
      use_mixed_mlp_moe: only([true], 'there would be no expert that every token goes through'),
      norm_topk_prob: only([true], 'the scores of the experts of a token would not add up to 1'),
      moe_layer_num_skipped: only([0], 'some layers would have no experts'),
      routed_scaling_factor: only([false, 1], 'what the experts give would have a factor'),
    },
  },
);
