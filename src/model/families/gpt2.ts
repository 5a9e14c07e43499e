import { flag, orNull, real, text, type Values, whole } from '../config-fields.ts';
import { activationNamed, evenHeadWidth, family } from './family.ts';
import { type GptLike, gptLike } from './gpt-like.ts';

/** Keys with the defaults of `GPT2Config`. */
export const gpt2Fields = {
  vocab_size: whole(50_257),
  n_positions: whole(1024),
  n_embd: whole(768),
  n_layer: whole(12),
  n_head: whole(12),
  n_inner: orNull(whole(0)),
  activation_function: text('gelu_new'),
  layer_norm_epsilon: real(1e-5, { zero: true }),
  tie_word_embeddings: flag(true),
  scale_attn_weights: flag(true),
};

/** Keys of GPT-2 and its relatives without effect. */
export const gpt2Ignored: Readonly<Record<string, string>> = {
  n_ctx: 'an older name of the context, which is that of the table of positions',
  reorder_and_upcast_attn: 'is about the order of roundings in 16-bit arithmetic; sums here are f32',
  ...Object.fromEntries(
    ['type', 'use_proj', 'activation', 'proj_to_labels', 'first_dropout'].map((name) => [
      `summary_${name}`,
      'is about a classifier of whole texts, which a language model does not have',
    ]),
  ),
};

/** The factor of the scores of a layer where it is not one by the root of the width of a head. */
function scoreScales(values: Values<typeof gpt2Fields> & { scale_attn_by_inverse_layer_idx: boolean }) {
  const { scale_attn_weights: scaled, scale_attn_by_inverse_layer_idx: byLayer } = values;
  if (scaled && !byLayer) return () => undefined;
  const common = scaled ? Math.sqrt(values.n_head / values.n_embd) : 1;
  return (layer: number): number => (byLayer ? common / (layer + 1) : common);
}

/** What GPT-2 and its relatives share: the names of their modules, sizes and biases. */
export function gpt2Parts(values: Values<typeof gpt2Fields>) {
  return {
    names: {
      embedding: 'transformer.wte',
      positions: 'transformer.wpe',
      layers: 'transformer.h',
      finalNorm: 'transformer.ln_f',
      norms: ['ln_1', 'ln_2'],
      projections: ['attn.c_attn'],
      output: 'attn.c_proj',
      up: 'mlp.c_fc',
      down: 'mlp.c_proj',
    },
    vocabulary: values.vocab_size,
    width: values.n_embd,
    inner: values.n_inner ?? 4 * values.n_embd,
    layers: values.n_layer,
    heads: values.n_head,
    headWidth: evenHeadWidth(values.n_embd, values.n_head),
    contextLength: values.n_positions,
    epsilon: values.layer_norm_epsilon,
    activation: activationNamed('activation_function', values.activation_function),
    tied: values.tie_word_embeddings,
    biased: { projections: true, output: true, feedForward: true },
  } as const satisfies GptLike;
}

/** GPT-2: learned positions, one matrix for queries, keys and values, and matrices stored as [in, out]. */
export const gpt2 = family(
  { ...gpt2Fields, scale_attn_by_inverse_layer_idx: flag(false) },
  (values, type) => gptLike(type, { ...gpt2Parts(values), transposed: true, scoreScaleOf: scoreScales(values) }),
  { ignored: gpt2Ignored },
);
