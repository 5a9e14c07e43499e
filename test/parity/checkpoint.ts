/**
 * The checkpoints of the parity suite, written as make_checkpoints.py writes them: weights, prompts and signs are functions of
 * names and indices.
 *
 * @module
 */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { f32ToBytes, type TensorToWrite, writeSafetensors } from '../../src/safetensors/index.ts';

/** One case of golden/parity.json. */
export interface ParityCase {
  name: string;
  config: Record<string, unknown> & { vocab_size: number };
  storage: 'f32' | 'f16' | 'bf16';
  shards: number;
  /** Index into {@link ParityFile.layouts}. */
  layout: number;
  sequences: { length: number; logprobs: number[]; checksums: number[] }[];
  greedy: number[];
  /** The least difference between the two best logits of the greedy steps. */
  greedy_gap: number;
}

export interface ParityFile {
  transformers: string;
  torch: string;
  greedyPrompt: number;
  layouts: [name: string, shape: number[]][][];
  cases: ParityCase[];
}

/** Whole numbers from -127 to 127: a hash of the name and the index. */
export function whole(name: string, count: number): Int32Array {
  let start = 0x811c9dc5;
  for (const byte of Buffer.from(name)) start = Math.imul(start ^ byte, 0x01000193);
  return Int32Array.from({ length: count }, (_, index) => {
    let hash = (Math.imul(index, 0x9e3779b1) + start) >>> 0;
    hash ^= hash >>> 16;
    hash = Math.imul(hash, 0x85ebca6b);
    hash ^= hash >>> 13;
    hash = Math.imul(hash, 0xc2b2ae35);
    hash ^= hash >>> 16;
    return ((hash >>> 0) % 255) - 127;
  });
}

/** A tensor whose values f16 and bf16 hold exactly: gains around 1, embeddings of about 0.6, other matrices of 1/√width. */
function values(name: string, shape: readonly number[]): Float32Array {
  const numbers = whole(
    name,
    shape.reduce((product, size) => product * size, 1),
  );
  if (shape.length === 1 && name.endsWith('weight')) {
    return Float32Array.from(numbers, (n) => (128 + Math.floor(n / 4)) / 128);
  }
  const isTable = shape.length > 1 && (name.includes('embed') || name.includes('lm_head'));
  return Float32Array.from(numbers, (n) => n / (isTable ? 128 : 512));
}

/** The ids of a prompt. */
export function promptOf({ name, config }: ParityCase, length: number): number[] {
  return [...whole(`${name} ${length}`, length)].map((n) => ((n + 127) % (config.vocab_size - 3)) + 3);
}

/** +1 or -1 for each id of a vocabulary. */
export function signsOf(vocabulary: number): Int8Array {
  return Int8Array.from(whole('signs', vocabulary), (n) => (n > 0 ? 1 : -1));
}

/** Writes config.json and the weights of a case into a folder, which is made. */
export async function writeCheckpoint(folder: string, parityCase: ParityCase, file: ParityFile): Promise<void> {
  const { config, storage, shards, layout } = parityCase;
  const dtype = ({ f32: 'F32', f16: 'F16', bf16: 'BF16' } as const)[storage];
  const tensors = file.layouts[layout]!.map(
    ([name, shape]): TensorToWrite => ({
      ...{ name, dtype, shape },
      data: () => [f32ToBytes(dtype, values(name, shape))],
    }),
  );
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  if (shards === 1) {
    await writeSafetensors(join(folder, 'model.safetensors'), tensors);
    return;
  }
  const digits = (n: number): string => String(n).padStart(5, '0');
  const shardOf = (index: number): string => `model-${digits((index % shards) + 1)}-of-${digits(shards)}.safetensors`;
  for (let shard = 0; shard < shards; shard++) {
    await writeSafetensors(
      join(folder, shardOf(shard)),
      tensors.filter((_, index) => index % shards === shard),
    );
  }
  const weightMap = Object.fromEntries(tensors.map(({ name }, index) => [name, shardOf(index)]));
  await writeFile(
    join(folder, 'model.safetensors.index.json'),
    JSON.stringify({ metadata: {}, weight_map: weightMap }),
  );
}
