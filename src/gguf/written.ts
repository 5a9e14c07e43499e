/**
 * How a model is written as GGUF: keys and names of tensors by the tables that files are read by, the other way round.
 * What is written is read back before the file is made; a model whose configuration does not come back is refused.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { quote } from '../safetensors/json.ts';
import {
  type Architecture,
  type Config,
  f32,
  type WrittenKeys as Keys,
  type LayerNames,
  layerNames,
  type ModelSizes,
  placeInLayer,
  u32,
} from './architecture.ts';
import { architectures, outerTensors } from './architectures.ts';
import { type ExpertPlace, expertPlaces } from './experts.ts';
import type { Run } from './rearranged.ts';
import { ropeDivisors } from './rope.ts';
import type { TypedValue } from './writer.ts';

export type { ModelSizes } from './architecture.ts';

/** A tensor's place in a file. */
export interface WrittenTensor {
  name: string;
  /** Rows of a head whose halves are interleaved in the file. */
  interleaved?: number;
  /** Its matrix has one row, and is a vector there. */
  isVector?: true;
  /** It is [channels, 1, taps], and a matrix there. */
  isMatrix?: true;
  /** Whether it is in F32, whatever matrices are. */
  isExact?: true;
  /** What a value becomes: gains that transformers has as their distance from 1, and logarithms. */
  map?: (value: number) => number;
  /** Rows or columns that lie in another order, or which of them are in this tensor. */
  order?: { along: 'rows' | 'columns'; runs: readonly Run[]; which: number };
}

const windowOf = ({ sliding_window: window, use_sliding_window: uses }: Config): Keys =>
  typeof window === 'number' && uses !== false ? { 'attention.sliding_window': u32(window) } : {};

/** A window with the layers that have it. */
function windowsOf(config: Config): Keys {
  const { layer_types: types, sliding_window_pattern: period, num_hidden_layers: layers } = config;
  const slides = Array.isArray(types)
    ? types.map((type) => type === 'sliding_attention')
    : typeof period === 'number'
      ? Array.from({ length: Number(layers) }, (_, layer) => (layer + 1) % period !== 0)
      : undefined;
  return {
    ...windowOf(config),
    ...(slides ? { 'attention.sliding_window_pattern': { kind: 'flags', value: slides } } : {}),
  };
}

const factorsOfGranite = (config: Config): Keys => ({
  'attention.scale': f32(config.attention_multiplier ?? 1),
  embedding_scale: f32(config.embedding_multiplier ?? 1),
  residual_scale: f32(config.residual_multiplier ?? 1),
  logit_scale: f32(config.logits_scaling ?? 1),
});

const innerOfExperts = ({ experts }: ModelSizes): Keys => ({
  ...(experts ? { expert_feed_forward_length: u32(experts.inner) } : {}),
  ...(experts?.shared ? { expert_shared_feed_forward_length: u32(experts.shared) } : {}),
});

/** Keys of a model type beside those of all. */
const ownKeys: Readonly<Record<string, (config: Config, sizes: ModelSizes) => Keys>> = {
  mistral: windowOf,
  olmo3: windowsOf,
  exaone4: windowsOf,
  gemma2: (config) => ({
    ...windowOf(config),
    attn_logit_softcapping: f32(config.attn_logit_softcapping ?? 50),
    final_logit_softcapping: f32(config.final_logit_softcapping ?? 30),
  }),
  gemma3_text: windowOf,
  phi3: windowOf,
  starcoder2: windowOf,
  granite: factorsOfGranite,
  granite_swa: factorsOfGranite,
  granitemoe: factorsOfGranite,
  granitemoeshared: factorsOfGranite,
  mixtral: windowOf,
  qwen2_moe: (_, sizes) => innerOfExperts(sizes),
  qwen3_moe: (_, sizes) => innerOfExperts(sizes),
  qwen3_next: (_, sizes) => innerOfExperts(sizes),
  qwen3_5_moe_text: (_, sizes) => innerOfExperts(sizes),
  gpt_oss: (config, sizes) => ({ ...windowOf({ sliding_window: 128, ...config }), ...innerOfExperts(sizes) }),
};

/** Model types that are written, and the architecture of each. */
const architectureOf = new Map<string, string>();
for (const [name, { className }] of Object.entries(architectures)) {
  for (const type of Object.keys(className)) {
    // The first architecture of a type is the one that is written.
    if (!architectureOf.has(type)) architectureOf.set(type, name);
  }
}

/** How a model is written. @throws SubzeroError `unsupported` if GGUF files of it are not known */
export class WrittenArchitecture {
  /** As files call it. */
  readonly name: string;
  readonly #type: string;
  readonly #table: Architecture;
  readonly #names: LayerNames;

  /** @param config config.json of the language model */
  constructor(config: Config) {
    const type = String(config.model_type);
    const name = architectureOf.get(type);
    if (name === undefined) {
      throw new SubzeroError(
        'unsupported',
        `models of type "${type}" cannot be written as GGUF; supported are ${[...architectureOf.keys()].join(', ')}`,
        { parameter: 'format' },
      );
    }
    this.name = name;
    this.#type = type;
    this.#table = architectures[name]!;
    this.#names = layerNames(this.#table, config);
  }

  /** The keys of a model's file, but for those of its tokenizer. @param title for people */
  keys(config: Config, sizes: ModelSizes, title: string): Map<string, TypedValue> {
    const { hidden, layers, heads, keyHeads, headWidth, feedForward, context, vocabulary, epsilon } = sizes;
    const own: Keys = {
      context_length: u32(context),
      embedding_length: u32(hidden),
      block_count: u32(layers),
      feed_forward_length: u32(feedForward),
      vocab_size: u32(vocabulary),
      'attention.head_count': u32(heads),
      'attention.head_count_kv': u32(keyHeads),
      'attention.key_length': u32(headWidth),
      'attention.value_length': u32(headWidth),
      [this.#table.epsilon ? 'attention.layer_norm_epsilon' : 'attention.layer_norm_rms_epsilon']: f32(epsilon),
      ...(sizes.experts
        ? { expert_count: u32(sizes.experts.count), expert_used_count: u32(sizes.experts.chosen) }
        : {}),
      ...this.#rope(config, sizes),
      ...ownKeys[this.#type]?.(config, sizes),
      ...this.#table.written?.(config, sizes),
    };
    return new Map<string, TypedValue>([
      ['general.architecture', { kind: 'text', value: this.name }],
      ['general.type', { kind: 'text', value: 'model' }],
      ['general.name', { kind: 'text', value: title }],
      ['general.quantization_version', u32(2)],
      ...Object.entries(own).flatMap(([key, value]) =>
        value === undefined ? [] : ([[`${this.name}.${key}`, value]] as const),
      ),
    ]);
  }

  #rope(config: Config, { headWidth, theta }: ModelSizes): Keys {
    const parameters = (config.rope_parameters ?? {}) as Config;
    const scaling = (config.rope_scaling ?? parameters) as Config;
    const share = (config.partial_rotary_factor ?? parameters.partial_rotary_factor ?? 1) as number;
    const type = scaling.rope_type ?? scaling.type ?? 'default';
    if (theta === undefined) return {};
    const keys: Keys = { 'rope.dimension_count': u32(headWidth * share), 'rope.freq_base': f32(theta) };
    if (type === 'linear') {
      return {
        ...keys,
        'rope.scaling.type': { kind: 'text', value: 'linear' },
        'rope.scaling.factor': f32(scaling.factor),
      };
    }
    if (type === 'yarn') {
      const original = scaling.original_max_position_embeddings;
      return {
        ...keys,
        'rope.scaling.type': { kind: 'text', value: 'yarn' },
        'rope.scaling.factor': f32(scaling.factor),
        ...(original === undefined ? {} : { 'rope.scaling.original_context_length': u32(original) }),
        ...(scaling.beta_fast === undefined ? {} : { 'rope.scaling.yarn_beta_fast': f32(scaling.beta_fast) }),
        ...(scaling.beta_slow === undefined ? {} : { 'rope.scaling.yarn_beta_slow': f32(scaling.beta_slow) }),
      };
    }
    return keys;
  }

  /** The divisors of the frequencies that a file has as a tensor. */
  divisors(config: Config, sizes: ModelSizes): Float32Array<ArrayBuffer> | undefined {
    const own = this.#table.divisors?.(config, sizes);
    return own ? Float32Array.from(own) : ropeDivisors(config, sizes.headWidth);
  }

  /**
   * Parameters whose numbers are among the keys, and the constants that are.
   * @param layers their number
   * @throws SubzeroError `unsupported` for a model without one of them
   */
  kept(parameters: ReadonlyMap<string, Float32Array>, layers: number): Map<string, TypedValue> {
    const lists = (this.#table.keptInKeys ?? []).map(({ key, parameter, constant }) => {
      const value = Array.from({ length: layers }, (_, layer) => {
        if (parameter === undefined) return constant!;
        const name = `model.layers.${layer}.${parameter}`;
        const own = parameters.get(name)?.[0];
        if (own !== undefined) return own;
        throw new SubzeroError(
          'unsupported',
          `GGUF files of "${this.name}" have ${quote(key)}, and the model has no ${quote(name)}; export as safetensors`,
          { parameter: 'format' },
        );
      });
      return [key, { kind: 'f32s', value }] as const;
    });
    return new Map(lists);
  }

  /** Whether a parameter's number is among the keys. */
  isKept(parameter: string): boolean {
    const own = /^model\.layers\.\d+\.(.+)$/.exec(plainName(parameter))?.[1];
    return own !== undefined && (this.#table.keptInKeys ?? []).some((each) => each.parameter === own);
  }

  /** Whether a parameter with gate and up has their rows in turns. */
  get interleaved(): boolean {
    const { experts } = this.#table;
    return experts !== undefined && 'packed' in experts && experts.interleaved;
  }

  /** Where a parameter of experts lies; nothing of one that does not belong to them. */
  experts(parameter: string): ExpertPlace[] {
    return expertPlaces(plainName(parameter), this.#table.experts);
  }

  #unsuffixed(parameter: string): string {
    const { layer, name } = placeInLayer(this.#table, parameter);
    const found = Object.entries(this.#table.unsuffixed ?? {}).find(([, own]) => own === name)?.[0];
    if (found !== undefined) return `blk.${layer}.${found}`;
    const isExpert = this.experts(parameter).length > 0;
    throw new SubzeroError(
      'unsupported',
      isExpert
        ? `${quote(parameter)} is one of the matrices of experts, which GGUF files have in one tensor`
        : `${quote(parameter)} has no name in GGUF files of "${this.name}"`,
      { parameter: 'format' },
    );
  }

  /**
   * Where a parameter of transformers lies: mostly one tensor.
   * @param rows of the parameter
   * @throws SubzeroError `unsupported` if files have no name for it
   */
  tensors(name: string, rows: number, config: Config, sizes: ModelSizes): WrittenTensor[] {
    const parameter = plainName(name);
    const place = placeInLayer(this.#table, parameter);
    const order = (this.#table.rearranged?.(config, sizes) ?? []).find((each) => each.parameter === place.name);
    if (!order) return [this.tensor(parameter, rows, sizes)];
    const { along, runs, tensors } = order;
    return tensors.map((each, which) => {
      return { ...withValues(`blk.${place.layer}.${each}`), order: { along, runs, which } };
    });
  }

  /**
   * Where a parameter lies that is one tensor.
   * @throws SubzeroError `unsupported` if files have no name for it
   */
  tensor(name: string, rows: number, { heads, keyHeads }: Pick<ModelSizes, 'heads' | 'keyHeads'>): WrittenTensor {
    const parameter = plainName(name);
    const [, module = '', suffix = ''] = /^(.*)\.(weight|bias)$/.exec(parameter) ?? [];
    const { layer, name: inside = module } = placeInLayer(this.#table, module);
    const table = layer === undefined ? { ...outerTensors, ...this.#table.outer } : this.#names;
    const names = Object.entries(table).filter(([, own]) => own === inside);
    const found = names.at(-1)?.[0];
    if (found === undefined) return withValues(this.#unsuffixed(parameter));
    const place = { name: `${layer === undefined ? '' : `blk.${layer}.`}${found}.${suffix}` };
    if (this.#table.gainsFromZero?.test(parameter)) return { ...place, map: (value) => value + 1 };
    if (found === sharedGate) return { ...place, isVector: true, isExact: true };
    if (convolutions.includes(found) && suffix === 'weight') return { ...place, isMatrix: true, isExact: true };
    if (found === router || found === positions) return { ...place, isExact: true };
    const ofHeads = { attn_q: heads, attn_k: keyHeads }[found];
    return this.#table.permuted && ofHeads ? { ...place, interleaved: rows / ofHeads } : place;
  }
}

/** The name in a language model that is not inside of another. */
function plainName(parameter: string): string {
  return parameter.replace(/^model\.language_model\./, 'model.');
}

/** Tensors that have other values in a file, or are kept in F32. */
function withValues(name: string): WrittenTensor {
  if (name.endsWith('.ssm_a')) return { name, map: (value) => -Math.exp(value) };
  return name.endsWith('.ssm_conv1d.weight') ? { name, isMatrix: true, isExact: true } : { name };
}

/** Modules with [channels, 1, taps], of which the file leaves out the side of 1. */
const convolutions = ['ssm_conv1d', 'shortconv.conv'];

/** Modules that llama.cpp keeps in F32. */
const [router, sharedGate, positions] = ['ffn_gate_inp', 'ffn_gate_inp_shexp', 'position_embd'];

/** Rows of heads as ggml has them: those of both halves of a head, one after the other in turn. @param width bytes */
export function interleaved(bytes: Uint8Array, width: number, head: number): Uint8Array {
  const result = new Uint8Array(bytes.byteLength);
  const half = head / 2;
  for (let row = 0; row * width < bytes.byteLength; row++) {
    const place = row % head;
    const to = row - place + (place < half ? 2 * place : 2 * (place - half) + 1);
    result.set(bytes.subarray(row * width, (row + 1) * width), to * width);
  }
  return result;
}
