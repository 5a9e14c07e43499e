/**
 * The checkpoints of parity.json as folders. Values of weights follow from their names, by the rule that make_parity.py
 * has as well, and F16 and BF16 hold them exactly.
 *
 * @module
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type FloatDtype, f32ToBytes, writeSafetensors } from '../../src/safetensors/index.ts';

export interface ParityCase {
  name: string;
  config: Record<string, unknown> & { vocab_size: number; text_config?: object };
  dtype: FloatDtype | 'F64';
  shards: number;
  /** `NAME ROWSxCOLUMNS`, with a star for the numbers of layers. */
  tensors: string[];
  /** About what gains lie; 1 by default. */
  gains?: number;
  /** Tensors that the class does not have. */
  extra?: Record<string, number[]>;
  /** What the refusal says, as a regular expression; only of cases that are refused. */
  expect?: string;
  /** What is missing here, of a case that is known to disagree. */
  pending?: string;
  /** What transformers did instead of giving numbers. */
  transformers?: string;
  prompts?: { logprobs: number[]; projections: number[] }[];
  greedy?: number[];
  smallest_gap?: number;
  /** Largest difference of a log-probability between transformers in float32 and in float64. */
  float32_off?: number;
  warnings: string[];
}

/** The configuration of a case's language model, which may lie inside of another. */
export function textConfig({ config }: Pick<ParityCase, 'config'>): Record<string, unknown> & { vocab_size: number } {
  return (config.text_config as ReturnType<typeof textConfig> | undefined) ?? config;
}

/** The number of layers, by whatever name. */
function layersOf(parity: Pick<ParityCase, 'config'>): number {
  const { num_hidden_layers: layers, n_layer: older, num_layers: neo, n_layers: mpt } = textConfig(parity);
  return (layers ?? older ?? neo ?? mpt) as number;
}

export interface Parity {
  transformers: string;
  torch: string;
  cases: ParityCase[];
}

/** Whether a case is about a masked language model, whose tokens are predicted at their own places. */
export function isMasked({ config }: ParityCase): boolean {
  return /bert/.test(String(config.model_type));
}

/** Tokens of the prompts. */
export const promptLengths = [20, 108] as const;

/** Pseudorandom 32-bit words of a text: FNV-1a, a Weyl sequence, and MurmurHash3's finaliser. */
function mixed(text: string, count: number): Uint32Array {
  let seed = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) seed = Math.imul(seed ^ byte, 0x01000193);
  return Uint32Array.from({ length: count }, (_, index) => {
    let x = (Math.imul(index, 0x9e3779b9) + seed) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b) >>> 0;
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35) >>> 0;
    return x ^ (x >>> 16);
  });
}

/** The values of a tensor: they follow from its name. */
export function valuesOf(name: string, shape: readonly number[], gains = 1): Float32Array {
  // The constants of xIELU.
  if (/\.act_fn\.(beta|eps)$/.test(name)) return Float32Array.of(name.endsWith('beta') ? 0.5 : -1e-6);
  const words = mixed(
    name,
    shape.reduce((product, size) => product * size, 1),
  );
  const factor = /\.(layer_scalar|router\.scale|per_expert_scale)$/.test(name);
  const gain = factor || (shape.length === 1 && /\.(weight|gamma)$/.test(name));
  const unit = /embed_tokens|conv1d|word_embeddings|tok_embeddings|\.wte\.|embed_in/.test(name) ? 128 : 512;
  return Float32Array.from(words, (word) => {
    const whole = (word >>> 24) - 128;
    const middle = factor ? 1 : gains;
    return gain ? middle + (whole >> 2) / 64 : whole / unit;
  });
}

function bytesOf(dtype: ParityCase['dtype'], values: Float32Array): Uint8Array {
  return dtype === 'F64' ? new Uint8Array(Float64Array.from(values).buffer) : f32ToBytes(dtype, values);
}

/** Weights of a sum over the vocabulary: every logit counts in it. */
export function projectionWeights(size: number): Float64Array {
  return Float64Array.from(mixed('projection', size), (word) => (word / 2 ** 31 - 1) / Math.sqrt(size));
}

/** Ids, without the padding token where it has no place in a text. */
export function promptOf(length: number, config: ParityCase['config']): number[] {
  const padding = /roberta/.test(String(config.model_type)) ? Number(config.pad_token_id ?? 1) : undefined;
  const ids = Array.from(mixed(`prompt of ${length}`, length), (word) => word % config.vocab_size);
  return ids.map((id) => (id === padding ? id + 1 : id));
}

/** The tensors of a case by their names, with their shapes. @param tensors in place of those of the case's files */
export function shapesOf({
  tensors,
  extra = {},
  ...parity
}: Pick<ParityCase, 'tensors' | 'extra' | 'config'>): [string, number[]][] {
  const own = tensors.flatMap((line): [string, number[]][] => {
    const [name = '', sizes = ''] = line.split(' ');
    const shape = sizes === '' ? [] : sizes.split('x').map(Number);
    const layers = name.includes('*') ? layersOf(parity) : 1;
    return Array.from({ length: layers }, (_, layer) => [name.replace('*', String(layer)), shape]);
  });
  return [...own, ...Object.entries(extra)];
}

/** One character per token, and nothing else: requests come as ids. */
function plainTokenizer(size: number): object {
  const vocab = Object.fromEntries(Array.from({ length: size }, (_, id) => [String.fromCodePoint(0x4e00 + id), id]));
  const model = { type: 'BPE', vocab, merges: [], unk_token: null, byte_fallback: false, ignore_merges: false };
  return { version: '1.0', added_tokens: [], normalizer: null, pre_tokenizer: null, model };
}

/** Writes config.json, weights and a tokenizer into a folder, which is made. */
export async function writeCheckpoint(directory: string, parity: ParityCase): Promise<void> {
  const { config, dtype, shards } = parity;
  mkdirSync(directory, { recursive: true });
  const write = (file: string, value: unknown): void => writeFileSync(join(directory, file), JSON.stringify(value));
  write('config.json', config);
  write('tokenizer.json', plainTokenizer(textConfig(parity).vocab_size));
  write('tokenizer_config.json', { tokenizer_class: 'PreTrainedTokenizerFast' });
  const shapes = shapesOf(parity);
  const fileOf = (shard: number): string => {
    const number = (value: number): string => String(value).padStart(5, '0');
    return shards > 1 ? `model-${number(shard + 1)}-of-${number(shards)}.safetensors` : 'model.safetensors';
  };
  for (let shard = 0; shard < shards; shard++) {
    const part = shapes.filter((_, index) => index % shards === shard);
    await writeSafetensors(
      join(directory, fileOf(shard)),
      part.map(([name, shape]) => ({
        name,
        dtype,
        shape,
        data: () => [bytesOf(dtype, valuesOf(name, shape, parity.gains))],
      })),
      { format: 'pt' },
    );
  }
  if (shards > 1) {
    const where = Object.fromEntries(shapes.map(([name], index) => [name, fileOf(index % shards)]));
    write('model.safetensors.index.json', { metadata: {}, weight_map: where });
  }
}
