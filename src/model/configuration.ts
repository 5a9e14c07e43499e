/**
 * From a checkpoint's config.json to the shape of a decoder. Configuration is data: an architecture that is not in the table
 * below is refused, whatever code it comes with.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { MatmulActivation } from '../ops/activation.ts';
import { parseRopeScaling, type RopeScaling } from './rope-table.ts';

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
  /** Norms before attention and feed-forward (almost everyone), or after the residual sum (OPT-350m). */
  normFirst: boolean;
  /** Applied in the feed-forward layer when it is not gated. */
  activation: MatmulActivation;
  position:
    | { kind: 'rope'; theta: number; rotaryWidth: number; scaling: RopeScaling }
    | { kind: 'learned'; name: string; offset: number; rows: number };
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

type Config = Record<string, unknown>;

/** model_type → how to read it. */
const architectures: Readonly<Record<string, (config: Config) => DecoderConfiguration>> = {
  llama: llamaFamily,
  mistral: llamaFamily,
  qwen2: llamaFamily,
  qwen3: llamaFamily,
  opt: optFamily,
};

/** The model types that can be loaded. */
export const supportedArchitectures: readonly string[] = Object.keys(architectures);

/**
 * Reads a parsed config.json.
 * @throws SubzeroError `unsupported` for an unknown architecture or feature, `invalid_data` for missing or wrong fields
 */
export function readConfiguration(config: Config, file: string): DecoderConfiguration {
  const type = config.model_type;
  const read = typeof type === 'string' && Object.hasOwn(architectures, type) ? architectures[type] : undefined;
  if (!read) {
    throw new SubzeroError(
      'unsupported',
      `${file}: the architecture ${JSON.stringify(type ?? null)} is not supported; supported are ${supportedArchitectures.join(', ')}`,
    );
  }
  try {
    const configuration = read(config);
    for (const [name, size] of [
      ['hidden size', configuration.hiddenSize],
      ['feed-forward size', configuration.feedForwardSize],
      ['head width', configuration.headWidth],
      ['embedding width', configuration.embeddingWidth],
    ] as const) {
      if (size % 4 !== 0) throw new SubzeroError('unsupported', `the ${name} must be a multiple of 4; it is ${size}`);
    }
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

function count(config: Config, name: string, fallback?: number): number {
  return wholeNumber(config, name, fallback, 1);
}

function wholeNumber(config: Config, name: string, fallback?: number, least = 0): number {
  const value = config[name] ?? fallback;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least) {
    throw new SubzeroError(
      'invalid_data',
      value === undefined
        ? `"${name}" is missing`
        : `"${name}" must be a whole number of at least ${least}; got ${JSON.stringify(value)}`,
    );
  }
  return value;
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

function real(config: Config, name: string, fallback: number): number {
  const value = config[name] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw new SubzeroError('invalid_data', `"${name}" must be a positive number; got ${JSON.stringify(value)}`);
  }
  return value;
}

function llamaFamily(config: Config): DecoderConfiguration {
  const type = String(config.model_type);
  if ((config.hidden_act ?? 'silu') !== 'silu') {
    throw new SubzeroError(
      'unsupported',
      `the activation "${String(config.hidden_act)}" is not supported in ${type}; expected "silu"`,
    );
  }
  const hiddenSize = count(config, 'hidden_size');
  const headCount = count(config, 'num_attention_heads');
  const layerCount = count(config, 'num_hidden_layers');
  const ownWidth = config.head_dim !== undefined && config.head_dim !== null;
  const headWidth = ownWidth ? count(config, 'head_dim') : evenHeadWidth(hiddenSize, headCount);
  const contextLength = count(config, 'max_position_embeddings', 2048);
  // transformers 5 gathers the rotary settings in rope_parameters; older configs spread them.
  const scaling = parseRopeScaling(config.rope_parameters ?? config.rope_scaling, contextLength);
  const rope = (config.rope_parameters ?? {}) as Config;
  const theta = real({ rope_theta: rope.rope_theta ?? config.rope_theta }, 'rope_theta', 10_000);
  return {
    architecture: type,
    hiddenSize,
    layerCount,
    headCount,
    keyHeadCount: count(config, 'num_key_value_heads', headCount),
    headWidth,
    feedForwardSize: count(config, 'intermediate_size'),
    vocabularySize: count(config, 'vocab_size'),
    contextLength,
    normKind: 'rms',
    normEpsilon: real(config, 'rms_norm_eps', 1e-6),
    normFirst: true,
    activation: 'silu',
    position: {
      kind: 'rope',
      theta,
      rotaryWidth: headWidth,
      scaling,
    },
    windows: slidingWindows(config, layerCount),
    tied: config.tie_word_embeddings === true,
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
        ...(type === 'qwen3' ? { queryNorm: `${prefix}.self_attn.q_norm`, keyNorm: `${prefix}.self_attn.k_norm` } : {}),
        feedForwardNorm: `${prefix}.post_attention_layernorm`,
        gate: `${prefix}.mlp.gate_proj`,
        up: `${prefix}.mlp.up_proj`,
        down: `${prefix}.mlp.down_proj`,
      };
    }),
  };
}

/**
 * Which layers slide. Mistral: all, if a window is given. Qwen: only with use_sliding_window, and then from layer max_window_layers on.
 * Newer configs list it per layer in layer_types. Llama knows no window.
 */
function slidingWindows(config: Config, layerCount: number): (number | undefined)[] {
  const type = String(config.model_type);
  const slides = type === 'mistral' || (type.startsWith('qwen') && config.use_sliding_window === true);
  if (!slides || config.sliding_window === null || config.sliding_window === undefined) {
    return Array.from({ length: layerCount }, () => undefined);
  }
  const window = count(config, 'sliding_window');
  const types = config.layer_types;
  if (Array.isArray(types)) {
    return Array.from({ length: layerCount }, (_, layer) =>
      types[layer] === 'sliding_attention' ? window : undefined,
    );
  }
  const first = type === 'mistral' ? 0 : wholeNumber(config, 'max_window_layers', layerCount);
  return Array.from({ length: layerCount }, (_, layer) => (layer >= first ? window : undefined));
}

function optFamily(config: Config): DecoderConfiguration {
  const activations: Record<string, MatmulActivation> = { relu: 'relu', gelu: 'gelu', gelu_new: 'gelu-tanh' };
  const wanted = String(config.activation_function ?? 'relu');
  const activation = Object.hasOwn(activations, wanted) ? activations[wanted] : undefined;
  if (!activation) {
    throw new SubzeroError(
      'unsupported',
      `the activation "${wanted}" is not supported in OPT; expected ${Object.keys(activations).join(', ')}`,
    );
  }
  const hiddenSize = count(config, 'hidden_size');
  const headCount = count(config, 'num_attention_heads');
  const layerCount = count(config, 'num_hidden_layers');
  const contextLength = count(config, 'max_position_embeddings', 2048);
  const embeddingWidth = count(config, 'word_embed_proj_dim', hiddenSize);
  const normFirst = config.do_layer_norm_before !== false;
  const decoder = 'model.decoder';
  return {
    architecture: 'opt',
    hiddenSize,
    layerCount,
    headCount,
    keyHeadCount: headCount,
    headWidth: evenHeadWidth(hiddenSize, headCount),
    feedForwardSize: count(config, 'ffn_dim'),
    vocabularySize: count(config, 'vocab_size'),
    contextLength,
    normKind: 'layer',
    normEpsilon: 1e-5, // fixed in the architecture, not in its config
    normFirst,
    activation,
    // The first two rows of OPT's position table are unused: position p reads row p + 2.
    position: { kind: 'learned', name: `${decoder}.embed_positions`, offset: 2, rows: contextLength + 2 },
    windows: Array.from({ length: layerCount }, () => undefined),
    tied: config.tie_word_embeddings !== false,
    embedding: `${decoder}.embed_tokens`,
    embeddingWidth,
    ...(embeddingWidth === hiddenSize
      ? {}
      : { projectIn: `${decoder}.project_in`, projectOut: `${decoder}.project_out` }),
    ...(normFirst && config._remove_final_layer_norm !== true ? { finalNorm: `${decoder}.final_layer_norm` } : {}),
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
  optional: boolean;
}

/** Every parameter of a decoder with its shape, in a fixed order. Biases are optional: the checkpoint decides. */
export function parameterShapes(c: DecoderConfiguration): ParameterShape[] {
  const shapes: ParameterShape[] = [];
  const matrix = (name: string, rows: number, columns: number): void => {
    shapes.push({ name: `${name}.weight`, shape: [rows, columns], optional: false });
  };
  const bias = (name: string, length: number): void => {
    shapes.push({ name: `${name}.bias`, shape: [length], optional: true });
  };
  const norm = (name: string, width: number): void => {
    // A LayerNorm without elementwise parameters has neither; RMSNorm always has a gain.
    shapes.push({ name: `${name}.weight`, shape: [width], optional: c.normKind === 'layer' });
    bias(name, width);
  };
  const linear = (name: string, rows: number, columns: number): void => {
    matrix(name, rows, columns);
    bias(name, rows);
  };
  matrix(c.embedding, c.vocabularySize, c.embeddingWidth);
  if (c.position.kind === 'learned') matrix(c.position.name, c.position.rows, c.hiddenSize);
  if (c.projectIn) matrix(c.projectIn, c.hiddenSize, c.embeddingWidth);
  const queryWidth = c.headCount * c.headWidth;
  const keyWidth = c.keyHeadCount * c.headWidth;
  for (const layer of c.layers) {
    norm(layer.attentionNorm, c.hiddenSize);
    linear(layer.query, queryWidth, c.hiddenSize);
    linear(layer.key, keyWidth, c.hiddenSize);
    linear(layer.value, keyWidth, c.hiddenSize);
    linear(layer.output, c.hiddenSize, queryWidth);
    if (layer.queryNorm) norm(layer.queryNorm, c.headWidth);
    if (layer.keyNorm) norm(layer.keyNorm, c.headWidth);
    norm(layer.feedForwardNorm, c.hiddenSize);
    if (layer.gate) linear(layer.gate, c.feedForwardSize, c.hiddenSize);
    linear(layer.up, c.feedForwardSize, c.hiddenSize);
    linear(layer.down, c.hiddenSize, c.feedForwardSize);
  }
  if (c.finalNorm) norm(c.finalNorm, c.hiddenSize);
  if (c.projectOut) matrix(c.projectOut, c.embeddingWidth, c.hiddenSize);
  if (!c.tied) matrix(c.outputHead, c.vocabularySize, c.embeddingWidth);
  return shapes;
}
