import { whole } from '../config-fields.ts';
import { type NeutralKey, noWindowLayers, offElsewhere } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { layerNorm } from '../decoder.ts';
import { family } from './family.ts';
import { biasedLayers, llamaFields, llamaLike } from './llama.ts';

const { mlp_bias: _bias, rms_norm_eps: _epsilon, ...fields } = llamaFields;

/** Only null says that nothing is clipped: at 0 everything would be. */
export const unclipped: NeutralKey = {
  accepts: (value) => value === null,
  expected: 'null',
  otherwise: 'queries, keys and values would be clipped',
};

/** Fixed in the architecture, not in its config. */
const epsilon = 1e-5;

/** OLMo: a Llama with LayerNorms that have no parameters. Defaults of `OlmoConfig`. */
export const olmo = family(
  { ...fields, vocab_size: whole(50_304) },
  (values, type) =>
    llamaLike(
      type,
      { ...values, rms_norm_eps: epsilon },
      {
        biased: biasedLayers(values.attention_bias),
        windows: (context) => noWindows(values, context),
        norm: (name, width) => layerNorm(name, width, epsilon, { gain: false, shift: false }),
      },
    ),
  {
    ignored: noWindowLayers,
    neutral: {
      mlp_bias: offElsewhere.mlp_bias,
      use_sliding_window: offElsewhere.use_sliding_window,
      clip_qkv: unclipped,
    },
  },
);
