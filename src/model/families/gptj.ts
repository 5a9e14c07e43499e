import { SubzeroError } from '../../errors.ts';
import { flag, text, whole } from '../config-fields.ts';
import { only } from '../config-keys.ts';
import { activationNamed, evenHeadWidth, family } from './family.ts';
import { gptLike } from './gpt-like.ts';
import { gpt2Fields, gpt2Ignored } from './gpt2.ts';

const { scale_attn_weights: _, ...fields } = gpt2Fields;

/**
 * GPT-J: neighbouring elements of a part of each head turn as pairs, both sublayers read the same sum through one norm,
 * and the output head has a bias. Defaults of `GPTJConfig`.
 */
export const gptj = family(
  {
    ...fields,
    vocab_size: whole(50_400),
    n_positions: whole(2048),
    n_embd: whole(4096),
    n_layer: whole(28),
    n_head: whole(16),
    rotary_dim: whole(64),
    activation_function: text('gelu_new'),
    tie_word_embeddings: flag(false),
  },
  (values, type) => {
    const headWidth = evenHeadWidth(values.n_embd, values.n_head);
    const { rotary_dim: rotaryWidth } = values;
    if (rotaryWidth > headWidth || rotaryWidth % 2 !== 0) {
      throw new SubzeroError(
        'invalid_data',
        `"rotary_dim" must be an even part of a head of ${headWidth} elements; got ${rotaryWidth}`,
      );
    }
    return gptLike(type, {
      names: {
        embedding: 'transformer.wte',
        layers: 'transformer.h',
        finalNorm: 'transformer.ln_f',
        norms: ['ln_1'],
        projections: ['attn.q_proj', 'attn.k_proj', 'attn.v_proj'],
        output: 'attn.out_proj',
        up: 'mlp.fc_in',
        down: 'mlp.fc_out',
      },
      vocabulary: values.vocab_size,
      width: values.n_embd,
      inner: values.n_inner ?? 4 * values.n_embd,
      layers: values.n_layer,
      heads: values.n_head,
      headWidth,
      contextLength: values.n_positions,
      epsilon: values.layer_norm_epsilon,
      activation: activationNamed('activation_function', values.activation_function),
      tied: values.tie_word_embeddings,
      biased: { projections: false, output: false, feedForward: true, head: true },
      parallel: true,
      rotation: { theta: 10_000, rotaryWidth, scaling: { type: 'default' }, interleaved: true },
    });
  },
  {
    ignored: gpt2Ignored,
    neutral: {
      rotary: only([true], 'heads would not turn'),
      scale_attn_weights: only([true], 'scores would not be divided by the root of the width of a head'),
    },
  },
);
