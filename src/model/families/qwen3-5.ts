import { SubzeroError } from '../../errors.ts';
import { type Axis, quadAxis } from '../../tensor/axis.ts';
import { flag, orNull, readFields, real, text, texts, type Values, whole } from '../config-fields.ts';
import { offElsewhere } from '../config-keys.ts';
import { attentionType, kindsOfLayers, wholeQuadsOnly } from '../config-layers.ts';
import {
  convolutionOf,
  type Decoder,
  embeddingAxes,
  type Linear,
  linearLayer,
  matrix,
  type Norm,
  rmsNorm,
  type Sublayer,
} from '../decoder.ts';
import { readRope, ropeFields } from '../rope-parameters.ts';
import { contextWith } from '../rope-rules.ts';
import type { RopePosition } from '../rope-table.ts';
import type { ExpertsParts } from './experts.ts';
import { activationNamed, family } from './family.ts';
import { wrapper } from './wrapper.ts';

/** Tensors of layers that guess further tokens, and of what sees. */
export const leftOut = /^mtp\.|^model\.visual\./;

/** Keys of those that mix layers of both kinds, with the defaults of `Qwen3_5TextConfig`. */
export const mixedFields = {
  vocab_size: whole(248_320),
  hidden_size: whole(4096),
  num_hidden_layers: whole(32),
  num_attention_heads: whole(16),
  num_key_value_heads: whole(4),
  hidden_act: text('silu'),
  max_position_embeddings: whole(32_768),
  rms_norm_eps: real(1e-6, { zero: true }),
  tie_word_embeddings: flag(false),
  attention_bias: flag(false),
  head_dim: whole(256),
  linear_conv_kernel_dim: whole(4),
  linear_key_head_dim: whole(128),
  linear_value_head_dim: whole(128),
  linear_num_key_heads: whole(16),
  linear_num_value_heads: whole(32),
  layer_types: texts,
  full_attention_interval: whole(4),
  ...ropeFields,
};

const qwen35Fields = { ...mixedFields, intermediate_size: whole(12_288) };

type MixedValues = Values<typeof mixedFields>;

/** Keys of its text configuration that are not read. */
export const qwen35Keys = {
  ignored: {
    mamba_ssm_dtype: 'the type of numbers in which states are kept, which are f32 here',
    attn_output_gate: 'attention always has its gate in this architecture',
    mtp_num_hidden_layers: 'layers that guess further tokens, which are left out',
    mtp_use_dedicated_embeddings: 'the embedding of layers that guess further tokens, which are left out',
  },
  neutral: { mlp_bias: offElsewhere.mlp_bias, use_sliding_window: offElsewhere.use_sliding_window },
};

/**
 * Qwen 3.5: layers of the gated delta rule, and every fourth one of attention with a gate, of which a part of every
 * head is turned. Norms hold their gain less 1 but for that of the delta rule's results.
 */
export const qwen35Text = family(
  qwen35Fields,
  (values, type) =>
    mixedDecoder(type, values, { feedForward: () => values.intermediate_size, projections: separateRule }),
  { classes: ['Qwen3_5ForCausalLM', 'Qwen3_5TextModel'], ...qwen35Keys },
);

/** Keys around the text configuration about what is seen. */
export const seenKeys = ['image_token_id', 'video_token_id', 'vision_start_token_id', 'vision_end_token_id'];

/** Qwen 3.5 with eyes, whose language model is read. */
export const qwen35 = wrapper({ qwen3_5_text: qwen35Text }, 'qwen3_5_text', {
  classes: ['Qwen3_5ForConditionalGeneration'],
  ignored: seenKeys,
  tied: false,
  leftOut,
});

/** Sizes of the layers of the delta rule. */
interface RuleSizes {
  heads: number;
  keyHeads: number;
  keyWidth: number;
  valueWidth: number;
}

/** The linear layers that make what the delta rule reads. */
type RuleProjections =
  | { mixed: Linear; gate: Linear; learning: Linear; forgetting: Linear }
  | { packed: Linear; rates: Linear };

/** One for queries, keys and values, one for gates, one each for what is learnt and forgotten. */
export function separateRule(prefix: string, width: number, sizes: RuleSizes): RuleProjections {
  const { heads, keyHeads, keyWidth, valueWidth } = sizes;
  const plain = (name: string, rows: Axis) => linearLayer(`${prefix}.${name}`, rows, quadAxis(width), false);
  return {
    mixed: plain('in_proj_qkv', quadAxis(2 * keyHeads * keyWidth + heads * valueWidth)),
    gate: plain('in_proj_z', quadAxis(valueWidth, heads)),
    learning: plain('in_proj_b', quadAxis(heads)),
    forgetting: plain('in_proj_a', quadAxis(heads)),
  };
}

/** Where those that mix layers of both kinds differ. */
interface MixedLayers {
  /** What follows the first sublayer of a layer: experts, or a feed-forward layer with this many elements inside. */
  feedForward: (layer: number, prefix: string) => ExpertsParts | number;
  /** Makes the projections of the delta rule. @param prefix the module's name */
  projections: (prefix: string, width: number, sizes: RuleSizes) => RuleProjections;
}

/** A decoder of layers of the gated delta rule, and of attention with a gate. */
export function mixedDecoder(type: string, values: MixedValues, own: MixedLayers): Decoder {
  const { hidden_size: width, num_attention_heads: heads, rms_norm_eps: epsilon, vocab_size: vocabulary } = values;
  const { num_key_value_heads: keyHeads, head_dim: headWidth, max_position_embeddings: trained } = values;
  const { linear_key_head_dim: keyWidth, linear_value_head_dim: valueWidth, attention_bias: biased } = values;
  const rule = { heads: values.linear_num_value_heads, keyHeads: values.linear_num_key_heads, keyWidth, valueWidth };
  if (rule.heads % rule.keyHeads !== 0) {
    throw new SubzeroError(
      'invalid_data',
      `${rule.heads} heads of values cannot share ${rule.keyHeads} heads of keys evenly`,
    );
  }
  wholeQuadsOnly({ linear_key_head_dim: keyWidth, linear_value_head_dim: valueWidth, head_dim: headWidth });
  const rotation = partialRotation(values, headWidth, trained);
  const activation = activationNamed('hidden_act', values.hidden_act);
  const interval = values.full_attention_interval;
  const kinds = kindsOfLayers(values, 'linear_attention', (layer) => (layer + 1) % interval === 0);
  const hidden = quadAxis(width);
  const [queries, keys] = [quadAxis(headWidth, heads), quadAxis(headWidth, keyHeads)];
  const channels = 2 * rule.keyHeads * keyWidth + rule.heads * valueWidth;
  const normOf = (name: string, size: number): Norm => ({ ...rmsNorm(name, size, epsilon), gainOffset: 1 });
  const plain = (name: string, rows = hidden, columns = hidden) => linearLayer(name, rows, columns, false);
  const mixers = {
    [attentionType]: (prefix: string): Sublayer => {
      const linear = (name: string, rows = hidden, columns = hidden) =>
        linearLayer(`${prefix}.self_attn.${name}`, rows, columns, biased);
      return {
        kind: 'attention',
        before: normOf(`${prefix}.input_layernorm`, width),
        query: linear('q_proj', quadAxis(headWidth, 2 * heads)),
        key: linear('k_proj', keys),
        value: linear('v_proj', keys),
        output: linear('o_proj', hidden, queries),
        queryNorm: normOf(`${prefix}.self_attn.q_norm`, headWidth),
        keyNorm: normOf(`${prefix}.self_attn.k_norm`, headWidth),
        ...{ heads, keyHeads, headWidth, rotation, gated: true },
      };
    },
    linear_attention: (prefix: string): Sublayer => ({
      kind: 'delta-rule',
      before: normOf(`${prefix}.input_layernorm`, width),
      ...own.projections(`${prefix}.linear_attn`, width, rule),
      forgettingRate: `${prefix}.linear_attn.A_log`,
      forgettingBias: `${prefix}.linear_attn.dt_bias`,
      convolution: convolutionOf(`${prefix}.linear_attn.conv1d`, channels, values.linear_conv_kernel_dim, false),
      activation,
      norm: rmsNorm(`${prefix}.linear_attn.norm`, valueWidth, epsilon),
      output: plain(`${prefix}.linear_attn.out_proj`, hidden, quadAxis(valueWidth, rule.heads)),
      ...rule,
    }),
  };
  const after = (layer: number, prefix: string): Sublayer => {
    const before = normOf(`${prefix}.post_attention_layernorm`, width);
    const given = own.feedForward(layer, prefix);
    if (typeof given !== 'number') return { before, ...given, activation };
    return {
      ...{ kind: 'feed-forward', before, activation },
      gate: plain(`${prefix}.mlp.gate_proj`, quadAxis(given)),
      up: plain(`${prefix}.mlp.up_proj`, quadAxis(given)),
      down: plain(`${prefix}.mlp.down_proj`, hidden, quadAxis(given)),
    };
  };
  return {
    architecture: type,
    vocabularySize: vocabulary,
    contextLength: contextWith(rotation.scaling, trained),
    embedding: matrix('model.embed_tokens', ...embeddingAxes(vocabulary, width)),
    blocks: kinds.map((kind, layer) => {
      const prefix = `model.layers.${layer}`;
      return [mixers[kind](prefix), after(layer, prefix)];
    }),
    finalNorm: normOf('model.norm', width),
    head: { ...matrix('lm_head', ...embeddingAxes(vocabulary, width)), tied: values.tie_word_embeddings },
    stored: { prefixes: [], leftOut },
  };
}

/**
 * The rotation of the first part of every head: a quarter, where no key says otherwise. Text has one position for all
 * sections of a rotation with several axes, so that they change nothing.
 */
function partialRotation(values: MixedValues, headWidth: number, context: number): RopePosition {
  const { rope_scaling: older, rope_parameters: newer } = values;
  const given = older && Object.keys(older).length > 0 ? older : (newer ?? {});
  const { partial_rotary_factor: inside, mrope_section: _sections, mrope_interleaved: _turns, ...rest } = given;
  const { partial_rotary_factor: within } = readFields(
    { partial_rotary_factor: inside },
    { partial_rotary_factor: orNull(real(0)) },
  );
  const rotaryWidth = Math.floor(headWidth * (within ?? values.partial_rotary_factor ?? 0.25));
  if (rotaryWidth % 2 !== 0 || rotaryWidth === 0 || rotaryWidth > headWidth) {
    throw new SubzeroError(
      'invalid_data',
      `${rotaryWidth} elements of a head of ${headWidth} cannot be turned in pairs`,
    );
  }
  const settings = { ...values, rope_scaling: null, rope_parameters: rest, partial_rotary_factor: null };
  return readRope(settings, rotaryWidth, context);
}
