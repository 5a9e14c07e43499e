import { orNull, real, whole } from '../config-fields.ts';
import { offElsewhere } from '../config-keys.ts';
import { windowsByPattern } from '../config-windows.ts';
import { readRopeOfTypes } from '../rope-parameters.ts';
import { evenHeadWidth, family } from './family.ts';
import { biasedLayers, layerNorms, llamaFields, llamaLike } from './llama.ts';

const { mlp_bias: _bias, original_max_position_embeddings: _context, ...fields } = llamaFields;

/** The base in layers with a window, whatever "rope_theta" says: transformers reads that for the others only. */
const windowTheta = 500_000;

/** OLMo 3: an OLMo 2 with windows in three of four layers, which turn heads by a rule of their own. `Olmo3Config`. */
export const olmo3 = family(
  {
    ...fields,
    vocab_size: whole(50_304),
    rms_norm_eps: real(1e-5, { zero: true }),
    rope_theta: real(windowTheta),
    sliding_window: orNull(whole(0), 4096),
  },
  (values, type) => {
    const windows = windowsByPattern(values, (layer) => (layer + 1) % 4 !== 0);
    const headWidth = values.head_dim ?? evenHeadWidth(values.hidden_size, values.num_attention_heads);
    const rotations = readRopeOfTypes(values, headWidth, values.max_position_embeddings, {
      full_attention: values.rope_theta,
      sliding_attention: windowTheta,
    });
    return llamaLike(
      type,
      { ...values, original_max_position_embeddings: null },
      {
        biased: biasedLayers(values.attention_bias),
        windows: () => windows,
        rotation: (layer) => rotations[windows[layer] === undefined ? 'full_attention' : 'sliding_attention'],
        queryKeyNorms: 'whole',
        norms: layerNorms.after,
      },
    );
  },
  {
    ignored: { max_window_layers: 'the first layer with a window, in architectures that choose windows by layer' },
    neutral: { mlp_bias: offElsewhere.mlp_bias, use_sliding_window: offElsewhere.use_sliding_window },
  },
);
