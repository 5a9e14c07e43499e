import { whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { packedExpertsLayer } from './experts.ts';
import { family } from './family.ts';
import { graniteFields } from './granite.ts';
import { biasedLayers, llamaLike } from './llama.ts';

const { mlp_bias: _bias, ...fields } = graniteFields;

/** Granite with experts in place of the feed-forward layer. Defaults of `GraniteMoeConfig`. */
export const graniteMoe = family(
  { ...fields, num_local_experts: whole(8), num_experts_per_tok: whole(2) },
  (values, type) =>
    llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias),
      windows: (context) => noWindows(values, context),
      residualScale: values.residual_multiplier,
      attention: { scale: values.attention_multiplier },
      decoder: { inputScale: values.embedding_multiplier, logits: { scale: 1 / values.logits_scaling } },
      experts: (_, prefix) =>
        packedExpertsLayer({
          router: `${prefix}.block_sparse_moe.router.layer`,
          width: values.hidden_size,
          inner: values.intermediate_size,
          routing: {
            experts: values.num_local_experts,
            chosen: values.num_experts_per_tok,
            score: 'softmax',
            normalised: true,
          },
          tensors: {
            packed: `${prefix}.block_sparse_moe.input_linear.weight`,
            down: `${prefix}.block_sparse_moe.output_linear.weight`,
          },
          interleaved: false,
        }),
    }),
  {
    ignored: noWindowLayers,
    neutral: { mlp_bias: offElsewhere.mlp_bias, use_sliding_window: offElsewhere.use_sliding_window },
  },
);
