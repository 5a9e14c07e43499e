import { SubzeroError } from '../../errors.ts';
import { flag, object, orNull, real, text, whole } from '../config-fields.ts';
import { readRope } from '../rope-parameters.ts';
import { contextWith } from '../rope-rules.ts';
import { activationNamed, evenHeadWidth, family } from './family.ts';
import { gptLike } from './gpt-like.ts';

/** Keys with the defaults of `GPTNeoXConfig`. */
const fields = {
  vocab_size: whole(50_432),
  hidden_size: whole(6144),
  intermediate_size: whole(24_576),
  num_hidden_layers: whole(44),
  num_attention_heads: whole(64),
  hidden_act: text('gelu'),
  max_position_embeddings: whole(2048),
  layer_norm_eps: real(1e-5, { zero: true }),
  tie_word_embeddings: flag(false),
  use_parallel_residual: flag(true),
  attention_bias: flag(true),
  rotary_pct: real(0.25),
  rotary_emb_base: real(10_000),
  rope_scaling: object,
  rope_parameters: object,
  rope_theta: orNull(real(0)),
  partial_rotary_factor: orNull(real(0)),
  original_max_position_embeddings: orNull(real(0)),
};

/** Refuses a name of other architectures with another value, which transformers leaves unread. */
function refuseOther(name: string, given: number | null, own: string, value: number): void {
  if (given === null || given === value) return;
  throw new SubzeroError('unsupported', `"${name}" must be that of "${own}", ${value}, which this architecture reads`);
}

/**
 * GPT-NeoX and Pythia: a part of each head turns, every head has its query, key and value in one matrix, and both
 * sublayers read the same sum, each through a norm of its own.
 */
export const gptNeox = family(fields, (values, type) => {
  const { hidden_size: width, num_attention_heads: heads, attention_bias: biased } = values;
  const { max_position_embeddings: context, rotary_emb_base: theta, rotary_pct: share } = values;
  refuseOther('rope_theta', values.rope_theta, 'rotary_emb_base', theta);
  refuseOther('partial_rotary_factor', values.partial_rotary_factor, 'rotary_pct', share);
  const headWidth = evenHeadWidth(width, heads);
  const rotation = readRope({ ...values, rope_theta: theta, partial_rotary_factor: share }, headWidth, context, {
    partial: true,
  });
  const decoder = gptLike(type, {
    names: {
      embedding: 'gpt_neox.embed_in',
      layers: 'gpt_neox.layers',
      finalNorm: 'gpt_neox.final_layer_norm',
      norms: ['input_layernorm', 'post_attention_layernorm'],
      projections: ['attention.query_key_value'],
      output: 'attention.dense',
      up: 'mlp.dense_h_to_4h',
      down: 'mlp.dense_4h_to_h',
    },
    ...{ width, heads, headWidth, rotation },
    vocabulary: values.vocab_size,
    inner: values.intermediate_size,
    layers: values.num_hidden_layers,
    contextLength: contextWith(rotation.scaling, context),
    epsilon: values.layer_norm_eps,
    activation: activationNamed('hidden_act', values.hidden_act),
    tied: values.tie_word_embeddings,
    biased: { projections: biased, output: biased, feedForward: true },
    order: 'groups',
    parallel: values.use_parallel_residual,
  });
  return { ...decoder, stored: { prefixes: [{ name: 'lm_head.', older: 'embed_out.' }], exported: true } };
});
