import { SubzeroError } from '../../errors.ts';
import { flag, real, whole } from '../config-fields.ts';
import { expertsLayer, routingFields } from './experts.ts';
import { family } from './family.ts';
import { convolutionDecoder, convolutionFields } from './lfm2.ts';

/** LFM2 with experts in place of the feed-forward layer of all layers but the first. Defaults of `Lfm2MoeConfig`. */
export const lfm2Moe = family(
  {
    ...convolutionFields,
    hidden_size: whole(2048),
    intermediate_size: whole(7168),
    moe_intermediate_size: whole(1792),
    num_dense_layers: whole(2, 0),
    ...routingFields(32, 4),
    norm_topk_prob: flag(true),
    use_expert_bias: flag(true),
    routed_scaling_factor: real(1),
  },
  (values, type) => {
    if (!values.layer_types) {
      throw new SubzeroError(
        'invalid_data',
        '"layer_types" must say of each layer whether it is conv or full_attention',
      );
    }
    return convolutionDecoder(type, values, {
      attends: () => true,
      feedForward: (layer, prefix) =>
        layer < values.num_dense_layers
          ? values.intermediate_size
          : expertsLayer({
              ...{ router: `${prefix}.feed_forward.gate`, experts: `${prefix}.feed_forward.experts` },
              ...{ names: { gate: 'w1', up: 'w3', down: 'w2' } },
              ...{ width: values.hidden_size, inner: values.moe_intermediate_size },
              routing: {
                ...{ experts: values.num_experts, chosen: values.num_experts_per_tok, score: 'sigmoid' },
                ...{ normalised: values.norm_topk_prob, sumOffset: 1e-6, scale: values.routed_scaling_factor },
                ...(values.use_expert_bias ? { correction: `${prefix}.feed_forward.expert_bias` } : {}),
              },
            }),
    });
  },
);
