import { quadAxis } from '../../tensor/axis.ts';
import { orNull, text, type Values, whole } from '../config-fields.ts';
import { noWindowLayers, offElsewhere, only } from '../config-keys.ts';
import { noWindows } from '../config-windows.ts';
import { type Decoder, type Linear, linearLayer } from '../decoder.ts';
import { packedExpertsLayer } from './experts.ts';
import { family } from './family.ts';
import { graniteFactors, graniteFields } from './granite.ts';
import { biasedLayers, type LlamaLike, llamaLike } from './llama.ts';

const { mlp_bias: _bias, ...plain } = graniteFields;

const fields = { ...plain, num_local_experts: whole(8), num_experts_per_tok: whole(2) };

const sharedFields = { ...fields, shared_intermediate_size: whole(0, 0) };

const keys = {
  ignored: noWindowLayers,
  neutral: { mlp_bias: offElsewhere.mlp_bias, use_sliding_window: offElsewhere.use_sliding_window },
};

/** The feed-forward layer that every token goes through, of so many elements inside. */
function sharedLayers(prefix: string, width: number, inner: number): { packed: Linear; down: Linear } {
  const name = `${prefix}.shared_mlp`;
  return {
    packed: linearLayer(`${name}.input_linear`, quadAxis(inner, 2), quadAxis(width), false),
    down: linearLayer(`${name}.output_linear`, quadAxis(width), quadAxis(inner), false),
  };
}

/** Experts, with a feed-forward layer for all tokens besides if it has elements inside. */
function graniteExperts(values: Values<typeof fields>, prefix: string, shared: number) {
  const { hidden_size: width, intermediate_size: inner } = values;
  return packedExpertsLayer({
    ...{ router: `${prefix}.block_sparse_moe.router.layer`, width, inner, interleaved: false },
    routing: {
      ...{ experts: values.num_local_experts, chosen: values.num_experts_per_tok },
      ...{ score: 'softmax', normalised: true },
    },
    tensors: {
      packed: `${prefix}.block_sparse_moe.input_linear.weight`,
      down: `${prefix}.block_sparse_moe.output_linear.weight`,
    },
    ...(shared > 0 ? { shared: sharedLayers(prefix, width, shared) } : {}),
  });
}

function graniteLike(
  type: string,
  values: Values<typeof fields>,
  own: Pick<LlamaLike, 'experts' | 'unrotated'>,
): Decoder {
  return llamaLike(type, values, {
    biased: biasedLayers(values.attention_bias),
    windows: (context) => noWindows(values, context),
    ...graniteFactors(values),
    ...own,
  });
}

/** Granite with experts in place of the feed-forward layer. Defaults of `GraniteMoeConfig`. */
export const graniteMoe = family(
  fields,
  (values, type) => graniteLike(type, values, { experts: (_, prefix) => graniteExperts(values, prefix, 0) }),
  keys,
);

/** The same with a feed-forward layer for all tokens besides. Defaults of `GraniteMoeSharedConfig`. */
export const graniteMoeShared = family(
  sharedFields,
  (values, type) =>
    graniteLike(type, values, {
      experts: (_, prefix) => graniteExperts(values, prefix, values.shared_intermediate_size),
    }),
  keys,
);

const noMamba = 'is about Mamba layers, which are refused by their type';

/**
 * Granite 4: the same, with layers of attention alone, turned by their positions or not, and perhaps without experts.
 * Defaults of `GraniteMoeHybridConfig`, of which Mamba layers are refused.
 */
export const graniteMoeHybrid = family(
  {
    ...sharedFields,
    num_local_experts: whole(8, 0),
    num_experts_per_tok: whole(2, 0),
    shared_intermediate_size: whole(1024),
    position_embedding_type: orNull(text('')),
  },
  (values, type) => {
    const { hidden_size: width, shared_intermediate_size: shared } = values;
    const types = values.layer_types ?? Array(values.num_hidden_layers).fill('linear_attention');
    return graniteLike(
      type,
      { ...values, layer_types: types },
      {
        unrotated: () => values.position_embedding_type !== 'rope',
        experts: (_, prefix) =>
          values.num_local_experts > 0
            ? graniteExperts(values, prefix, shared)
            : { kind: 'feed-forward', ...sharedLayers(prefix, width, shared) },
      },
    );
  },
  {
    ignored: {
      ...noWindowLayers,
      ...Object.fromEntries(
        ['n_heads', 'n_groups', 'd_state', 'd_head', 'd_conv', 'expand', 'chunk_size', 'conv_bias', 'proj_bias'].map(
          (name) => [`mamba_${name}`, noMamba],
        ),
      ),
      time_step_limit: noMamba,
    },
    neutral: { ...keys.neutral, normalization_function: only(['rmsnorm'], 'norms would be of another kind') },
  },
);
