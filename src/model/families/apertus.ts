import { flag, object, real, text, whole } from '../config-fields.ts';
import { only } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { family } from './family.ts';
import { biasedLayers, llamaLike, llamaLikeFields, xieluConstants } from './llama.ts';

/** The rotary settings of a file without any. */
const defaultRope = {
  ...{ rope_type: 'llama3', rope_theta: 12_000_000, factor: 8, original_max_position_embeddings: 8192 },
  ...{ low_freq_factor: 1, high_freq_factor: 4 },
};

const { sliding_window: _window, layer_types: _types, ...fields } = llamaLikeFields;

const constants = Object.entries(xieluConstants).map(([name, value]) => ({
  pattern: new RegExp(`\\.mlp\\.act_fn\\.${name}$`),
  value,
}));

/**
 * Apertus: a Llama with norms of queries and keys, and no gate: the activation xIELU learns its shape in every layer.
 * Defaults of `ApertusConfig`.
 */
export const apertus = family(
  {
    ...fields,
    vocab_size: whole(131_072),
    intermediate_size: whole(14_336),
    hidden_act: text('xielu'),
    max_position_embeddings: whole(65_536),
    rms_norm_eps: real(1e-5, { zero: true }),
    attention_bias: flag(false),
    rope_theta: real(12_000_000),
    rope_parameters: object,
  },
  (values, type) => {
    const xielu = values.hidden_act === 'xielu';
    return llamaLike(
      type,
      {
        ...values,
        hidden_act: xielu ? 'linear' : values.hidden_act,
        rope_parameters: values.rope_parameters ?? defaultRope,
      },
      {
        biased: biasedLayers(values.attention_bias),
        windows: (context) => noWindows({ ...values, sliding_window: null, layer_types: null }, context),
        queryKeyNorms: 'head',
        norms: { attention: { before: 'attention_layernorm' }, feedForward: { before: 'feedforward_layernorm' } },
        feedForward: { up: 'up_proj', down: 'down_proj' },
        ...(xielu ? { xielu, decoder: { stored: { prefixes: [], constants } } } : {}),
      },
    );
  },
  {
    neutral: {
      mlp_bias: only([false], 'the feed-forward layers would have biases'),
      qk_norm: only([true], 'queries and keys would not be normalised'),
      post_norm: only([false], 'norms would be of what sublayers give'),
    },
  },
);
