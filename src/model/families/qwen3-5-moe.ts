import { whole } from '../config-fields.ts';
import { only } from '../config-keys.ts';
import { packedExpertsLayer, sharedExpert } from './experts.ts';
import { family } from './family.ts';
import { leftOut, mixedDecoder, mixedFields, qwen35Keys, seenKeys, separateRule } from './qwen3-5.ts';
import { wrapper } from './wrapper.ts';

const inEveryLayer = 'some layers would have no experts';

/**
 * Qwen 3.5 with experts in place of the feed-forward layer, one of which every token goes through. Files have all
 * experts of a layer in one tensor, or a matrix of each. Defaults of `Qwen3_5MoeTextConfig`.
 */
export const qwen35MoeText = family(
  {
    ...mixedFields,
    hidden_size: whole(2048),
    num_hidden_layers: whole(40),
    num_key_value_heads: whole(2),
    num_experts: whole(256),
    num_experts_per_tok: whole(8),
    moe_intermediate_size: whole(512),
    shared_expert_intermediate_size: whole(512),
  },
  (values, type) => {
    const { hidden_size: width, moe_intermediate_size: inner, shared_expert_intermediate_size: shared } = values;
    return mixedDecoder(type, values, {
      projections: separateRule,
      feedForward: (_, prefix) =>
        packedExpertsLayer({
          ...{ router: `${prefix}.mlp.gate`, width, inner, interleaved: false },
          routing: {
            ...{ experts: values.num_experts, chosen: values.num_experts_per_tok },
            ...{ score: 'softmax', normalised: true },
          },
          tensors: { packed: `${prefix}.mlp.experts.gate_up_proj`, down: `${prefix}.mlp.experts.down_proj` },
          separate: `${prefix}.mlp.experts`,
          shared: sharedExpert(`${prefix}.mlp.shared_expert`, width, shared, {
            scale: `${prefix}.mlp.shared_expert_gate`,
          }),
        }),
    });
  },
  {
    classes: ['Qwen3_5MoeForCausalLM', 'Qwen3_5MoeTextModel'],
    ignored: {
      ...qwen35Keys.ignored,
      intermediate_size: 'the width of layers without experts, of which there are none in this architecture',
    },
    neutral: {
      ...qwen35Keys.neutral,
      norm_topk_prob: only([true], 'the scores of the experts of a token would not add up to 1'),
      decoder_sparse_step: only([1], inEveryLayer),
    },
  },
);

/** Qwen 3.5 with experts and eyes, whose language model is read. */
export const qwen35Moe = wrapper({ qwen3_5_moe_text: qwen35MoeText }, 'qwen3_5_moe_text', {
  classes: ['Qwen3_5MoeForConditionalGeneration'],
  ignored: seenKeys,
  tied: false,
  leftOut,
});
