import { flag, numbers, orNull, whole } from '../config-fields.ts';
import { offElsewhere } from '../config-keys.ts';
import { windowsOf } from '../config-windows.ts';
import { expertsLayer, isSparse, routingFields, sharedExpert } from './experts.ts';
import { family } from './family.ts';
import { llamaLike } from './llama.ts';
import { qwen2Fields } from './qwen2.ts';

/**
 * Qwen 2 with experts in place of the feed-forward layer, one of which every token goes through. Defaults of
 * `Qwen2MoeConfig`.
 */
export const qwen2Moe = family(
  {
    ...qwen2Fields,
    hidden_size: whole(2048),
    intermediate_size: whole(5632),
    num_hidden_layers: whole(24),
    num_attention_heads: whole(16),
    num_key_value_heads: orNull(whole(0), 16),
    ...routingFields(60, 4),
    moe_intermediate_size: whole(1408),
    shared_expert_intermediate_size: whole(5632),
    decoder_sparse_step: whole(1),
    mlp_only_layers: numbers,
    qkv_bias: flag(true),
  },
  (values, type) =>
    llamaLike(type, values, {
      biased: values.qkv_bias ? ['query', 'key', 'value'] : [],
      windows: () => {
        const window = values.use_sliding_window ? (values.sliding_window ?? undefined) : undefined;
        return windowsOf(values, window, (layer) => layer % 2 === 0 && layer < values.max_window_layers);
      },
      experts: (layer, prefix) =>
        isSparse(values, layer)
          ? expertsLayer({
              router: `${prefix}.mlp.gate`,
              experts: `${prefix}.mlp.experts`,
              width: values.hidden_size,
              inner: values.moe_intermediate_size,
              routing: {
                experts: values.num_experts,
                chosen: values.num_experts_per_tok,
                score: 'softmax',
                normalised: values.norm_topk_prob,
              },
              shared: sharedExpert(
                `${prefix}.mlp.shared_expert`,
                values.hidden_size,
                values.shared_expert_intermediate_size,
                { scale: `${prefix}.mlp.shared_expert_gate` },
              ),
            })
          : undefined,
    }),
  { neutral: { attention_bias: offElsewhere.attention_bias, mlp_bias: offElsewhere.mlp_bias } },
);
