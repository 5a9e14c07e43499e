import { real, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { expertsLayer, routingFields } from './experts.ts';
import { family } from './family.ts';
import { biasedLayers, llamaFields, llamaLike } from './llama.ts';
import { unclipped } from './olmo.ts';

const { mlp_bias: _bias, ...fields } = llamaFields;

/**
 * OLMoE: a Llama with norms of all queries and all keys together, and experts in place of the feed-forward layer.
 * Defaults of `OlmoeConfig`.
 */
export const olmoe = family(
  {
    ...fields,
    vocab_size: whole(50_304),
    hidden_size: whole(2048),
    intermediate_size: whole(2048),
    num_hidden_layers: whole(16),
    num_attention_heads: whole(16),
    max_position_embeddings: whole(4096),
    rms_norm_eps: real(1e-5, { zero: true }),
    ...routingFields(64, 8),
  },
  (values, type) =>
    llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias),
      windows: (context) => noWindows(values, context),
      queryKeyNorms: 'whole',
      experts: (_, prefix) =>
        expertsLayer({
          router: `${prefix}.mlp.gate`,
          experts: `${prefix}.mlp.experts`,
          width: values.hidden_size,
          inner: values.intermediate_size,
          routing: {
            experts: values.num_experts,
            chosen: values.num_experts_per_tok,
            score: 'softmax',
            normalised: values.norm_topk_prob,
          },
        }),
    }),
  {
    ignored: noWindowLayers,
    neutral: {
      mlp_bias: offElsewhere.mlp_bias,
      use_sliding_window: offElsewhere.use_sliding_window,
      clip_qkv: unclipped,
    },
  },
);
