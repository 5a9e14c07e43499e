import { SubzeroError } from '../../errors.ts';
import { flag, numbers, orNull, whole } from '../config-fields.ts';
import { offElsewhere } from '../config-keys.ts';
import { windowsOf } from '../config-windows.ts';
import { expertsLayer, isSparse, routingFields } from './experts.ts';
import { family } from './family.ts';
import { biasedLayers, llamaLike, llamaLikeFields } from './llama.ts';

const { layer_types: _types, ...fields } = llamaLikeFields;

const usualExperts = 128;

interface ExpertCounts {
  num_experts: number;
  num_local_experts: number | null;
}

/** The number of experts, which transformers 5.24 writes under another name than it is published under. */
function expertsOf({ num_experts: published, num_local_experts: saved }: ExpertCounts): number {
  if (saved !== null && published !== usualExperts && published !== saved) {
    throw new SubzeroError(
      'invalid_data',
      `"num_experts" and "num_local_experts" mean the same; got ${published} and ${saved}`,
    );
  }
  return saved ?? published;
}

/** Qwen 3 with experts in place of the feed-forward layer. Defaults of `Qwen3MoeConfig`. */
export const qwen3Moe = family(
  {
    ...fields,
    vocab_size: whole(151_936),
    hidden_size: whole(2048),
    intermediate_size: whole(6144),
    num_hidden_layers: whole(24),
    num_key_value_heads: whole(4),
    max_position_embeddings: whole(32_768),
    attention_bias: flag(false),
    use_sliding_window: flag(false),
    sliding_window: orNull(whole(0), 4096),
    ...routingFields(usualExperts, 8),
    num_local_experts: orNull(whole(1)),
    moe_intermediate_size: whole(768),
    decoder_sparse_step: whole(1),
    mlp_only_layers: numbers,
  },
  (values, type) =>
    llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias),
      windows: () => {
        const window = values.use_sliding_window ? (values.sliding_window ?? undefined) : undefined;
        return windowsOf({ ...values, layer_types: null }, window, () => true);
      },
      queryKeyNorms: 'head',
      experts: (layer, prefix) =>
        isSparse(values, layer)
          ? expertsLayer({
              router: `${prefix}.mlp.gate`,
              experts: `${prefix}.mlp.experts`,
              width: values.hidden_size,
              inner: values.moe_intermediate_size,
              routing: {
                experts: expertsOf(values),
                chosen: values.num_experts_per_tok,
                score: 'softmax',
                normalised: values.norm_topk_prob,
              },
            })
          : undefined,
    }),
  {
    ignored: { max_window_layers: 'the first layer with a window in Qwen 2; here the window is that of all layers' },
    neutral: { mlp_bias: offElsewhere.mlp_bias },
  },
);
