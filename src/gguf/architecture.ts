/**
 * What an architecture of GGUF files is, and what several have in common.
 *
 * @module
 */

import type { Keys } from './keys.ts';
import type { Rearranged } from './rearranged.ts';
import type { ReadDivisors } from './rope.ts';
import type { TypedValue } from './writer.ts';

/** What the tensors of a file say about its architecture. */
export interface TensorNames {
  has(name: string): boolean;
  /** Rows of a tensor; 0 if there is none. */
  rows(name: string): number;
}

/**
 * Names in transformers, behind `model.layers.N.`, of what files call `ffn_gate_exps`, `ffn_up_exps` and
 * `ffn_down_exps`: modules of each expert, with `*` for its number, or tensors with all of them, of which one has the
 * gate's rows and those of `up`, in turns or one behind the other. Tensors of all are [out features, in features] each.
 */
export type ExpertTensors =
  | { readonly gate: string; readonly up: string; readonly down: string }
  | {
      readonly packed: string;
      readonly down: string;
      readonly interleaved: boolean;
      /** Whether the converter leaves gate and up in one tensor, `ffn_gate_up_exps`. */
      readonly together?: true;
      readonly biases?: { readonly packed: string; readonly down: string };
    };

/** What config.json says, by its keys. */
export type Config = Readonly<Record<string, unknown>>;

/** Sizes of a model, as its description has them. */
export interface ModelSizes {
  hidden: number;
  layers: number;
  heads: number;
  keyHeads: number;
  headWidth: number;
  feedForward: number;
  context: number;
  vocabulary: number;
  /** The epsilon of RMSNorms. */
  epsilon: number;
  /** The base of the angles, of layers without a window where there are such; absent without rotation. */
  theta?: number;
  /** Experts of a layer, those of a token, and elements inside of each and of the one for all tokens. */
  experts?: { count: number; chosen: number; inner: number; shared?: number };
}

/** Heads of all layers. */
export type HeadSizes = Pick<ModelSizes, 'heads' | 'keyHeads' | 'headWidth'>;

/** Tensors of a layer: what follows `blk.N.` → what follows `model.layers.N.`, both without suffix. */
export type LayerNames = Readonly<Record<string, string>>;

/** Keys of a file; undefined for none. */
export type WrittenKeys = Record<string, TypedValue | undefined>;

/** Numbers of a layer that a file has among its keys and transformers as a tensor: `NAME.LAYER`, in f32. */
export interface KeptInKeys {
  /** The whole name of a list with a number for each layer. */
  key: string;
  /** What follows `model.layers.N.`; absent for a constant of the architecture. */
  parameter?: string;
  /** What every one of them must be. */
  constant?: number;
}

export interface Architecture {
  /** `model_type` of config.json. @param keys of the file */
  type: (keys: Keys) => string;
  /** The class in transformers, by its model type. */
  className: Readonly<Record<string, string>>;
  /** Whether the rows of queries and keys lie in ggml's order: both halves of a head interleaved. */
  permuted?: boolean;
  /** Which parameters transformers has as their distance from 1; in the file 1 is added to them. */
  gainsFromZero?: RegExp;
  /** The epsilon of norms, as `rms_norm_eps`; of RMSNorms by default. */
  epsilon?: (keys: Keys) => number | undefined;
  /** What transformers calls the list of layers; `model.layers` by default. */
  layers?: string;
  /** Tensors of a layer, in some architectures by what config.json says. */
  layer: LayerNames | ((config: Config) => LayerNames);
  /** Tensors of a layer whose names in transformers have no suffix: what follows `blk.N.`, with its suffix. */
  unsuffixed?: Readonly<Record<string, string>>;
  /** Tensors outside of the layers that others do not have, as `layer`. */
  outer?: Readonly<Record<string, string>>;
  /** Where a layer has its experts. */
  experts?: ExpertTensors;
  /** Tensors with rows or columns in another order than the file's, or made of several. @param config config.json */
  rearranged?: (config: Config, heads: HeadSizes) => readonly Rearranged[];
  /** What the file has among its keys. */
  keptInKeys?: readonly KeptInKeys[];
  /** Sizes that layers do not have in common, where config.json says them by other keys. */
  sizes?: (keys: Keys) => { keyHeads?: number; headWidth?: number; inner?: number };
  /** The rotation, where it is not said as in other architectures. */
  rope?: (keys: Keys, read: ReadDivisors) => Promise<Record<string, unknown>>;
  /** The same as a tensor of divisors of a file. */
  divisors?: (config: Config, sizes: ModelSizes) => number[] | undefined;
  /** What YaRN's settings are that a file does not have. */
  yarn?: Readonly<Record<string, unknown>>;
  /** What config.json has beside the keys of all Llama-like models, or in their place; undefined for nothing. */
  own?: (keys: Keys, tensors: TensorNames) => Record<string, unknown>;
  /** Keys of a file beside those of all, or in their place. */
  written?: (config: Config, sizes: ModelSizes) => WrittenKeys;
}

/** The tensors of a layer. */
export function layerNames({ layer }: Architecture, config: Config): LayerNames {
  return typeof layer === 'function' ? layer(config) : layer;
}

const usualLayers = 'model.layers';

/** The name of a layer's parameter in transformers. */
export function inLayer({ layers = usualLayers }: Architecture, layer: string, name: string): string {
  return `${layers}.${layer}.${name}`;
}

/** The layer of a parameter and its name there; both undefined for one outside of the layers. */
export function placeInLayer(
  { layers = usualLayers }: Architecture,
  parameter: string,
): { layer?: string; name?: string } {
  const [, layer, name] =
    /^(\d+)\.(.+)$/.exec(parameter.startsWith(`${layers}.`) ? parameter.slice(layers.length + 1) : '') ?? [];
  return layer === undefined ? {} : { layer, name: name! };
}

export const u32 = (value: unknown): TypedValue => ({ kind: 'u32', value: value as number });
export const f32 = (value: unknown): TypedValue => ({ kind: 'f32', value: value as number });

/** Gains of all norms. */
export const everyNorm = /norm\.weight$/;

export const attention = {
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
};

export const feedForward = { ffn_gate: 'mlp.gate_proj', ffn_up: 'mlp.up_proj', ffn_down: 'mlp.down_proj' };

export const normsBefore = { attn_norm: 'input_layernorm', ffn_norm: 'post_attention_layernorm' };

export const headNorms = { attn_q_norm: 'self_attn.q_norm', attn_k_norm: 'self_attn.k_norm' };

export const llamaLayer = { ...normsBefore, ...attention, ...feedForward };

/** Switches of biases, which a file has as tensors only. */
export function biases(tensors: TensorNames): Record<string, unknown> {
  return {
    ...(tensors.has('blk.0.attn_q.bias') ? { attention_bias: true } : {}),
    ...(tensors.has('blk.0.ffn_gate.bias') ? { mlp_bias: true } : {}),
  };
}

/**
 * A window of keys that is as long as the context changes nothing; shorter ones are for the families that have them.
 */
export function noWindow(keys: Keys): Record<string, unknown> {
  const window = keys.whole('attention.sliding_window', 0);
  const context = keys.whole('context_length');
  if (window > 0 && window < context) {
    throw keys.error('unsupported', 'attention.sliding_window', `is ${window}, below the context of ${context}`);
  }
  return {};
}

/** The share of a head that turns. */
export function turnedShare(keys: Keys): Record<string, unknown> {
  const width = keys.whole('attention.key_length', keys.whole('embedding_length') / keys.whole('attention.head_count'));
  return { partial_rotary_factor: keys.whole('rope.dimension_count', width) / width };
}

/** The same for a file. @param width elements of a head @param usual the share where config.json says none */
export function turnedShareKeys(config: Config, width: number, usual: number): WrittenKeys {
  const rope = (config.rope_parameters ?? {}) as Config;
  const share = (config.partial_rotary_factor ?? rope.partial_rotary_factor ?? usual) as number;
  return { 'rope.dimension_count': u32(Math.floor(width * share)) };
}

/** A window, with which a Llama is a Mistral. */
export function windowOf(keys: Keys): number {
  return keys.whole('attention.sliding_window', 0);
}

/** A window in every layer but each n-th, or as a list says, or in none. @param usual the n where the file has none */
export function windowsByPattern(keys: Keys, usual: number): Record<string, unknown> {
  const key = 'attention.sliding_window_pattern';
  const window = windowOf(keys);
  const layers = keys.whole('block_count');
  const pattern = keys.raw(key) ?? usual;
  const slides = (layer: number): boolean =>
    Array.isArray(pattern) ? pattern[layer] === true : (layer + 1) % (pattern as number) !== 0;
  const isList = Array.isArray(pattern) && pattern.length === layers && pattern.every((it) => typeof it === 'boolean');
  if (!isList && !(typeof pattern === 'number' && Number.isInteger(pattern) && pattern > 0)) {
    throw keys.wrong(key, `a whole number, or a truth value for each of ${layers} layers`, pattern);
  }
  const typeOf = (layer: number): string => (window > 0 && slides(layer) ? 'sliding_attention' : 'full_attention');
  return {
    sliding_window: window > 0 ? window : null,
    layer_types: Array.from({ length: layers }, (_, layer) => typeOf(layer)),
  };
}

/**
 * Keys about Mamba layers in files of a Granite 4 that has none: its layers have attention, and tensors of others would
 * be refused by name.
 */
export function withoutMamba(keys: Keys): void {
  for (const key of ['conv_kernel', 'state_size', 'group_count', 'inner_size', 'time_step_rank'])
    keys.raw(`ssm.${key}`);
}

/** The factors of a Granite. */
export function graniteFactors(keys: Keys): Record<string, unknown> {
  // In this architecture, the key switches rotation.
  if (keys.raw('rope.scaling.finetuned') === false) {
    throw keys.error('unsupported', 'rope.scaling.finetuned', 'is false, with which heads would not turn');
  }
  const width = keys.whole('embedding_length') / keys.whole('attention.head_count');
  return {
    attention_multiplier: keys.real('attention.scale', width ** -0.5),
    embedding_multiplier: keys.real('embedding_scale', 1),
    residual_multiplier: keys.real('residual_scale', 1),
    logits_scaling: keys.real('logit_scale', 1),
  };
}
