import { SubzeroError } from '../../errors.ts';
import { flag, orNull, whole } from '../config-fields.ts';
import { offElsewhere } from '../config-keys.ts';
import { windowsOf } from '../config-windows.ts';
import { deepseekExperts, deepseekFields, oneGroup } from './deepseek-experts.ts';
import { family } from './family.ts';
import { biasedLayers, llamaLike, llamaLikeFields } from './llama.ts';

/** Numbers that every file must say, since the class has none. */
const needed = ['n_routed_experts', 'n_shared_experts', 'num_experts_per_tok'] as const;

/** dots.llm1: a Qwen 3 with experts as DeepSeek-V3 has them. Defaults of `Dots1Config`. */
export const dots1 = family(
  {
    ...llamaLikeFields,
    vocab_size: whole(152_064),
    hidden_size: whole(4608),
    intermediate_size: whole(10_944),
    num_hidden_layers: whole(62),
    num_key_value_heads: orNull(whole(0), 32),
    attention_bias: flag(false),
    sliding_window: orNull(whole(0), 4096),
    max_window_layers: whole(62, 0),
    ...deepseekFields,
    first_k_dense_replace: whole(0, 0),
    num_experts_per_tok: orNull(whole(1)),
    n_routed_experts: orNull(whole(1)),
    n_shared_experts: orNull(whole(1)),
    norm_topk_prob: flag(false),
  },
  (values, type) => {
    const absent = needed.find((key) => values[key] === null);
    if (absent) throw new SubzeroError('invalid_data', `"${absent}" must be a whole number; got null`);
    const sizes = values as typeof values & Record<(typeof needed)[number], number>;
    return llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias),
      windows: () =>
        windowsOf(values, values.sliding_window ?? undefined, (layer) => layer >= values.max_window_layers),
      queryKeyNorms: 'head',
      experts: (layer, prefix) => deepseekExperts(sizes, layer, prefix),
    });
  },
  { neutral: { mlp_bias: offElsewhere.mlp_bias, use_sliding_window: offElsewhere.use_sliding_window, ...oneGroup } },
);
