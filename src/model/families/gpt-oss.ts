import { flag, orNull, real, whole } from '../config-fields.ts';
import { noWindowLayers } from '../config-keys.ts';
import { windowsByPattern } from '../config-windows.ts';
import { packedExpertsLayer } from './experts.ts';
import { family } from './family.ts';
import { biasedLayers, llamaLike, llamaLikeFields } from './llama.ts';

/** What turns heads where config.json has no settings. */
const defaultRope = {
  ...{ rope_type: 'yarn', factor: 32, beta_fast: 32, beta_slow: 1, truncate: false },
  original_max_position_embeddings: 4096,
};

/**
 * gpt-oss: a Llama with a sink in every head's softmax, windows in every second layer, biases everywhere, and experts
 * with a clamped gate. Defaults of `GptOssConfig`.
 */
export const gptOss = family(
  {
    ...llamaLikeFields,
    vocab_size: whole(201_088),
    hidden_size: whole(2880),
    intermediate_size: whole(2880),
    num_hidden_layers: whole(36),
    num_attention_heads: whole(64),
    num_key_value_heads: orNull(whole(0), 8),
    head_dim: orNull(whole(0), 64),
    max_position_embeddings: whole(131_072),
    sliding_window: orNull(whole(0), 128),
    rms_norm_eps: real(1e-5, { zero: true }),
    rope_theta: real(150_000),
    attention_bias: flag(true),
    num_local_experts: whole(128),
    num_experts_per_tok: whole(4),
    swiglu_alpha: real(1.702),
    swiglu_limit: real(7),
  },
  (read, type) => {
    const none = read.rope_parameters === null && read.rope_scaling === null;
    const values = none ? { ...read, rope_parameters: defaultRope } : read;
    return llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias),
      windows: () => windowsByPattern(values, (layer) => layer % 2 === 0),
      sinks: 'sinks',
      experts: (_, prefix) =>
        packedExpertsLayer({
          router: `${prefix}.mlp.router`,
          width: values.hidden_size,
          inner: values.intermediate_size,
          routing: {
            experts: values.num_local_experts,
            chosen: values.num_experts_per_tok,
            score: 'softmax',
            normalised: true,
          },
          tensors: { packed: `${prefix}.mlp.experts.gate_up_proj`, down: `${prefix}.mlp.experts.down_proj` },
          biases: { packed: `${prefix}.mlp.experts.gate_up_proj_bias`, down: `${prefix}.mlp.experts.down_proj_bias` },
          transposed: true,
          interleaved: true,
          clamped: { limit: values.swiglu_limit, gain: values.swiglu_alpha },
        }),
    });
  },
  {
    ignored: {
      ...noWindowLayers,
      experts_per_token: 'the number of experts of a token once more, which transformers does not read',
      initial_context_length: 'the original context once more, which transformers does not read',
    },
  },
);
