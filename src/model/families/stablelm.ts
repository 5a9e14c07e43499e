import { flag, real, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere, only } from '../config-keys.ts';
import { layerNorm } from '../decoder.ts';
import { readRope } from '../rope-parameters.ts';
import { evenHeadWidth, family } from './family.ts';
import { llamaLike, llamaLikeFields } from './llama.ts';

const {
  head_dim: _width,
  layer_types: _types,
  sliding_window: _window,
  rms_norm_eps: _epsilon,
  ...fields
} = llamaLikeFields;

/** StableLM: a Llama with LayerNorms, a part of each head of which turns. Defaults of `StableLmConfig`. */
export const stablelm = family(
  {
    ...fields,
    vocab_size: whole(50_304),
    hidden_size: whole(2560),
    intermediate_size: whole(6912),
    num_key_value_heads: whole(32),
    max_position_embeddings: whole(4096),
    layer_norm_eps: real(1e-5, { zero: true }),
    use_qkv_bias: flag(false),
    use_parallel_residual: flag(false),
    partial_rotary_factor: real(0.25),
  },
  (values, type) => {
    const { layer_norm_eps: epsilon, hidden_size: width, num_attention_heads: heads } = values;
    const rotation = readRope(values, evenHeadWidth(width, heads), values.max_position_embeddings, { partial: true });
    return llamaLike(
      type,
      { ...values, head_dim: null, rms_norm_eps: epsilon },
      {
        biased: values.use_qkv_bias ? ['query', 'key', 'value'] : [],
        windows: () => Array(values.num_hidden_layers).fill(undefined),
        norm: (name, size) => layerNorm(name, size, epsilon),
        rotation: () => rotation,
        parallel: values.use_parallel_residual,
      },
    );
  },
  {
    ignored: noWindowLayers,
    neutral: {
      ...offElsewhere,
      qk_layernorm: only([false], 'every head of queries and keys would have a norm of its own'),
    },
  },
);
