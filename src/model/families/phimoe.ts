import { SubzeroError } from '../../errors.ts';
import { brief, flag, real, type Values, whole } from '../config-fields.ts';
import { offElsewhere, only } from '../config-keys.ts';
import { uniformWindows } from '../config-windows.ts';
import { layerNorm } from '../decoder.ts';
import { readRope, ropeSettings } from '../rope-parameters.ts';
import type { RopePosition } from '../rope-table.ts';
import { expertsLayer } from './experts.ts';
import { evenHeadWidth, family } from './family.ts';
import { biasedLayers, llamaLike, llamaLikeFields } from './llama.ts';

const { layer_types: _types, ...shared } = llamaLikeFields;

/** Keys with the defaults of `PhimoeConfig`. */
const fields = {
  ...shared,
  vocab_size: whole(32_064),
  intermediate_size: whole(6400),
  num_key_value_heads: whole(8),
  max_position_embeddings: whole(131_072),
  rms_norm_eps: real(1e-5, { zero: true }),
  rope_theta: real(1_000_000),
  attention_bias: flag(false),
  lm_head_bias: flag(false),
  num_local_experts: whole(16),
  router_jitter_noise: real(0.01, { zero: true }),
};

/** Experts of each token, whatever `num_experts_per_tok` says. */
const chosen = 2;

/**
 * The rotation, and how many tokens it is known for. LongRoPE has factors of cosines and sines of its own here; beyond
 * the original context transformers 5.24 keeps the short divisors, where the authors' program takes the long ones.
 */
function rotationOf(values: Values<typeof fields>): { rotation: RopePosition; context: number } {
  const { max_position_embeddings: context } = values;
  const headWidth = values.head_dim ?? evenHeadWidth(values.hidden_size, values.num_attention_heads);
  const rotation = readRope(values, headWidth, context, { own: ['short_mscale', 'long_mscale'] });
  const { scaling } = rotation;
  if (scaling.type === 'default') return { rotation, context };
  const {
    short_mscale: short,
    long_mscale: long,
    original_max_position_embeddings: original,
  } = ropeSettings(values).values;
  if (scaling.type !== 'longrope' || typeof original !== 'number') {
    throw new SubzeroError(
      'unsupported',
      `rope scaling ${brief(scaling.type)} is not supported in this architecture; it has default, and longrope with ` +
        '"original_max_position_embeddings"',
    );
  }
  if (typeof short !== 'number' || typeof long !== 'number' || !(short > 0)) {
    throw new SubzeroError(
      'invalid_data',
      `rope scaling "longrope" needs positive numbers "short_mscale" and "long_mscale" here; got ${brief(short)}, ` +
        `${brief(long)}`,
    );
  }
  const { shortFactors, originalContext } = scaling;
  const known = { ...scaling, longFactors: shortFactors, attentionFactor: short, factor: 1 };
  return { rotation: { ...rotation, scaling: known }, context: Math.min(context, originalContext) };
}

function shortened(context: number, { max_position_embeddings: whole }: Values<typeof fields>): string {
  return (
    `the context ends at ${context} tokens, the original one of its rope scaling "longrope", and not at ${whole}: ` +
    'beyond it transformers 5.24 goes on with the short divisors, and the authors take the long ones'
  );
}

/**
 * Phi-3.5 MoE: a Llama with LayerNorms, and with experts in place of the feed-forward layer, two of which a sparse
 * mixer chooses.
 */
export const phimoe = family(
  fields,
  (values, type) => {
    const { rotation, context } = rotationOf(values);
    const decoder = llamaLike(
      type,
      { ...values, max_position_embeddings: context },
      {
        biased: biasedLayers(values.attention_bias),
        windows: () => uniformWindows({ ...values, layer_types: null }),
        norm: (name, width) => layerNorm(name, width, values.rms_norm_eps),
        rotation: () => rotation,
        experts: (_, prefix) =>
          expertsLayer({
            router: `${prefix}.block_sparse_moe.gate`,
            experts: `${prefix}.block_sparse_moe.experts`,
            names: { gate: 'w1', up: 'w3', down: 'w2' },
            width: values.hidden_size,
            inner: values.intermediate_size,
            routing: {
              ...{ experts: values.num_local_experts, chosen, score: 'sparse-mixer', normalised: false },
              tolerance: 2 * values.router_jitter_noise,
            },
          }),
      },
    );
    return {
      ...decoder,
      ...(values.lm_head_bias ? { head: { ...decoder.head, bias: 'lm_head.bias' } } : {}),
      ...(context < values.max_position_embeddings ? { notes: [shortened(context, values)] } : {}),
    };
  },
  {
    ignored: {
      input_jitter_noise: 'noise of training by backpropagation; passes here are those of evaluation',
      max_window_layers: 'the first layer with a window, in architectures that choose windows by layer',
    },
    neutral: {
      mlp_bias: offElsewhere.mlp_bias,
      use_sliding_window: offElsewhere.use_sliding_window,
      num_experts_per_tok: only([chosen], 'more or fewer experts would be chosen than the two of a sparse mixer'),
    },
    code: 'modeling_phimoe.PhiMoEForCausalLM',
  },
);
