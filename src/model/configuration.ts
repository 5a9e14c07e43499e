/**
 * From a checkpoint's config.json to the shape of a decoder. Configuration is data: an architecture that is not in the table
 * below is refused, whatever code it comes with.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { activationNames, type MatmulActivation } from '../ops/activation.ts';
import { type Axis, axisLength, plainAxis, quadAxis } from '../tensor/axis.ts';
import {
  type Config,
  type Field,
  flag,
  orNull,
  readFields,
  real,
  text,
  texts,
  type Values,
  whole,
} from './config-fields.ts';
import { checkKeys } from './config-keys.ts';
import { noWindows, uniformWindows, windowsByLayer } from './config-windows.ts';
import { readRope, ropeFields } from './rope-parameters.ts';
import { contextWith } from './rope-rules.ts';
import type { RopePosition } from './rope-table.ts';

/** Names of one layer's parameters; a 1-D name that the checkpoint lacks is left out of the forward pass. */
export interface LayerNames {
  attentionNorm: string;
  query: string;
  key: string;
  value: string;
  output: string;
  queryNorm?: string;
  keyNorm?: string;
  feedForwardNorm: string;
  /** Present in gated feed-forward layers. */
  gate?: string;
  up: string;
  down: string;
}

/** The weights of a layer that are multiplied with the same input, by name and in the order in which they are. */
export function sharedInputs({ query, key, value, gate, up }: LayerNames): string[][] {
  return [[query, key, value], ...(gate ? [[gate, up]] : [])];
}

/** All that the forward pass needs to know about a decoder. Names are those of Hugging Face checkpoints without `.weight`. */
export interface DecoderConfiguration {
  architecture: string;
  hiddenSize: number;
  layerCount: number;
  headCount: number;
  keyHeadCount: number;
  headWidth: number;
  feedForwardSize: number;
  vocabularySize: number;
  /** Most tokens of a sequence. */
  contextLength: number;
  normKind: 'rms' | 'layer';
  normEpsilon: number;
  /** Norms have a gain, and a LayerNorm a shift. */
  normAffine: boolean;
  /** Norms before attention and feed-forward (almost everyone), or after the residual sum (OPT-350m). */
  normFirst: boolean;
  /** The linear layers of a layer that have a bias. */
  biased: readonly ('query' | 'key' | 'value' | 'output' | 'gate' | 'up' | 'down')[];
  /** The activation of the feed-forward layer: of its gate where it has one. */
  activation: MatmulActivation;
  position: RopePosition | { kind: 'learned'; name: string; offset: number; rows: number };
  /** Keys that a layer sees, counted back from the token itself; undefined for all. One entry per layer. */
  windows: (number | undefined)[];
  /** The output projection is the embedding itself. */
  tied: boolean;
  embedding: string;
  /** Width of the embedding where it differs from the hidden size, with its projections. */
  embeddingWidth: number;
  projectIn?: string;
  projectOut?: string;
  finalNorm?: string;
  outputHead: string;
  layers: LayerNames[];
}

/** How an architecture is read: the keys of its configuration class, and what they make. */
interface Architecture<
  Fields extends Readonly<Record<string, Field<unknown>>> = Readonly<Record<string, Field<unknown>>>,
> {
  fields: Fields;
  read: (values: Values<Fields>, type: string) => DecoderConfiguration;
}

/** Keys that are read for every architecture: its name, the class that must be its own, and code that must not. */
const commonKeys = ['model_type', 'architectures', 'auto_map'];

/** Keys of the Llama family with the defaults of `LlamaConfig`. */
const llamaFields = {
  vocab_size: whole(32_000),
  hidden_size: whole(4096),
  intermediate_size: whole(11_008),
  num_hidden_layers: whole(32),
  num_attention_heads: whole(32),
  num_key_value_heads: orNull(whole(0)),
  head_dim: orNull(whole(0)),
  hidden_act: text('silu'),
  max_position_embeddings: whole(2048),
  rms_norm_eps: real(1e-6, { zero: true }),
  tie_word_embeddings: flag(false),
  attention_bias: flag(false),
  mlp_bias: flag(false),
  sliding_window: orNull(whole(0)),
  layer_types: texts,
  ...ropeFields,
};
const { attention_bias, mlp_bias: _, ...unbiasedFields } = llamaFields;
const mistralFields = {
  ...unbiasedFields,
  intermediate_size: whole(14_336),
  num_key_value_heads: whole(8),
  max_position_embeddings: whole(131_072),
  sliding_window: orNull(whole(0), 4096),
};
const qwen2Fields = {
  ...unbiasedFields,
  vocab_size: whole(151_936),
  intermediate_size: whole(22_016),
  num_key_value_heads: orNull(whole(0), 32),
  max_position_embeddings: whole(32_768),
  use_sliding_window: flag(false),
  sliding_window: orNull(whole(0), 4096),
  max_window_layers: whole(28, 0),
};
const qwen3Fields = { ...qwen2Fields, head_dim: whole(128), attention_bias };
/** Keys of OPT with the defaults of `OPTConfig`. */
const optFields = {
  vocab_size: whole(50_272),
  hidden_size: whole(768),
  num_hidden_layers: whole(12),
  ffn_dim: whole(3072),
  num_attention_heads: whole(12),
  max_position_embeddings: whole(2048),
  do_layer_norm_before: flag(true),
  _remove_final_layer_norm: flag(false),
  word_embed_proj_dim: orNull(whole(0)),
  activation_function: text('relu'),
  enable_bias: flag(true),
  layer_norm_elementwise_affine: flag(true),
  tie_word_embeddings: flag(true),
};

function architecture<Fields extends Readonly<Record<string, Field<unknown>>>>(
  fields: Fields,
  read: Architecture<Fields>['read'],
): Architecture {
  return { fields, read: read as Architecture['read'] };
}

/** model_type → how to read it. */
export const architectures: Readonly<Record<string, Architecture>> = {
  llama: architecture(llamaFields, (values, type) => {
    const { attention_bias: attention, mlp_bias: feedForward } = values;
    return llamaFamily(type, values, {
      biased: [
        ...(attention ? (['query', 'key', 'value', 'output'] as const) : []),
        ...(feedForward ? (['gate', 'up', 'down'] as const) : []),
      ],
      windows: (context) => noWindows(values, context),
    });
  }),
  mistral: architecture(mistralFields, (values, type) =>
    llamaFamily(type, values, { biased: [], windows: () => uniformWindows(values) }),
  ),
  qwen2: architecture(qwen2Fields, (values, type) =>
    llamaFamily(type, values, { biased: ['query', 'key', 'value'], windows: () => windowsByLayer(values) }),
  ),
  qwen3: architecture(qwen3Fields, (values, type) =>
    llamaFamily(type, values, {
      biased: values.attention_bias ? ['query', 'key', 'value', 'output'] : [],
      windows: () => windowsByLayer(values),
      headNorms: true,
    }),
  ),
  opt: architecture(optFields, optFamily),
};

/** The model types that can be loaded. */
export const supportedArchitectures: readonly string[] = Object.keys(architectures);

/** The keys of config.json that an architecture reads. */
export function keysRead(type: string): Set<string> {
  return new Set([...commonKeys, ...Object.keys(architectures[type]!.fields)]);
}

/**
 * Reads a parsed config.json. Absent keys have the defaults of the type's class in Hugging Face transformers.
 *
 * @throws SubzeroError `unsupported` for an unknown architecture, feature or key, `invalid_data` for wrong values
 */
export function readConfiguration(config: Config, file: string): DecoderConfiguration {
  const type = config.model_type;
  const known = typeof type === 'string' && Object.hasOwn(architectures, type) ? architectures[type] : undefined;
  if (!known) {
    throw new SubzeroError(
      'unsupported',
      `${file}: the architecture ${JSON.stringify(type ?? null)} is not supported; supported are ${supportedArchitectures.join(', ')}`,
    );
  }
  try {
    checkKeys(config, type as string, keysRead(type as string));
    const configuration = known.read(readFields(config, known.fields), type as string);
    if (configuration.headCount % configuration.keyHeadCount !== 0) {
      throw new SubzeroError(
        'invalid_data',
        `${configuration.headCount} heads cannot share ${configuration.keyHeadCount} key heads evenly`,
      );
    }
    return configuration;
  } catch (error) {
    if (error instanceof SubzeroError) throw new SubzeroError(error.code, `${file}: ${error.message}`);
    throw error;
  }
}

/** Elements of a head where the hidden size is split evenly among the heads. */
function evenHeadWidth(hiddenSize: number, headCount: number): number {
  if (hiddenSize % headCount !== 0) {
    throw new SubzeroError(
      'invalid_data',
      `the hidden size ${hiddenSize} cannot be split evenly among ${headCount} heads`,
    );
  }
  return hiddenSize / headCount;
}

function activationNamed(key: string, name: string): MatmulActivation {
  const activation = Object.hasOwn(activationNames, name) ? activationNames[name] : undefined;
  if (activation) return activation;
  throw new SubzeroError(
    'unsupported',
    `"${key}": the activation "${name}" is not supported; expected ${Object.keys(activationNames).join(', ')}`,
  );
}

function llamaFamily(
  type: string,
  values: Values<typeof unbiasedFields>,
  own: {
    biased: DecoderConfiguration['biased'];
    windows: (contextLength: number) => DecoderConfiguration['windows'];
    headNorms?: boolean;
  },
): DecoderConfiguration {
  const { hidden_size: hiddenSize, num_attention_heads: headCount, num_hidden_layers: layerCount } = values;
  const headWidth = values.head_dim ?? evenHeadWidth(hiddenSize, headCount);
  if (headWidth % 2 !== 0) {
    throw new SubzeroError(
      'invalid_data',
      `heads of ${headWidth} elements cannot be turned in pairs; their width must be even`,
    );
  }
  const { theta, scaling } = readRope(values, headWidth, values.max_position_embeddings);
  const contextLength = contextWith(scaling, values.max_position_embeddings);
  return {
    architecture: type,
    hiddenSize,
    layerCount,
    headCount,
    keyHeadCount: values.num_key_value_heads ?? headCount,
    headWidth,
    feedForwardSize: values.intermediate_size,
    vocabularySize: values.vocab_size,
    contextLength,
    normKind: 'rms',
    normEpsilon: values.rms_norm_eps,
    normAffine: true,
    normFirst: true,
    biased: own.biased,
    activation: activationNamed('hidden_act', values.hidden_act),
    position: { kind: 'rope', theta, rotaryWidth: headWidth, scaling },
    windows: own.windows(contextLength),
    tied: values.tie_word_embeddings,
    embedding: 'model.embed_tokens',
    embeddingWidth: hiddenSize,
    finalNorm: 'model.norm',
    outputHead: 'lm_head',
    layers: Array.from({ length: layerCount }, (_, layer) => {
      const prefix = `model.layers.${layer}`;
      return {
        attentionNorm: `${prefix}.input_layernorm`,
        query: `${prefix}.self_attn.q_proj`,
        key: `${prefix}.self_attn.k_proj`,
        value: `${prefix}.self_attn.v_proj`,
        output: `${prefix}.self_attn.o_proj`,
        ...(own.headNorms ? { queryNorm: `${prefix}.self_attn.q_norm`, keyNorm: `${prefix}.self_attn.k_norm` } : {}),
        feedForwardNorm: `${prefix}.post_attention_layernorm`,
        gate: `${prefix}.mlp.gate_proj`,
        up: `${prefix}.mlp.up_proj`,
        down: `${prefix}.mlp.down_proj`,
      };
    }),
  };
}

function optFamily(values: Values<typeof optFields>): DecoderConfiguration {
  const { hidden_size: hiddenSize, num_attention_heads: headCount, num_hidden_layers: layerCount } = values;
  const contextLength = values.max_position_embeddings;
  const embeddingWidth = values.word_embed_proj_dim ?? hiddenSize;
  const normFirst = values.do_layer_norm_before;
  const decoder = 'model.decoder';
  return {
    architecture: 'opt',
    hiddenSize,
    layerCount,
    headCount,
    keyHeadCount: headCount,
    headWidth: evenHeadWidth(hiddenSize, headCount),
    feedForwardSize: values.ffn_dim,
    vocabularySize: values.vocab_size,
    contextLength,
    normKind: 'layer',
    normEpsilon: 1e-5, // fixed in the architecture, not in its config
    normAffine: values.layer_norm_elementwise_affine,
    normFirst,
    biased: values.enable_bias ? ['query', 'key', 'value', 'output', 'up', 'down'] : [],
    activation: activationNamed('activation_function', values.activation_function),
    // The first two rows of OPT's position table are unused: position p reads row p + 2.
    position: { kind: 'learned', name: `${decoder}.embed_positions`, offset: 2, rows: contextLength + 2 },
    windows: Array.from({ length: layerCount }, () => undefined),
    tied: values.tie_word_embeddings,
    embedding: `${decoder}.embed_tokens`,
    embeddingWidth,
    ...(embeddingWidth === hiddenSize
      ? {}
      : { projectIn: `${decoder}.project_in`, projectOut: `${decoder}.project_out` }),
    ...(normFirst && !values._remove_final_layer_norm ? { finalNorm: `${decoder}.final_layer_norm` } : {}),
    outputHead: 'lm_head',
    layers: Array.from({ length: layerCount }, (_, layer) => {
      const prefix = `${decoder}.layers.${layer}`;
      return {
        attentionNorm: `${prefix}.self_attn_layer_norm`,
        query: `${prefix}.self_attn.q_proj`,
        key: `${prefix}.self_attn.k_proj`,
        value: `${prefix}.self_attn.v_proj`,
        output: `${prefix}.self_attn.out_proj`,
        feedForwardNorm: `${prefix}.final_layer_norm`,
        up: `${prefix}.fc1`,
        down: `${prefix}.fc2`,
      };
    }),
  };
}

/** A parameter that the checkpoint must (or may) hold. */
export interface ParameterShape {
  /** With its suffix, as the checkpoint has it. */
  name: string;
  shape: number[];
  /** How each side is stored. */
  axes: Axis[];
  optional: boolean;
}

/** Keys, or values, of a token: a run for each of its heads. */
export function keyAxis({ headWidth, keyHeadCount }: DecoderConfiguration): Axis {
  return quadAxis(headWidth, keyHeadCount);
}

/** Linear layers of a decoder layer. */
const linearLayers = ['query', 'key', 'value', 'output', 'gate', 'up', 'down'] as const;

/**
 * Every parameter of a decoder with its shape, in a fixed order. Biases that the configuration gives are optional:
 * transformers takes those that a checkpoint lacks as 0.
 */
export function parameterShapes(c: DecoderConfiguration): ParameterShape[] {
  const shapes: ParameterShape[] = [];
  const add = (name: string, axes: Axis[], optional: boolean): void => {
    shapes.push({ name, shape: axes.map(axisLength), axes, optional });
  };
  const matrix = (name: string, rows: Axis, columns: Axis): void => add(`${name}.weight`, [rows, columns], false);
  const bias = (name: string, axis: Axis): void => add(`${name}.bias`, [axis], true);
  const norm = (name: string, axis: Axis): void => {
    if (!c.normAffine) return;
    // A LayerNorm may lack both; RMSNorm always has a gain and never a shift.
    add(`${name}.weight`, [axis], c.normKind === 'layer');
    if (c.normKind === 'layer') bias(name, axis);
  };
  const hidden = quadAxis(c.hiddenSize);
  const feedForward = quadAxis(c.feedForwardSize);
  const embedding = quadAxis(c.embeddingWidth);
  const vocabulary = plainAxis(c.vocabularySize);
  const head = quadAxis(c.headWidth);
  const queries = quadAxis(c.headWidth, c.headCount);
  const keys = keyAxis(c);
  const sizes: Readonly<Record<(typeof linearLayers)[number], [Axis, Axis]>> = {
    query: [queries, hidden],
    key: [keys, hidden],
    value: [keys, hidden],
    output: [hidden, queries],
    gate: [feedForward, hidden],
    up: [feedForward, hidden],
    down: [hidden, feedForward],
  };
  const linear = (layer: LayerNames, kind: (typeof linearLayers)[number]): void => {
    const name = layer[kind];
    if (!name) return;
    const [rows, columns] = sizes[kind];
    matrix(name, rows, columns);
    if (c.biased.includes(kind)) bias(name, rows);
  };
  matrix(c.embedding, vocabulary, embedding);
  if (c.position.kind === 'learned') matrix(c.position.name, plainAxis(c.position.rows), hidden);
  if (c.projectIn) matrix(c.projectIn, hidden, embedding);
  for (const layer of c.layers) {
    norm(layer.attentionNorm, hidden);
    for (const kind of ['query', 'key', 'value', 'output'] as const) linear(layer, kind);
    if (layer.queryNorm) norm(layer.queryNorm, head);
    if (layer.keyNorm) norm(layer.keyNorm, head);
    norm(layer.feedForwardNorm, hidden);
    for (const kind of ['gate', 'up', 'down'] as const) linear(layer, kind);
  }
  if (c.finalNorm) norm(c.finalNorm, hidden);
  if (c.projectOut) matrix(c.projectOut, embedding, hidden);
  if (!c.tied) matrix(c.outputHead, vocabulary, embedding);
  return shapes;
}

/**
 * Parameters that a decoder of another configuration would have, and this one has not: biases, and elementwise
 * parameters of norms. A checkpoint that holds them anyway contradicts its config.json.
 */
export function parametersLeftOut(c: DecoderConfiguration): string[] {
  const used = new Set(parameterShapes(c).map(({ name }) => name));
  const layers = c.layers.flatMap((layer) => [
    ...linearLayers.map((kind) => layer[kind]),
    ...[layer.attentionNorm, layer.feedForwardNorm, layer.queryNorm, layer.keyNorm],
  ]);
  return [...layers, c.finalNorm, c.projectIn, c.projectOut, c.outputHead]
    .flatMap((name) => (name ? [`${name}.weight`, `${name}.bias`] : []))
    .filter((name) => !used.has(name) && name !== `${c.outputHead}.weight`);
}
