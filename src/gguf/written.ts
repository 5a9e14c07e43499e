/**
 * How a model is written as GGUF: keys and names of tensors by the tables that files are read by, the other way round.
 * What is written is read back before the file is made; a model whose configuration does not come back is refused.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { quote } from '../safetensors/json.ts';
import type { Architecture } from './architecture.ts';
import { architectures, outerTensors } from './architectures.ts';
import { type ExpertPlace, expertPlaces } from './experts.ts';
import type { TypedValue } from './writer.ts';

type Config = Readonly<Record<string, unknown>>;

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
  /** Experts of a layer, those of a token, and elements inside of each and of the one for all tokens. */
  experts?: { count: number; chosen: number; inner: number; shared?: number };
}

/** A tensor's place in a file. */
export interface WrittenTensor {
  name: string;
  /** Rows of a head whose halves are interleaved in the file. */
  interleaved?: number;
  /** Its matrix has one row, and is a vector there. */
  isVector?: true;
  /** Whether it is in F32, whatever matrices are. */
  isExact?: true;
  /** What is added to its values: 1 to gains that transformers has as their distance from 1. */
  shift?: number;
}

const u32 = (value: unknown): TypedValue => ({ kind: 'u32', value: value as number });
const f32 = (value: unknown): TypedValue => ({ kind: 'f32', value: value as number });

type Keys = Record<string, TypedValue | undefined>;

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
  granitemoe: factorsOfGranite,
  mixtral: windowOf,
  qwen2_moe: (_, sizes) => innerOfExperts(sizes),
  qwen3_moe: (_, sizes) => innerOfExperts(sizes),
  gpt_oss: (config, sizes) => ({ ...windowOf({ sliding_window: 128, ...config }), ...innerOfExperts(sizes) }),
};

/** Model types that are written, and the architecture of each. */
const architectureOf = new Map(
  Object.entries(architectures).flatMap(([name, { className }]) =>
    Object.keys(className).map((type) => [type, name] as const),
  ),
);

/** How models of a type are written. @throws SubzeroError `unsupported` if GGUF files of it are not known */
export class WrittenArchitecture {
  /** As files call it. */
  readonly name: string;
  readonly #type: string;
  readonly #table: Architecture;

  constructor(type: string) {
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
      ...this.#rope(config, headWidth),
      ...ownKeys[this.#type]?.(config, sizes),
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

  #rope(config: Config, headWidth: number): Keys {
    const parameters = (config.rope_parameters ?? {}) as Config;
    const scaling = (config.rope_scaling ?? parameters) as Config;
    const theta = config.rope_theta ?? parameters.rope_theta;
    const share = (config.partial_rotary_factor ?? parameters.partial_rotary_factor ?? 1) as number;
    const type = scaling.rope_type ?? scaling.type ?? 'default';
    const keys: Keys = {
      'rope.dimension_count': u32(headWidth * share),
      ...(theta === undefined ? {} : { 'rope.freq_base': f32(theta) }),
    };
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

  /** Whether a parameter with gate and up has their rows in turns. */
  get interleaved(): boolean {
    const { experts } = this.#table;
    return experts !== undefined && 'packed' in experts && experts.interleaved;
  }

  /** Where a parameter of experts lies; nothing of one that does not belong to them. */
  experts(parameter: string): ExpertPlace[] {
    return expertPlaces(parameter, this.#table.experts);
  }

  #unsuffixed(parameter: string): WrittenTensor {
    const [, block, name] = /^model\.layers\.(\d+)\.(.+)$/.exec(parameter) ?? [];
    const found = Object.entries(this.#table.unsuffixed ?? {}).find(([, own]) => own === name)?.[0];
    if (found !== undefined) return { name: `blk.${block}.${found}` };
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
   * Where a parameter of transformers lies.
   * @param rows of the tensor
   * @throws SubzeroError `unsupported` if files have no name for it
   */
  tensor(parameter: string, rows: number, { heads, keyHeads }: Pick<ModelSizes, 'heads' | 'keyHeads'>): WrittenTensor {
    const [, module = '', suffix = ''] = /^(.*)\.(weight|bias)$/.exec(parameter) ?? [];
    const [, block, inLayer] = /^model\.layers\.(\d+)\.(.+)$/.exec(module) ?? [];
    const table = block === undefined ? outerTensors : this.#table.layer;
    const found = Object.entries(table).find(([, own]) => own === (inLayer ?? module))?.[0];
    if (found === undefined) return this.#unsuffixed(parameter);
    const name = `${block === undefined ? '' : `blk.${block}.`}${found}.${suffix}`;
    if (this.#table.gainsFromZero && parameter.endsWith('norm.weight')) return { name, shift: 1 };
    if (found === sharedGate) return { name, isVector: true, isExact: true };
    if (found === router) return { name, isExact: true };
    const ofHeads = { attn_q: heads, attn_k: keyHeads }[found];
    return this.#table.permuted && ofHeads ? { name, interleaved: rows / ofHeads } : { name };
  }
}

/** Modules that llama.cpp keeps in F32. */
const [router, sharedGate] = ['ffn_gate_inp', 'ffn_gate_inp_shexp'];

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

/**
 * The tensor of divisors that says Llama 3's rule of frequencies, as llama.cpp's converter makes it.
 * @param width elements of a head that turn
 */
export function ropeDivisors(config: Config, width: number): Float32Array<ArrayBuffer> | undefined {
  const parameters = (config.rope_parameters ?? {}) as Config;
  const scaling = (config.rope_scaling ?? parameters) as Record<string, number | string | undefined>;
  if ((scaling.rope_type ?? scaling.type) !== 'llama3') return undefined;
  const theta = Number(config.rope_theta ?? parameters.rope_theta ?? 10_000);
  const [factor, low, high, original] = [
    ...[scaling.factor, scaling.low_freq_factor, scaling.high_freq_factor],
    scaling.original_max_position_embeddings,
  ].map(Number) as [number, number, number, number];
  return Float32Array.from({ length: width / 2 }, (_, pair) => {
    const turns = (original * theta ** ((-2 * pair) / width)) / (2 * Math.PI);
    const smooth = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
