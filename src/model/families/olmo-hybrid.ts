import { SubzeroError } from '../../errors.ts';
import { quadAxis } from '../../tensor/axis.ts';
import { flag, orNull, real, whole } from '../config-fields.ts';
import { offElsewhere } from '../config-keys.ts';
import { attentionType, kindsOfLayers, wholeQuadsOnly } from '../config-layers.ts';
import { type Decoder, type DeltaRuleSublayer, type FeedForwardSublayer, linearLayer, rmsNorm } from '../decoder.ts';
import { ropeSettings } from '../rope-parameters.ts';
import { activationNamed, family } from './family.ts';
import { biasedLayers, layerNorms, llamaLike, llamaLikeFields } from './llama.ts';

const { original_max_position_embeddings: _context, sliding_window: _window, ...fields } = llamaLikeFields;

/** The epsilon of the norm of the delta rule's results, whatever `rms_norm_eps` says. */
const resultEpsilon = 1e-5;

const initial = 'is about weights before training';

/**
 * OLMo Hybrid: layers of the gated delta rule, which read norms, and every fourth one of attention as OLMo 3 has it,
 * which are turned by their positions unless the base of the angles is null. Defaults of `OlmoHybridConfig`.
 */
export const olmoHybrid = family(
  {
    ...fields,
    vocab_size: whole(100_352),
    hidden_size: whole(3840),
    num_attention_heads: whole(30),
    max_position_embeddings: whole(65_536),
    rope_theta: orNull(real(10_000), 10_000),
    attention_bias: flag(false),
    linear_num_key_heads: orNull(whole(1)),
    linear_num_value_heads: orNull(whole(1)),
    linear_key_head_dim: orNull(whole(1)),
    linear_value_head_dim: orNull(whole(1)),
    linear_conv_kernel_dim: whole(4),
    linear_allow_neg_eigval: flag(true),
  },
  (values, type) => {
    const { hidden_size: width, num_hidden_layers: layers, rms_norm_eps: epsilon } = values;
    const heads = values.linear_num_value_heads ?? values.num_attention_heads;
    const keyHeads = values.linear_num_key_heads ?? values.num_attention_heads;
    const keyWidth = values.linear_key_head_dim ?? Math.trunc((0.75 * width) / keyHeads);
    const valueWidth = values.linear_value_head_dim ?? 2 * keyWidth;
    if (heads % keyHeads !== 0) {
      throw new SubzeroError('invalid_data', `${heads} heads of values cannot share ${keyHeads} heads of keys evenly`);
    }
    wholeQuadsOnly({ linear_key_head_dim: keyWidth, linear_value_head_dim: valueWidth });
    const only = layers < 4 ? layers - 1 : undefined;
    const kinds = kindsOfLayers(values, 'linear_attention', (layer) => layer % 4 === 3 || layer === only);
    if (new Set(kinds).size < 2) {
      throw new SubzeroError('invalid_data', '"layer_types" must have layers of attention and of the delta rule');
    }
    const { rope_theta: within } = ropeSettings(values).values;
    const turns = (within === undefined ? values.rope_theta : within) !== null;
    const rope = turns ? {} : { rope_scaling: null, rope_parameters: null };
    const plain = llamaLike(
      type,
      {
        ...{ ...values, ...rope, rope_theta: values.rope_theta ?? 10_000 },
        original_max_position_embeddings: null,
      },
      {
        biased: biasedLayers(values.attention_bias),
        windows: () => Array(layers).fill(undefined),
        unrotated: () => !turns,
        queryKeyNorms: 'whole',
        norms: layerNorms.after,
      },
    );
    const activation = activationNamed('hidden_act', values.hidden_act);
    const [keys, results] = [keyHeads * keyWidth, heads * valueWidth];
    const rule = (prefix: string): DeltaRuleSublayer => {
      const name = `${prefix}.linear_attn`;
      const linear = (part: string, rows: number) =>
        linearLayer(`${name}.${part}`, quadAxis(rows), quadAxis(width), false);
      const convolution = (part: string, channels: number) => ({ weight: `${name}.${part}_conv1d.weight`, channels });
      return {
        kind: 'delta-rule',
        before: rmsNorm(`${prefix}.input_layernorm`, width, epsilon),
        ...{ query: linear('q_proj', keys), key: linear('k_proj', keys), value: linear('v_proj', results) },
        gate: linear('g_proj', results),
        ...{ learning: linear('b_proj', heads), forgetting: linear('a_proj', heads) },
        ...{ forgettingRate: `${name}.A_log`, forgettingBias: `${name}.dt_bias` },
        convolution: {
          ...{ name: `${name}.conv1d`, weight: `${name}.conv1d.weight` },
          ...{ channels: 2 * keys + results, taps: values.linear_conv_kernel_dim },
          parts: [convolution('q', keys), convolution('k', keys), convolution('v', results)],
        },
        activation,
        norm: rmsNorm(`${name}.o_norm`, valueWidth, resultEpsilon),
        output: linearLayer(`${name}.o_proj`, quadAxis(width), quadAxis(results), false),
        ...{ heads, keyHeads, keyWidth, valueWidth },
        ...(values.linear_allow_neg_eigval ? { learningScale: 2 } : {}),
      };
    };
    const blocks = plain.blocks.map((block, layer): Decoder['blocks'][number] => {
      if (kinds[layer] === attentionType) return block;
      const prefix = `model.layers.${layer}`;
      const { after: _after, ...feedForward } = block[1] as FeedForwardSublayer;
      const before = rmsNorm(`${prefix}.post_attention_layernorm`, width, epsilon);
      return [rule(prefix), { ...feedForward, before } as FeedForwardSublayer];
    });
    // Published files have other names of the norms that sublayers read.
    const prefixes = kinds.flatMap((_, layer) => [
      { name: `model.layers.${layer}.input_layernorm.`, older: `model.layers.${layer}.attention_layer_norm.` },
      {
        name: `model.layers.${layer}.post_attention_layernorm.`,
        older: `model.layers.${layer}.feedforward_layer_norm.`,
      },
    ]);
    return { ...plain, blocks, stored: { prefixes } };
  },
  {
    ignored: {
      linear_a_log_min: initial,
      linear_a_log_max: initial,
      linear_dt_min: initial,
      linear_dt_max: initial,
      linear_dt_init_floor: initial,
    },
    neutral: { mlp_bias: offElsewhere.mlp_bias, use_sliding_window: offElsewhere.use_sliding_window },
  },
);
