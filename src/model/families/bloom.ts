import { SubzeroError } from '../../errors.ts';
import { type Field, flag, orNull, real, type Values, whole } from '../config-fields.ts';
import { only } from '../config-keys.ts';
import { layerNorm } from '../decoder.ts';
import { evenHeadWidth, family } from './family.ts';
import { gptLike } from './gpt-like.ts';

const other: Field<number | null> = { ...whole(0), fallback: null };

/** Keys with the defaults of `BloomConfig`; some go by two names. */
const fields = {
  vocab_size: whole(250_880),
  hidden_size: whole(64),
  n_embed: orNull(whole(0)),
  n_layer: whole(2),
  num_hidden_layers: other,
  n_head: whole(8),
  num_attention_heads: other,
  layer_norm_epsilon: real(1e-5, { zero: true }),
  seq_length: whole(2048),
  tie_word_embeddings: flag(true),
};

/** A size by either of its names. @throws SubzeroError where both are there and differ */
function eitherOf(values: Values<typeof fields>, name: keyof typeof fields, second: keyof typeof fields): number {
  const [size, more] = [values[name] as number, values[second] as number | null];
  if (more !== null && more !== size && size !== fields[name].fallback) {
    throw new SubzeroError('invalid_data', `"${name}" ${size} and "${second}" ${more} are one number of two values`);
  }
  return more ?? size;
}

/**
 * BLOOM: scores that fall with the distance, a norm of the embedding, and heads of queries, keys and values in turns.
 */
export const bloom = family(
  fields,
  (values, type) => {
    const width = eitherOf(values, 'hidden_size', 'n_embed');
    const heads = eitherOf(values, 'n_head', 'num_attention_heads');
    const embeddingNorm = 'transformer.word_embeddings_layernorm';
    const decoder = gptLike(type, {
      names: {
        embedding: 'transformer.word_embeddings',
        layers: 'transformer.h',
        finalNorm: 'transformer.ln_f',
        norms: ['input_layernorm', 'post_attention_layernorm'],
        projections: ['self_attention.query_key_value'],
        output: 'self_attention.dense',
        up: 'mlp.dense_h_to_4h',
        down: 'mlp.dense_4h_to_h',
      },
      ...{ width, heads, headWidth: evenHeadWidth(width, heads), alibi: { heads } },
      vocabulary: values.vocab_size,
      inner: 4 * width,
      layers: eitherOf(values, 'n_layer', 'num_hidden_layers'),
      contextLength: values.seq_length,
      epsilon: values.layer_norm_epsilon,
      activation: 'gelu-tanh',
      tied: values.tie_word_embeddings,
      biased: { projections: true, output: true, feedForward: true },
      order: 'groups',
    });
    return { ...decoder, embeddingNorm: layerNorm(embeddingNorm, width, values.layer_norm_epsilon) };
  },
  {
    ignored: {
      attention_softmax_in_fp32: 'is about roundings in 16-bit arithmetic; sums here are f32',
      slow_but_exact: 'is about the order of roundings in 16-bit arithmetic; sums here are f32',
      offset_alibi: 'a length of tables that transformers does not make',
      n_inner: 'the inner width once more, which transformers does not read',
      ...Object.fromEntries(
        ['bias_dropout_fusion', 'masked_softmax_fusion', 'skip_bias_add', 'skip_bias_add_qkv'].map((name) => [
          name,
          'chooses among kernels that compute the same function',
        ]),
      ),
    },
    neutral: {
      apply_residual_connection_post_layernorm: only([false], 'sublayers would be added to what their norms give'),
    },
  },
);
