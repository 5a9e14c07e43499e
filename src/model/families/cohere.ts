import { SubzeroError } from '../../errors.ts';
import { flag, orNull, real, type Values, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere, only } from '../config-keys.ts';
import { windowsOf } from '../config-windows.ts';
import { type Decoder, layerNorm } from '../decoder.ts';
import { readRope } from '../rope-parameters.ts';
import { evenHeadWidth, family } from './family.ts';
import { biasedLayers, llamaFields, llamaLike } from './llama.ts';

const { layer_types: types, sliding_window: _window, mlp_bias: _bias, rms_norm_eps: _epsilon, ...shared } = llamaFields;

/** Keys of both with the defaults of their classes. */
const fields = {
  ...shared,
  vocab_size: whole(256_000),
  hidden_size: whole(8192),
  intermediate_size: whole(22_528),
  num_hidden_layers: whole(40),
  num_attention_heads: whole(64),
  max_position_embeddings: whole(8192),
  layer_norm_eps: real(1e-5, { zero: true }),
  logit_scale: real(0.0625),
  tie_word_embeddings: flag(true),
};

const neutral = {
  mlp_bias: offElsewhere.mlp_bias,
  use_sliding_window: offElsewhere.use_sliding_window,
  use_parallel_block: only([true], 'one sublayer would read what the other one added'),
  use_parallel_embedding: only([false], 'is about several devices'),
  use_gated_activation: only([true], 'feed-forward layers would not be gated ones'),
  use_embedding_sharing: only([true], 'the output head would not be the embedding'),
  position_embedding_type: only(['rope_gptj'], 'heads would turn otherwise'),
  order_of_interleaved_layers: only(['local_attn_first'], 'other layers would have the window'),
  rotary_pct: only([1], 'a part of each head would turn'),
  layer_switch: only([4], 'other layers would have the window'),
};

/** A decoder of either. @param windows keys that each layer sees, of which those of `unrotated` do not turn heads */
function cohereLike(
  type: string,
  values: Values<typeof fields>,
  windows: readonly (number | undefined)[],
  unrotated: (layer: number) => boolean,
): Decoder {
  const { layer_norm_eps: epsilon } = values;
  const headWidth = values.head_dim ?? evenHeadWidth(values.hidden_size, values.num_attention_heads);
  const rotation = { ...readRope(values, headWidth, values.max_position_embeddings), interleaved: true };
  return llamaLike(
    type,
    { ...values, rms_norm_eps: epsilon },
    {
      biased: biasedLayers(values.attention_bias),
      windows: () => windows,
      norm: (name, size) => layerNorm(name, size, epsilon, { gain: true, shift: false }),
      rotation: () => rotation,
      unrotated,
      parallel: true,
      decoder: { logits: { scale: values.logit_scale } },
    },
  );
}

/**
 * Command R: a Llama whose sublayers read the same sum through one LayerNorm without a shift, which turns neighbouring
 * elements of heads as pairs and scales logits. Defaults of `CohereConfig`.
 */
export const cohere = family(
  { ...fields, rope_theta: real(500_000) },
  (values, type) => cohereLike(type, values, Array(values.num_hidden_layers).fill(undefined), () => false),
  {
    ignored: noWindowLayers,
    neutral: {
      ...neutral,
      use_qk_norm: only([false], 'every head of queries and keys would have a norm of its own'),
    },
  },
);

/** Command R7B: a Command R, most layers of which have a window; the others do not turn heads. */
export const cohere2 = family(
  { ...fields, sliding_window: orNull(whole(0), 4096), layer_types: types, sliding_window_pattern: whole(4) },
  (values, type) => {
    const { sliding_window: window, sliding_window_pattern: pattern } = values;
    const windows = windowsOf(values, window ?? undefined, (layer) => (layer + 1) % pattern !== 0);
    if (window === null)
      throw new SubzeroError('unsupported', '"sliding_window" must be a number in this architecture');
    return cohereLike(type, values, windows, (layer) => windows[layer] === undefined);
  },
  { ignored: noWindowLayers, neutral },
);
