import { SubzeroError } from '../../errors.ts';
import { flag, orNull, real, text, type Values, whole } from '../config-fields.ts';
import { only } from '../config-keys.ts';
import { readRope, ropeFields } from '../rope-parameters.ts';
import { contextWith } from '../rope-rules.ts';
import { activationNamed, evenHeadWidth, family } from './family.ts';
import { type GptNames, gptLike } from './gpt-like.ts';

/** Keys with the defaults of `FalconConfig`. */
const fields = {
  vocab_size: whole(65_024),
  hidden_size: whole(4544),
  num_hidden_layers: whole(32),
  num_attention_heads: whole(71),
  num_ln_in_parallel_attn: orNull(whole(0)),
  layer_norm_epsilon: real(1e-5, { zero: true }),
  num_kv_heads: orNull(whole(0)),
  new_decoder_architecture: orNull(flag(false), false),
  multi_query: orNull(flag(true), true),
  parallel_attn: orNull(flag(true), true),
  bias: orNull(flag(false), false),
  alibi: orNull(flag(false), false),
  max_position_embeddings: whole(2048),
  ffn_hidden_size: orNull(whole(0)),
  activation: text('gelu'),
  tie_word_embeddings: flag(true),
  ...ropeFields,
};

/** The norms of a layer. @throws SubzeroError where the keys ask for norms that the class does not have */
function normsOf(values: Values<typeof fields>): GptNames['norms'] {
  const { new_decoder_architecture: isNew, parallel_attn: parallel, num_ln_in_parallel_attn: count } = values;
  if (!parallel && !isNew) return ['input_layernorm', 'post_attention_layernorm'];
  if (parallel && isNew && (count ?? 2) === 2) return ['ln_attn', 'ln_mlp'];
  if (parallel && count !== 2) return ['input_layernorm'];
  throw new SubzeroError(
    'unsupported',
    `"new_decoder_architecture" ${isNew}, "parallel_attn" ${parallel} and "num_ln_in_parallel_attn" ${count} make ` +
      `no model`,
  );
}

/**
 * Falcon: one matrix for queries, keys and values, one key head for all queries or for a group of them, and sublayers
 * that read the same sum. With `alibi`, scores fall with the distance in place of the rotation.
 */
export const falcon = family(
  fields,
  (values, type) => {
    const { hidden_size: width, num_attention_heads: heads, max_position_embeddings: context } = values;
    const { new_decoder_architecture: isNew, multi_query: shared } = values;
    const biased = values.bias === true;
    const headWidth = evenHeadWidth(width, heads);
    const rotation = readRope(values, headWidth, context);
    return gptLike(type, {
      names: {
        embedding: 'transformer.word_embeddings',
        layers: 'transformer.h',
        finalNorm: 'transformer.ln_f',
        norms: normsOf(values),
        projections: ['self_attention.query_key_value'],
        output: 'self_attention.dense',
        up: 'mlp.dense_h_to_4h',
        down: 'mlp.dense_4h_to_h',
      },
      ...{ width, heads, headWidth },
      // The biases are added before scores are divided.
      ...(values.alibi ? { alibi: { heads, scale: 1 / Math.sqrt(headWidth), rounded: true } } : { rotation }),
      vocabulary: values.vocab_size,
      inner: values.ffn_hidden_size ?? 4 * width,
      layers: values.num_hidden_layers,
      keyHeads: isNew ? (values.num_kv_heads ?? heads) : shared ? 1 : heads,
      contextLength: values.alibi ? context : contextWith(rotation.scaling, context),
      epsilon: values.layer_norm_epsilon,
      activation: activationNamed('activation', values.activation),
      tied: values.tie_word_embeddings,
      biased: { projections: biased, output: biased, feedForward: biased },
      order: 'groups',
      parallel: isNew === true || values.parallel_attn === true,
    });
  },
  {
    neutral: {
      apply_residual_connection_post_layernorm: only([false], 'sublayers would be added to what their norms give'),
    },
    code: 'modeling_falcon.FalconForCausalLM',
  },
);
