import { flag, real, text, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { layerNorm } from '../decoder.ts';
import { family } from './family.ts';
import { biasedLayers, llamaFields, llamaLike } from './llama.ts';

const { rms_norm_eps: _, ...fields } = llamaFields;

/** Jais 2: LayerNorms, biases everywhere and no gate in the feed-forward layers. Defaults of `Jais2Config`. */
export const jais2 = family(
  {
    ...fields,
    vocab_size: whole(150_272),
    hidden_size: whole(3328),
    intermediate_size: whole(26_624),
    num_attention_heads: whole(26),
    hidden_act: text('relu2'),
    max_position_embeddings: whole(8192),
    attention_bias: flag(true),
    mlp_bias: flag(true),
    layer_norm_eps: real(1e-5, { zero: true }),
  },
  (values, type) => {
    const { layer_norm_eps: epsilon } = values;
    return llamaLike(
      type,
      { ...values, rms_norm_eps: epsilon },
      {
        biased: biasedLayers(values.attention_bias, values.mlp_bias),
        windows: (context) => noWindows(values, context),
        norm: (name, width) => layerNorm(name, width, epsilon),
        feedForward: { up: 'up_proj', down: 'down_proj' },
      },
    );
  },
  { ignored: noWindowLayers, neutral: { use_sliding_window: offElsewhere.use_sliding_window } },
);
