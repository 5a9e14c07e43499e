import { real, text, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { family } from './family.ts';
import { biasedLayers, llamaFields, llamaLike } from './llama.ts';

/** Arcee: a Llama without a gate in its feed-forward layers. Defaults of `ArceeConfig`. */
export const arcee = family(
  {
    ...llamaFields,
    hidden_size: whole(2560),
    intermediate_size: whole(18_432),
    hidden_act: text('relu2'),
    max_position_embeddings: whole(4096),
    rms_norm_eps: real(1e-5, { zero: true }),
  },
  (values, type) =>
    llamaLike(type, values, {
      biased: biasedLayers(values.attention_bias, values.mlp_bias),
      windows: (context) => noWindows(values, context),
      feedForward: { up: 'up_proj', down: 'down_proj' },
    }),
  { ignored: noWindowLayers, neutral: { use_sliding_window: offElsewhere.use_sliding_window } },
);
