import { SubzeroError } from '../../errors.ts';
import { brief, type Config, real, whole } from '../config-fields.ts';
import { offElsewhere, only } from '../config-keys.ts';
import { uniformWindows } from '../config-windows.ts';
import { readRope } from '../rope-parameters.ts';
import { evenHeadWidth, family } from './family.ts';
import { llamaLike, llamaLikeFields } from './llama.ts';

const { head_dim: _width, layer_types: _types, ...fields } = llamaLikeFields;

/** The rotary settings, in which older files call LongRoPE by other names. */
function namedAnew(settings: Config | null): Config | null {
  if (!settings || Object.keys(settings).length === 0) return settings;
  const type = settings.rope_type === undefined ? (settings.type ?? 'default') : settings.rope_type;
  if (type === 'default' || type === 'longrope') return settings;
  if (type === 'su' || type === 'yarn') return { ...settings, rope_type: 'longrope' };
  throw new SubzeroError(
    'unsupported',
    `rope scaling ${brief(type)} is not known in this architecture; it has default, longrope and, for the latter, ` +
      `su, yarn`,
  );
}

/**
 * Phi-3 and Phi-4: a Llama whose layers have one matrix for queries, keys and values and one for gate and up. Defaults
 * of `Phi3Config`.
 */
export const phi3 = family(
  {
    ...fields,
    vocab_size: whole(32_064),
    hidden_size: whole(3072),
    intermediate_size: whole(8192),
    max_position_embeddings: whole(4096),
    original_max_position_embeddings: whole(4096),
    rms_norm_eps: real(1e-5, { zero: true }),
    partial_rotary_factor: real(1),
  },
  (read, type) => {
    const values = {
      ...read,
      ...{ head_dim: null, layer_types: null },
      rope_scaling: namedAnew(read.rope_scaling),
      rope_parameters: namedAnew(read.rope_parameters),
    };
    const headWidth = evenHeadWidth(values.hidden_size, values.num_attention_heads);
    const rotation = readRope(values, headWidth, values.max_position_embeddings, { partial: true });
    return llamaLike(type, values, {
      windows: () => uniformWindows(values),
      packed: ['attention', 'feed-forward'],
      rotation: () => rotation,
    });
  },
  {
    neutral: {
      ...offElsewhere,
      lm_head_bias: only([false], 'the output head would have a bias'),
      full_attn_mod: only([1], 'some layers would not see everything'),
      interpolate_factor: only([1], 'positions would be stretched'),
    },
    code: 'modeling_phi3.Phi3ForCausalLM',
  },
);
