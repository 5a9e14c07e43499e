import { SubzeroError } from '../../errors.ts';
import { quadAxis } from '../../tensor/axis.ts';
import { brief, flag, object, orNull, real, text, texts, type Values, whole } from '../config-fields.ts';
import { offElsewhere, only } from '../config-keys.ts';
import { attentionType, kindsOfLayers } from '../config-layers.ts';
import {
  type Decoder,
  embeddingAxes,
  type LayerInputs,
  linearLayer,
  matrix,
  type Norm,
  rmsNorm,
  type Sublayer,
} from '../decoder.ts';
import { readRopeOfTypes } from '../rope-parameters.ts';
import { contextWith } from '../rope-rules.ts';
import type { RopePosition } from '../rope-table.ts';
import { activationNamed, type Family, family } from './family.ts';
import { gemmaEmbeddingScale } from './gemma.ts';
import { logitCap } from './gemma2.ts';
import { type BesideExperts, type GatedFeedForward, gemma4Experts } from './gemma4-experts.ts';
import { type KindOfLayer, type KindSizes, keySources, sizesOfKinds, slidingType } from './gemma4-layers.ts';
import { wrapper } from './wrapper.ts';

/** Keys with the defaults of `Gemma4UnifiedTextConfig`. */
const unifiedFields = {
  vocab_size: whole(262_144),
  hidden_size: whole(2304),
  intermediate_size: whole(9216),
  num_hidden_layers: whole(30),
  num_attention_heads: whole(8),
  num_key_value_heads: whole(4),
  head_dim: whole(256),
  global_head_dim: whole(512),
  num_global_key_value_heads: orNull(whole(0)),
  // Where it is absent global_head_dim counts, and where it is empty head_dim for all layers.
  per_layer_config: { ...object, accepts: (value: unknown) => value !== null && object.accepts(value) },
  hidden_activation: text('gelu_pytorch_tanh'),
  max_position_embeddings: whole(262_144),
  rms_norm_eps: real(1e-6, { zero: true }),
  tie_word_embeddings: flag(true),
  rope_parameters: object,
  attention_bias: flag(false),
  sliding_window: whole(1024),
  layer_types: texts,
  final_logit_softcapping: orNull(real(0)),
  attention_k_eq_v: flag(false),
  num_kv_shared_layers: whole(0, 0),
  use_double_wide_mlp: flag(false),
};

/** Keys with the defaults of `Gemma4TextConfig`. */
const textFields = {
  ...unifiedFields,
  max_position_embeddings: whole(131_072),
  sliding_window: whole(512),
  vocab_size_per_layer_input: whole(262_144),
  hidden_size_per_layer_input: whole(256, 0),
  enable_moe_block: flag(false),
  num_experts: orNull(whole(0)),
  top_k_experts: orNull(whole(0)),
  moe_intermediate_size: orNull(whole(0)),
};

type UnifiedValues = Values<typeof unifiedFields>;
type TextValues = Values<typeof textFields>;

const neutral = {
  mlp_bias: offElsewhere.mlp_bias,
  // Those of images, of which there are none.
  use_bidirectional_attention: only(['vision'], 'tokens would see those after them'),
  hidden_act: only(['gelu_pytorch_tanh'], 'it would contradict "hidden_activation", which counts'),
};

/**
 * Gemma 4 without a second embedding: layers with a window, and every sixth one that sees everything, with heads of a
 * width of its own; values through a norm, keys for values, and last layers with the keys and values of earlier ones.
 */
export const gemma4UnifiedText = family(unifiedFields, (values, type) => gemma4Decoder(values, type), {
  classes: ['Gemma4UnifiedForCausalLM', 'Gemma4UnifiedTextModel'],
  neutral: {
    ...neutral,
    hidden_size_per_layer_input: only([0], 'layers would have inputs of their own, which this architecture has not'),
    enable_moe_block: only([false], 'layers would have experts, which this architecture has not'),
  },
});

/** Gemma 4 with inputs of each layer's own, from a second embedding, or with experts beside its feed-forward layers. */
export const gemma4Text = family(
  textFields,
  (values, type) => gemma4Decoder(values, type, layerInputsOf(values), expertsOf(values)),
  { classes: ['Gemma4ForCausalLM', 'Gemma4TextModel'], neutral },
);

/** Gemma 4 with eyes and ears, whose language model is read. */
function sensing(name: string, member: Family, memberType: string): Family {
  return wrapper({ [memberType]: member }, memberType, {
    classes: [`${name}ForConditionalGeneration`],
    ignored: [
      ...['audio_config', 'boi_token_id', 'eoi_token_id', 'image_token_id', 'video_token_id', 'boa_token_id'],
      ...['eoa_token_index', 'audio_token_id'],
    ],
    leftOut: /^(model\.)?(vision_tower|vision_embedder|embed_vision|audio_tower|embed_audio)\./,
  });
}

export const gemma4 = sensing('Gemma4', gemma4Text, 'gemma4_text');

export const gemma4Unified = sensing('Gemma4Unified', gemma4UnifiedText, 'gemma4_unified_text');

/** The rotations of a file that has none. */
const usualRotations = {
  sliding_attention: { rope_type: 'default', rope_theta: 1e4 },
  full_attention: { rope_type: 'proportional', partial_rotary_factor: 0.25, rope_theta: 1e6 },
};

/**
 * @param layerInputs what layers read besides, which all of them or none do
 * @param besideExperts makes the second sublayer of a layer of its feed-forward layer, where there are experts
 */
function gemma4Decoder(
  values: UnifiedValues,
  type: string,
  layerInputs?: LayerInputs,
  besideExperts?: BesideExperts,
): Decoder {
  const { hidden_size: width, num_attention_heads: heads, rms_norm_eps: epsilon, vocab_size: vocabulary } = values;
  const { attention_bias: biased, intermediate_size: inner, max_position_embeddings: trained } = values;
  const kinds: KindOfLayer[] = kindsOfLayers(values, slidingType, (layer) => (layer + 1) % 6 === 0);
  // As the class has it, whatever the list says.
  kinds[kinds.length - 1] = attentionType;
  const sizes = sizesOfKinds(values, kinds);
  const rotations = rotationsOfKinds(values, kinds, sizes);
  const sources = keySources(values.num_kv_shared_layers, kinds);
  const activation = activationNamed('hidden_activation', values.hidden_activation);
  const hidden = quadAxis(width);
  const plain = (name: string, rows = hidden, columns = hidden) => linearLayer(name, rows, columns, false);
  const normOf = (name: string, size = width): Norm => rmsNorm(name, size, epsilon);
  const attentionOf = (prefix: string, layer: number): Sublayer => {
    const kind = kinds[layer]!;
    const { headWidth, keyHeads } = sizes[kind];
    const [queries, keys] = [quadAxis(headWidth, heads), quadAxis(headWidth, keyHeads)];
    const linear = (name: string, rows = hidden, columns = hidden) =>
      linearLayer(`${prefix}.self_attn.${name}`, rows, columns, biased);
    const own = {
      key: linear('k_proj', keys),
      keyNorm: normOf(`${prefix}.self_attn.k_norm`, headWidth),
      valueNorm: { name: `${prefix}.self_attn.v_norm`, kind: 'rms' as const, epsilon, width: headWidth },
    };
    const keysAreValues = values.attention_k_eq_v && kind === attentionType;
    const keysOf = sources[layer];
    return {
      kind: 'attention',
      before: normOf(`${prefix}.input_layernorm`),
      query: linear('q_proj', queries),
      ...(keysOf !== undefined ? { keysOf } : keysAreValues ? own : { ...own, value: linear('v_proj', keys) }),
      output: linear('o_proj', hidden, queries),
      queryNorm: normOf(`${prefix}.self_attn.q_norm`, headWidth),
      after: normOf(`${prefix}.post_attention_layernorm`),
      ...{ heads, keyHeads, headWidth, rotation: rotations[kind], scale: 1 },
      ...(kind === slidingType ? { window: values.sliding_window } : {}),
    };
  };
  const feedForwardOf = (prefix: string, layer: number): GatedFeedForward => {
    const isWide = values.use_double_wide_mlp && sources[layer] !== undefined;
    const made = quadAxis(isWide ? 2 * inner : inner);
    return {
      kind: 'feed-forward',
      before: normOf(`${prefix}.pre_feedforward_layernorm`),
      gate: plain(`${prefix}.mlp.gate_proj`, made),
      up: plain(`${prefix}.mlp.up_proj`, made),
      down: plain(`${prefix}.mlp.down_proj`, hidden, made),
      activation,
      after: normOf(`${prefix}.post_feedforward_layernorm`),
    };
  };
  const inputOf = (prefix: string, part: number, { width: own }: Norm): Sublayer => ({
    kind: 'layer-input',
    gate: plain(`${prefix}.per_layer_input_gate`, quadAxis(own)),
    activation,
    output: plain(`${prefix}.per_layer_projection`, hidden, quadAxis(own)),
    part,
    after: normOf(`${prefix}.post_per_layer_input_norm`),
  });
  return {
    architecture: type,
    vocabularySize: vocabulary,
    contextLength: Math.max(...kinds.map((kind) => contextWith(rotations[kind].scaling, trained))),
    embedding: matrix('model.embed_tokens', ...embeddingAxes(vocabulary, width)),
    embeddingScale: gemmaEmbeddingScale(width),
    ...(layerInputs ? { layerInputs } : {}),
    blocks: kinds.map((_, layer) => {
      const prefix = `model.layers.${layer}`;
      const feedForward = feedForwardOf(prefix, layer);
      const sublayers = [attentionOf(prefix, layer), besideExperts?.(prefix, feedForward) ?? feedForward];
      if (layerInputs) sublayers.push(inputOf(prefix, layer, layerInputs.norm));
      return sublayers.with(-1, { ...sublayers.at(-1)!, sumScale: `${prefix}.layer_scalar` });
    }),
    finalNorm: normOf('model.norm'),
    head: { ...matrix('lm_head', ...embeddingAxes(vocabulary, width)), tied: values.tie_word_embeddings },
    ...logitCap(values.final_logit_softcapping),
    stored: { prefixes: [], unread: unreadKeys(sources) },
  };
}

/** Files may hold the keys and values of layers that read those of others, as transformers leaves them unread. */
function unreadKeys(sources: readonly (number | undefined)[]): RegExp {
  const layers = sources.flatMap((source, layer) => (source === undefined ? [] : [layer]));
  return new RegExp(
    `^(model\\.)?(language_model\\.)?(model\\.)?layers\\.(${layers.join('|')})\\.self_attn\\.[kv]_(proj|norm)\\.`,
  );
}

function rotationsOfKinds(
  values: UnifiedValues,
  kinds: readonly KindOfLayer[],
  sizes: KindSizes,
): Record<KindOfLayer, RopePosition> {
  const given = values.rope_parameters ?? usualRotations;
  for (const kind of new Set(kinds)) {
    const settings: unknown = given[kind as keyof typeof given];
    if (object.accepts(settings) && (settings as { rope_theta?: unknown } | null)?.rope_theta !== undefined) continue;
    throw new SubzeroError(
      'invalid_data',
      `"rope_parameters" must have an object with "rope_theta" for "${kind}"; got ${brief(settings ?? null)}`,
    );
  }
  return readRopeOfTypes(
    { rope_scaling: null, rope_parameters: given, partial_rotary_factor: null },
    { full_attention: sizes.full_attention.headWidth, sliding_attention: sizes.sliding_attention.headWidth },
    values.max_position_embeddings,
    { full_attention: 1e6, sliding_attention: 1e4 },
  );
}

/** The second embedding, where its width is not 0. */
function layerInputsOf(values: TextValues): LayerInputs | undefined {
  const { hidden_size_per_layer_input: own, vocab_size_per_layer_input: rows, num_hidden_layers: layers } = values;
  if (own === 0) return undefined;
  if (rows < values.vocab_size) {
    throw new SubzeroError(
      'unsupported',
      `"vocab_size_per_layer_input" must be at least the vocabulary of ${values.vocab_size}; got ${rows}, ` +
        'without a row for every token',
    );
  }
  const parts = quadAxis(own, layers);
  const [, hidden] = embeddingAxes(rows, values.hidden_size);
  return {
    table: matrix('model.embed_tokens_per_layer', embeddingAxes(rows, own)[0], parts),
    tableScale: gemmaEmbeddingScale(own),
    projection: linearLayer('model.per_layer_model_projection', parts, hidden, false),
    norm: {
      ...rmsNorm('model.per_layer_projection_norm', own, values.rms_norm_eps),
      // The class divides what it norms by the root of the hidden size, which epsilon alone tells from the rest.
      epsilon: values.rms_norm_eps * values.hidden_size,
    },
    scale: Math.SQRT1_2,
  };
}

/** The experts, where the configuration has them. */
function expertsOf(values: TextValues): BesideExperts | undefined {
  const { enable_moe_block: enabled, num_experts: experts, top_k_experts: chosen } = values;
  const { moe_intermediate_size: inner, hidden_size: width, rms_norm_eps: epsilon } = values;
  if (!enabled) return undefined;
  if (experts !== null && chosen !== null && inner !== null) {
    return gemma4Experts({ experts, chosen, inner, width, epsilon });
  }
  throw new SubzeroError(
    'invalid_data',
    '"enable_moe_block" is true, so that "num_experts", "top_k_experts" and "moe_intermediate_size" must say which ' +
      `experts there are; got ${brief(experts)}, ${brief(chosen)} and ${brief(inner)}`,
  );
}
