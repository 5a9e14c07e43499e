import { flag, orNull, real, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere, only } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { expertsLayer, sharedExpert } from './experts.ts';
import { family } from './family.ts';
import { biasedLayers, llamaLike, llamaLikeFields } from './llama.ts';

/**
 * ERNIE 4.5 with experts, chosen by corrected scores, in place of most feed-forward layers, and one that every token
 * goes through besides. Defaults of `Ernie4_5_MoeConfig`.
 */
export const ernie45Moe = family(
  {
    ...llamaLikeFields,
    vocab_size: whole(103_424),
    hidden_size: whole(2560),
    intermediate_size: whole(12_288),
    num_hidden_layers: whole(28),
    num_attention_heads: whole(20),
    num_key_value_heads: orNull(whole(0), 4),
    max_position_embeddings: whole(131_072),
    rms_norm_eps: real(1e-5, { zero: true }),
    tie_word_embeddings: flag(true),
    rope_theta: real(500_000),
    use_bias: orNull(flag(false), false),
    moe_intermediate_size: whole(1536),
    moe_k: whole(6),
    moe_num_experts: whole(64),
    moe_num_shared_experts: whole(2, 0),
    moe_layer_start_index: whole(1, 0),
    moe_layer_end_index: whole(-1, -1),
    moe_layer_interval: whole(1),
    moe_norm_min: real(1e-12, { zero: true }),
  },
  (values, type) => {
    const { hidden_size: width, moe_intermediate_size: inner, moe_num_shared_experts: shared } = values;
    const { moe_layer_start_index: first, moe_layer_end_index: end, moe_layer_interval: interval } = values;
    const last = end === -1 ? values.num_hidden_layers - 1 : end;
    const biased = values.use_bias === true;
    const decoder = llamaLike(type, values, {
      biased: biased ? biasedLayers(true, true) : [],
      windows: (context) => noWindows(values, context),
      interleaved: true,
      decoder: { stored: { prefixes: [], leftOut: /(^|\.)mtp/ } },
      experts: (layer, prefix) =>
        (layer + 1) % interval === 0 && layer >= first && layer <= last
          ? expertsLayer({
              ...{ router: `${prefix}.mlp.gate`, experts: `${prefix}.mlp.experts`, width, inner },
              routing: {
                ...{ experts: values.moe_num_experts, chosen: values.moe_k, score: 'softmax' },
                ...{ normalised: true, sumLeast: values.moe_norm_min },
                ...{ correction: `${prefix}.mlp.moe_statics.e_score_correction_bias`, correctionRow: true },
              },
              ...(shared > 0
                ? { shared: sharedExpert(`${prefix}.mlp.shared_experts`, width, shared * inner, { biased }) }
                : {}),
            })
          : undefined,
    });
    return biased ? { ...decoder, head: { ...decoder.head, bias: 'lm_head.bias' } } : decoder;
  },
  {
    classes: ['Ernie4_5_MoeForCausalLM', 'Ernie4_5_MoeModel'],
    ignored: {
      ...noWindowLayers,
      moe_capacity: 'limits the rows of an expert in training elsewhere, which transformers does not read',
      num_nextn_predict_layers: 'layers that guess further tokens, which are left out',
    },
    neutral: {
      ...offElsewhere,
      moe_gate: only(['topk'], 'experts would be chosen by another rule'),
      moe_use_aux_free: only([true], 'experts would be chosen without a correction'),
    },
  },
);
