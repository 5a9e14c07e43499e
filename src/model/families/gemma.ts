import { flag, orNull, text, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere, only } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { type Norm, rmsNorm } from '../decoder.ts';
import { family } from './family.ts';
import { biasedLayers, llamaFields, llamaLike } from './llama.ts';

const { mlp_bias: _, ...plainFields } = llamaFields;

/** The keys of all Gemmas. */
export const gemmaFields = {
  ...plainFields,
  vocab_size: whole(256_000),
  head_dim: whole(256),
  max_position_embeddings: whole(8192),
  tie_word_embeddings: flag(true),
};

/** An RMSNorm whose gain is stored as its distance from 1. */
export function gemmaNorm(epsilon: number): (name: string, width: number) => Norm {
  return (name, width) => ({ ...rmsNorm(name, width, epsilon), gainOffset: 1 });
}

/** √width in f32, as transformers has it where it computes in f32. */
export function gemmaEmbeddingScale(width: number): number {
  return Math.fround(Math.sqrt(width));
}

export const causalOnly = only([false], 'tokens would see those after them');

/** Gemma: a Llama with a scaled embedding, and gains that are stored as their distance from 1. `GemmaConfig`. */
export const gemma = family(
  {
    ...gemmaFields,
    hidden_size: whole(3072),
    intermediate_size: whole(24_576),
    num_hidden_layers: whole(28),
    num_attention_heads: whole(16),
    num_key_value_heads: orNull(whole(0), 16),
    hidden_act: text('gelu_pytorch_tanh'),
  },
  ({ hidden_act: activation, ...values }, type) => {
    // The class takes "gelu" for its approximation by tanh, which the first files meant by it.
    const hidden_act = activation === 'gelu' ? 'gelu_pytorch_tanh' : activation;
    return llamaLike(
      type,
      { ...values, hidden_act },
      {
        biased: biasedLayers(values.attention_bias),
        windows: (context) => noWindows(values, context),
        norm: gemmaNorm(values.rms_norm_eps),
        decoder: { embeddingScale: gemmaEmbeddingScale(values.hidden_size) },
      },
    );
  },
  {
    ignored: noWindowLayers,
    neutral: {
      mlp_bias: offElsewhere.mlp_bias,
      use_sliding_window: offElsewhere.use_sliding_window,
      use_bidirectional_attention: causalOnly,
      hidden_activation: only(['gelu_pytorch_tanh'], 'it would contradict "hidden_act", which counts'),
    },
  },
);
