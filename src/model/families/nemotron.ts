import { real, text, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { layerNorm } from '../decoder.ts';
import { readRope } from '../rope-parameters.ts';
import { evenHeadWidth, family } from './family.ts';
import { biasedLayers, llamaFields, llamaLike } from './llama.ts';

const { rms_norm_eps: _, ...fields } = llamaFields;

/**
 * Nemotron: LayerNorms whose gains are stored less 1, no gate in the feed-forward layers, and half of each head turned.
 * Defaults of `NemotronConfig`.
 */
export const nemotron = family(
  {
    ...fields,
    vocab_size: whole(256_000),
    hidden_size: whole(6144),
    intermediate_size: whole(24_576),
    num_attention_heads: whole(48),
    hidden_act: text('relu2'),
    max_position_embeddings: whole(4096),
    norm_eps: real(1e-5, { zero: true }),
    partial_rotary_factor: real(0.5),
  },
  (values, type) => {
    const { norm_eps: epsilon, max_position_embeddings: context } = values;
    const headWidth = values.head_dim ?? evenHeadWidth(values.hidden_size, values.num_attention_heads);
    const rotation = readRope(values, headWidth, context, { partial: true });
    return llamaLike(
      type,
      { ...values, rms_norm_eps: epsilon },
      {
        biased: biasedLayers(values.attention_bias, values.mlp_bias),
        windows: (length) => noWindows(values, length),
        rotation: () => rotation,
        norm: (name, width) => ({ ...layerNorm(name, width, epsilon, { gain: true, shift: true }), gainOffset: 1 }),
        feedForward: { up: 'up_proj', down: 'down_proj' },
      },
    );
  },
  { ignored: noWindowLayers, neutral: { use_sliding_window: offElsewhere.use_sliding_window } },
);
