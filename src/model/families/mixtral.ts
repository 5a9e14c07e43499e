import { orNull, real, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { uniformWindows } from '../config-windows.ts';
import { expertsLayer } from './experts.ts';
import { family } from './family.ts';
import { llamaLike, llamaLikeFields } from './llama.ts';

const { layer_types: _types, ...fields } = llamaLikeFields;

/** Mixtral: Mistral with experts in place of the feed-forward layer. Defaults of `MixtralConfig`. */
export const mixtral = family(
  {
    ...fields,
    intermediate_size: whole(14_336),
    num_key_value_heads: orNull(whole(0), 8),
    max_position_embeddings: whole(131_072),
    rms_norm_eps: real(1e-5, { zero: true }),
    rope_theta: real(1_000_000),
    num_local_experts: whole(8),
    num_experts_per_tok: whole(2),
  },
  (values, type) =>
    llamaLike(type, values, {
      windows: () => uniformWindows({ ...values, layer_types: null }),
      experts: (_, prefix) =>
        expertsLayer({
          router: `${prefix}.block_sparse_moe.gate`,
          experts: `${prefix}.block_sparse_moe.experts`,
          names: { gate: 'w1', up: 'w3', down: 'w2' },
          width: values.hidden_size,
          inner: values.intermediate_size,
          routing: {
            experts: values.num_local_experts,
            chosen: values.num_experts_per_tok,
            score: 'softmax',
            normalised: true,
          },
        }),
    }),
  { ignored: noWindowLayers, neutral: offElsewhere },
);
