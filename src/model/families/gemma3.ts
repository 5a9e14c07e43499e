import { orNull, real, whole } from '../config-fields.ts';
import { windowsByPattern } from '../config-windows.ts';
import { readRopeOfTypes } from '../rope-parameters.ts';
import { family } from './family.ts';
import { gemmaEmbeddingScale, gemmaNorm } from './gemma.ts';
import { gemma2Fields, gemma2Keys, logitCap } from './gemma2.ts';
import { biasedLayers, layerNorms, llamaLike } from './llama.ts';
import { wrapper } from './wrapper.ts';

const { attn_logit_softcapping: _cap, original_max_position_embeddings: _context, ...fields } = gemma2Fields;

/**
 * Gemma 3: a Gemma 2 without a cap of scores, with norms of every head's queries and keys, and with a rotation of its
 * own in layers with a window. Defaults of `Gemma3TextConfig`.
 */
export const gemma3Text = family(
  {
    ...fields,
    vocab_size: whole(262_208),
    max_position_embeddings: whole(131_072),
    sliding_window_pattern: whole(6),
    final_logit_softcapping: orNull(real(0)),
    rope_theta: real(1_000_000),
    rope_local_base_freq: real(10_000),
  },
  (values, type) => {
    const { sliding_window_pattern: pattern, rope_theta: full, rope_local_base_freq: local } = values;
    const windows = windowsByPattern(values, (layer) => (layer + 1) % pattern !== 0);
    const thetas = { full_attention: full, sliding_attention: local };
    const rotations = readRopeOfTypes(values, values.head_dim, values.max_position_embeddings, thetas);
    return llamaLike(
      type,
      { ...values, hidden_act: values.hidden_activation, original_max_position_embeddings: null },
      {
        biased: biasedLayers(values.attention_bias),
        windows: () => windows,
        rotation: (layer) => rotations[windows[layer] === undefined ? 'full_attention' : 'sliding_attention'],
        queryKeyNorms: 'head',
        norms: layerNorms.around,
        norm: gemmaNorm(values.rms_norm_eps),
        attention: { scale: values.query_pre_attn_scalar ** -0.5 },
        decoder: {
          embeddingScale: gemmaEmbeddingScale(values.hidden_size),
          ...logitCap(values.final_logit_softcapping),
        },
      },
    );
  },
  {
    classes: ['Gemma3ForCausalLM', 'Gemma3TextModel'],
    ignored: {
      ...gemma2Keys.ignored,
      _sliding_window_pattern: 'a note of the pattern that "layer_types" was made by',
    },
    neutral: {
      ...gemma2Keys.neutral,
      attn_logit_softcapping: {
        accepts: (value) => value === null,
        expected: 'null',
        otherwise: 'transformers leaves scores as they are in this architecture',
      },
    },
  },
);

/** Gemma 3 with eyes, whose language model is read. */
export const gemma3 = wrapper({ gemma3_text: gemma3Text }, 'gemma3_text', {
  classes: ['Gemma3ForConditionalGeneration'],
  ignored: ['mm_tokens_per_image', 'boi_token_index', 'eoi_token_index', 'image_token_index'],
});
