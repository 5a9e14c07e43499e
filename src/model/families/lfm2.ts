import { SubzeroError } from '../../errors.ts';
import { quadAxis } from '../../tensor/axis.ts';
import { flag, numbers, orNull, real, texts, type Values, whole } from '../config-fields.ts';
import { only } from '../config-keys.ts';
import { attentionType, kindsOfLayers, wholeQuadsOnly } from '../config-layers.ts';
import { convolutionOf, type Decoder, embeddingAxes, linearLayer, matrix, rmsNorm, type Sublayer } from '../decoder.ts';
import { readRope, ropeFields } from '../rope-parameters.ts';
import { contextWith } from '../rope-rules.ts';
import type { ExpertsParts } from './experts.ts';
import { evenHeadWidth, family } from './family.ts';

/** Keys of those with short convolutions, with the defaults of `Lfm2Config`. */
export const convolutionFields = {
  vocab_size: whole(65_536),
  hidden_size: whole(2560),
  intermediate_size: whole(12_288),
  // An older name, which goes before the newer one.
  tie_embedding: orNull(flag(true)),
  num_hidden_layers: whole(32),
  num_attention_heads: whole(32),
  num_key_value_heads: whole(8),
  head_dim: orNull(whole(0)),
  max_position_embeddings: whole(128_000),
  norm_eps: real(1e-5, { zero: true }),
  tie_word_embeddings: flag(true),
  conv_bias: flag(false),
  conv_L_cache: whole(3),
  layer_types: texts,
  ...ropeFields,
  rope_theta: real(1_000_000),
};

type ConvolutionValues = Values<typeof convolutionFields>;

const lfm2Fields = {
  ...convolutionFields,
  // An older name, which goes before the newer one.
  block_ff_dim: orNull(whole(0)),
  block_multiple_of: whole(256),
  block_ffn_dim_multiplier: real(1),
  block_auto_adjust_ff_dim: flag(true),
  full_attn_idxs: numbers,
};

type Lfm2Values = Values<typeof lfm2Fields>;

/**
 * LFM2: short convolutions between two gates in most layers, attention with norms of queries and keys in the others.
 */
export const lfm2 = family(
  lfm2Fields,
  (values, type) =>
    convolutionDecoder(type, values, {
      attends: (layer) => values.full_attn_idxs?.includes(layer) ?? true,
      feedForward: () => feedForwardWidth(values),
    }),
  {
    ignored: {
      block_dim: 'the hidden size once more, which transformers does not read',
      num_heads: 'the number of heads once more, which transformers does not read',
      conv_dim: 'the hidden size once more, which transformers does not read',
      conv_dim_out: 'the hidden size once more, which transformers does not read',
      block_norm_eps: 'epsilon of norms under an older name, which transformers does not read',
      theta: 'base of the rotation under an older name, which transformers does not read',
      block_mlp_init_scale: 'how weights were drawn before training',
      block_out_init_scale: 'how weights were drawn before training',
      block_use_xavier_init: 'how weights were drawn before training',
      conv_use_xavier_init: 'how weights were drawn before training',
    },
    neutral: {
      block_use_swiglu: only([true], 'the feed-forward layers would not be gated ones'),
      use_pos_enc: only([true], 'queries and keys would not be turned by their positions'),
    },
  },
);

/** Where those with short convolutions differ. */
interface ConvolutionLayers {
  /** Which layers have attention, where no types of layers are listed. */
  attends: (layer: number) => boolean;
  /** What follows the first sublayer of a layer: experts, or a feed-forward layer of so many elements inside. */
  feedForward: (layer: number, prefix: string) => ExpertsParts | number;
}

/** A decoder of layers of short convolutions, and of attention. */
export function convolutionDecoder(type: string, values: ConvolutionValues, own: ConvolutionLayers): Decoder {
  const { hidden_size: width, num_attention_heads: heads, norm_eps: epsilon, vocab_size: vocabulary } = values;
  const { num_key_value_heads: keyHeads, conv_L_cache: taps, conv_bias: biased } = values;
  const headWidth = values.head_dim ?? evenHeadWidth(width, heads);
  if (headWidth % 2 !== 0) {
    throw new SubzeroError('invalid_data', `heads of ${headWidth} elements cannot be turned in pairs`);
  }
  wholeQuadsOnly({ hidden_size: width });
  const rotation = readRope(values, headWidth, values.max_position_embeddings);
  const kinds = kindsOfLayers(values, 'conv', own.attends);
  const hidden = quadAxis(width);
  const [queries, keys] = [quadAxis(headWidth, heads), quadAxis(headWidth, keyHeads)];
  const plain = (name: string, rows = hidden, columns = hidden) => linearLayer(name, rows, columns, false);
  const mixers = {
    [attentionType]: (prefix: string): Sublayer => ({
      kind: 'attention',
      before: rmsNorm(`${prefix}.operator_norm`, width, epsilon),
      query: plain(`${prefix}.self_attn.q_proj`, queries),
      key: plain(`${prefix}.self_attn.k_proj`, keys),
      value: plain(`${prefix}.self_attn.v_proj`, keys),
      output: plain(`${prefix}.self_attn.out_proj`, hidden, queries),
      queryNorm: rmsNorm(`${prefix}.self_attn.q_layernorm`, headWidth, epsilon),
      keyNorm: rmsNorm(`${prefix}.self_attn.k_layernorm`, headWidth, epsilon),
      ...{ heads, keyHeads, headWidth, rotation },
    }),
    conv: (prefix: string): Sublayer => ({
      kind: 'short-convolution',
      before: rmsNorm(`${prefix}.operator_norm`, width, epsilon),
      input: linearLayer(`${prefix}.conv.in_proj`, quadAxis(width, 3), hidden, biased),
      convolution: convolutionOf(`${prefix}.conv.conv`, width, taps, biased),
      output: linearLayer(`${prefix}.conv.out_proj`, hidden, hidden, biased),
    }),
  };
  const after = (layer: number, prefix: string): Sublayer => {
    const before = rmsNorm(`${prefix}.ffn_norm`, width, epsilon);
    const given = own.feedForward(layer, prefix);
    if (typeof given !== 'number') return { before, ...given, activation: 'silu' };
    return {
      ...{ kind: 'feed-forward', before, activation: 'silu' },
      gate: plain(`${prefix}.feed_forward.w1`, quadAxis(given)),
      up: plain(`${prefix}.feed_forward.w3`, quadAxis(given)),
      down: plain(`${prefix}.feed_forward.w2`, hidden, quadAxis(given)),
    };
  };
  return {
    architecture: type,
    vocabularySize: vocabulary,
    contextLength: contextWith(rotation.scaling, values.max_position_embeddings),
    embedding: matrix('model.embed_tokens', ...embeddingAxes(vocabulary, width)),
    blocks: kinds.map((kind, layer) => {
      const prefix = `model.layers.${layer}`;
      return [mixers[kind](prefix), after(layer, prefix)];
    }),
    finalNorm: rmsNorm('model.embedding_norm', width, epsilon),
    head: {
      ...matrix('lm_head', ...embeddingAxes(vocabulary, width)),
      tied: values.tie_embedding ?? values.tie_word_embeddings,
    },
  };
}

/** Elements inside of a feed-forward layer: two thirds of what is written, rounded up to whole multiples. */
function feedForwardWidth(values: Lfm2Values): number {
  const written = values.block_ff_dim ?? values.intermediate_size;
  if (!values.block_auto_adjust_ff_dim) return written;
  const unit = values.block_multiple_of;
  const adjusted = Math.floor(values.block_ffn_dim_multiplier * Math.floor((2 * written) / 3));
  return unit * Math.ceil(adjusted / unit);
}
