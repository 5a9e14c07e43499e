import { flag, orNull, real, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { readRope } from '../rope-parameters.ts';
import { deepseekExperts, deepseekFields, oneGroup } from './deepseek-experts.ts';
import { evenHeadWidth, family } from './family.ts';
import { llamaLike, llamaLikeFields } from './llama.ts';

const guessing = 'layers that guess further tokens, which are left out';

/**
 * GLM-4.5: a Llama of which a part of each head turns, perhaps with norms of every head's queries and keys, and with
 * experts as DeepSeek-V3 has them. Defaults of `Glm4MoeConfig`.
 */
export const glm4Moe = family(
  {
    ...llamaLikeFields,
    vocab_size: whole(151_552),
    intermediate_size: whole(10_944),
    num_hidden_layers: whole(46),
    num_attention_heads: whole(96),
    num_key_value_heads: whole(8),
    max_position_embeddings: whole(131_072),
    rms_norm_eps: real(1e-5, { zero: true }),
    attention_bias: flag(false),
    partial_rotary_factor: orNull(real(1), 0.5),
    use_qk_norm: flag(false),
    ...deepseekFields,
    num_experts_per_tok: whole(8),
    n_routed_experts: whole(128),
    n_shared_experts: whole(1),
    norm_topk_prob: flag(true),
  },
  (values, type) => {
    const headWidth = values.head_dim ?? evenHeadWidth(values.hidden_size, values.num_attention_heads);
    const rotation = readRope(values, headWidth, values.max_position_embeddings, { partial: true });
    return llamaLike(type, values, {
      biased: values.attention_bias ? ['query', 'key', 'value'] : [],
      windows: (context) => noWindows(values, context),
      rotation: () => rotation,
      ...(values.use_qk_norm ? { queryKeyNorms: 'head' } : {}),
      experts: (layer, prefix) => deepseekExperts(values, layer, prefix),
      // The layer behind the last one guesses further tokens.
      decoder: { stored: { prefixes: [], leftOut: new RegExp(`^model\\.layers\\.${values.num_hidden_layers}\\.`) } },
    });
  },
  {
    ignored: { ...noWindowLayers, num_mtp_layers: guessing, num_nextn_predict_layers: guessing },
    neutral: { mlp_bias: offElsewhere.mlp_bias, use_sliding_window: offElsewhere.use_sliding_window, ...oneGroup },
  },
);
