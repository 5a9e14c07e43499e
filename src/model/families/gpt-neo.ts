import { SubzeroError } from '../../errors.ts';
import { brief, type Field, flag, orNull, real, text, texts, whole } from '../config-fields.ts';
import { only } from '../config-keys.ts';
import { activationNamed, evenHeadWidth, family } from './family.ts';
import { gptLike } from './gpt-like.ts';
import { gpt2Ignored } from './gpt2.ts';

/** Kinds of layers in turn, and how often. */
type Repeated = [kinds: string[], times: number];

const isRepeated = (entry: unknown): entry is Repeated =>
  Array.isArray(entry) && entry.length === 2 && texts.accepts(entry[0]) && whole(1).accepts(entry[1]);

const repeated: Field<Repeated[] | null> = orNull({
  fallback: [],
  expected: 'a list of [kinds of layers, how often]',
  accepts: (value) => Array.isArray(value) && value.every(isRepeated),
});

/** The kind of each layer. @throws SubzeroError where there is not one for each */
function kindsOf(types: readonly Repeated[], listed: string[] | null, layers: number): string[] {
  const kinds = types.flatMap(([each, times]) => Array.from({ length: times }, () => each).flat());
  const other = kinds.find((kind) => kind !== 'global' && kind !== 'local');
  if (other !== undefined) {
    throw new SubzeroError('unsupported', `"attention_types" must be of global and local layers; got ${brief(other)}`);
  }
  if (kinds.length !== layers) {
    throw new SubzeroError('invalid_data', `"attention_types" tells ${kinds.length} layers of ${layers}`);
  }
  if (listed && listed.join() !== kinds.join()) {
    throw new SubzeroError('unsupported', '"attention_layers" must be the layers that "attention_types" tells');
  }
  return kinds;
}

/**
 * GPT-Neo: a GPT-2 whose scores are not divided, and whose local layers see the last tokens only. Defaults of
 * `GPTNeoConfig`.
 */
export const gptNeo = family(
  {
    vocab_size: whole(50_257),
    max_position_embeddings: whole(2048),
    hidden_size: whole(2048),
    num_layers: whole(24),
    num_heads: whole(16),
    intermediate_size: orNull(whole(0)),
    attention_types: repeated,
    attention_layers: texts,
    window_size: whole(256),
    activation_function: text('gelu_new'),
    layer_norm_epsilon: real(1e-5, { zero: true }),
    tie_word_embeddings: flag(true),
  },
  (values, type) => {
    const { hidden_size: width, num_heads: heads, num_layers: layers } = values;
    const kinds = kindsOf(values.attention_types ?? [[['global', 'local'], 12]], values.attention_layers, layers);
    return gptLike(type, {
      names: {
        embedding: 'transformer.wte',
        positions: 'transformer.wpe',
        layers: 'transformer.h',
        finalNorm: 'transformer.ln_f',
        norms: ['ln_1', 'ln_2'],
        projections: ['attn.attention.q_proj', 'attn.attention.k_proj', 'attn.attention.v_proj'],
        output: 'attn.attention.out_proj',
        up: 'mlp.c_fc',
        down: 'mlp.c_proj',
      },
      ...{ width, heads, layers },
      vocabulary: values.vocab_size,
      inner: values.intermediate_size ?? 4 * width,
      headWidth: evenHeadWidth(width, heads),
      contextLength: values.max_position_embeddings,
      epsilon: values.layer_norm_epsilon,
      activation: activationNamed('activation_function', values.activation_function),
      tied: values.tie_word_embeddings,
      biased: { projections: false, output: true, feedForward: true },
      windowOf: (layer) => (kinds[layer] === 'local' ? values.window_size : undefined),
      scoreScaleOf: () => 1,
    });
  },
  {
    ignored: gpt2Ignored,
    neutral: { scale_attn_weights: only([false], 'scores would be divided by the root of the width of a head') },
  },
);
