import { quadAxis } from '../../tensor/axis.ts';
import { flag, numbers, whole } from '../config-fields.ts';
import { linearLayer } from '../decoder.ts';
import { expertsLayer, isSparse, routingFields, sharedExpert } from './experts.ts';
import { family } from './family.ts';
import { mixedDecoder, mixedFields, qwen35Keys } from './qwen3-5.ts';

/**
 * Qwen 3 Next: the layers of Qwen 3.5, whose delta rule reads two packed projections, and experts in place of most
 * feed-forward layers, one of which every token goes through. Defaults of `Qwen3NextConfig`.
 */
export const qwen3Next = family(
  {
    ...mixedFields,
    vocab_size: whole(151_936),
    hidden_size: whole(2048),
    intermediate_size: whole(5632),
    num_hidden_layers: whole(48),
    num_key_value_heads: whole(2),
    ...routingFields(512, 10),
    norm_topk_prob: flag(true),
    moe_intermediate_size: whole(512),
    shared_expert_intermediate_size: whole(512),
    decoder_sparse_step: whole(1),
    mlp_only_layers: numbers,
  },
  (values, type) => {
    const { hidden_size: width, shared_expert_intermediate_size: shared } = values;
    return mixedDecoder(type, values, {
      projections: (prefix, columns, { heads, keyHeads, keyWidth, valueWidth }) => {
        const made = 2 * keyHeads * keyWidth + 2 * heads * valueWidth;
        return {
          packed: linearLayer(`${prefix}.in_proj_qkvz`, quadAxis(made), quadAxis(columns), false),
          rates: linearLayer(`${prefix}.in_proj_ba`, quadAxis(2 * heads), quadAxis(columns), false),
        };
      },
      feedForward: (layer, prefix) =>
        isSparse(values, layer)
          ? expertsLayer({
              ...{ router: `${prefix}.mlp.gate`, experts: `${prefix}.mlp.experts` },
              ...{ width, inner: values.moe_intermediate_size },
              routing: {
                ...{ experts: values.num_experts, chosen: values.num_experts_per_tok },
                ...{ score: 'softmax', normalised: values.norm_topk_prob },
              },
              shared: sharedExpert(`${prefix}.mlp.shared_expert`, width, shared, {
                scale: `${prefix}.mlp.shared_expert_gate`,
              }),
            })
          : values.intermediate_size,
    });
  },
  { ignored: qwen35Keys.ignored, neutral: qwen35Keys.neutral },
);
