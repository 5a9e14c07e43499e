import { real, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { embeddingAxes, linearLayer } from '../decoder.ts';
import { bertKeys } from './bert.ts';
import { family } from './family.ts';
import { biasedLayers, llamaFields, llamaLike } from './llama.ts';

/** EuroBERT: a Llama whose tokens see the whole text, as a masked language model. Defaults of `EuroBertConfig`. */
export const eurobert = family(
  {
    ...llamaFields,
    vocab_size: whole(128_256),
    hidden_size: whole(768),
    intermediate_size: whole(3072),
    num_hidden_layers: whole(12),
    num_attention_heads: whole(12),
    max_position_embeddings: whole(8192),
    rms_norm_eps: real(1e-5, { zero: true }),
  },
  (values, type) => {
    const decoder = llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias, values.mlp_bias),
      windows: (context) => noWindows(values, context),
    });
    // The head has a bias where the feed-forward layers have.
    const head = linearLayer('lm_head', ...embeddingAxes(values.vocab_size, values.hidden_size), values.mlp_bias);
    return { ...decoder, mask: 'bidirectional', head: { ...head, tied: values.tie_word_embeddings } };
  },
  {
    classes: bertKeys.classes ?? [],
    code: 'modeling_eurobert.EuroBertForMaskedLM',
    ignored: {
      ...noWindowLayers,
      classifier_pooling: 'is about classifiers, which pool the tokens of a text; a language model does not',
      clf_pooling: 'is an older name of classifier_pooling',
    },
    neutral: { ...bertKeys.neutral, use_sliding_window: offElsewhere.use_sliding_window },
  },
);
