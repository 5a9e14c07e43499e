/**
 * Attention by key ranges: causal packed segments, shared prompts, sliding windows, caches.
 *
 * @module
 */

import { type AttentionVariant, attention } from '../../ops/attention.ts';
import { wholeQuads } from '../../tensor/axis.ts';
import type { Activation } from '../../tensor/workspace.ts';
import { exactTolerance, type KernelCase } from '../case.ts';
import type { Random } from '../random.ts';

/** The key rows that each row of a probe sees. */
type Range = readonly [number, number, number, number];

export interface AttentionShape {
  name: string;
  heads: number;
  keyHeads: number;
  headWidth: number;
  probes?: number;
  /** Rows of each probe, by the keys that they see; of all probes where each has its own. */
  ranges(random: Random): Range[];
  ownRanges?: boolean;
  /** Key rows from one probe to the next; 0 = all probes read the same. */
  keyStride: number;
  /** Key rows in all. */
  keys: number;
  /** Deviation of the queries: large ones make one key dominate. */
  sharpness?: number;
  /** Factor and bound of the scores. */
  scale?: number;
  softCap?: number;
  /** Whether every head has a sink, of each probe its own. */
  sinks?: boolean;
  /** Whether scores fall with the distance of their keys; the rows see keys in the order of their positions. */
  alibi?: { scale?: number; rounded?: boolean };
  /** Compared figures for the benchmark: pairs of query and key rows. */
  pairs?: number;
}

/** @param variant the adapter's own by default */
export function attentionCase(shape: AttentionShape, variant?: AttentionVariant): KernelCase {
  const { heads, keyHeads, headWidth, probes = 1, keyStride, keys, sharpness = 1, softCap } = shape;
  const { scale = 1 / Math.sqrt(headWidth) } = shape;
  const stride = wholeQuads(headWidth);
  const columns = heads * stride;
  const keyColumns = keyHeads * stride;
  return {
    operation: 'attention',
    name: `${shape.name}, ${heads}/${keyHeads} heads of ${headWidth}${probes > 1 ? `, ${probes} probes` : ''}`,
    tolerance: exactTolerance,
    flops: 4 * (shape.pairs ?? 0) * probes * columns,
    bytes: 8 * keys * keyColumns,
    prepare(bed) {
      const { random } = bed;
      const ranges = shape.ranges(random);
      const rows = shape.ownRanges ? ranges.length / probes : ranges.length;
      const all = rows * probes;
      // Zeros lie behind each head where 4 does not divide its width.
      const normals = (count: number, deviation = 1) =>
        random.normals(count, deviation).map((value, index) => (index % stride < headWidth ? value : 0));
      const qData = normals(all * columns, sharpness);
      const kData = normals(keys * keyColumns);
      const vData = normals(keys * keyColumns);
      bed.reserve(all);
      const sinks = shape.sinks ? Array.from({ length: probes }, () => bed.random.normals(heads, 2)) : undefined;
      const slopes = Float32Array.from({ length: heads }, (_, head) => 2 ** -(head + 1));
      const alibi = shape.alibi && { ...shape.alibi, slopes: bed.upload(slopes) };
      const made = bed.context({ count: probes, ...(sinks ? { vectors: { sinks } } : {}) });
      const context = shape.ownRanges ? { ...made, probes: { ...made.probes, ownInputs: true } } : made;
      const q = bed.activation(qData, all, columns);
      const [k, v] = [bed.upload(kData), bed.upload(vData)];
      const rangeBuffer = bed.upload(Uint32Array.from(ranges.flat()));
      let last: Activation | undefined;
      return {
        record() {
          if (last) bed.workspace.give(last);
          last = attention(context, q, k, v, {
            heads,
            keyHeads,
            headWidth,
            ranges: rangeBuffer,
            keyStride,
            ...(variant ? { variant } : {}),
            ...(shape.scale === undefined ? {} : { scale: shape.scale }),
            ...(softCap === undefined ? {} : { softCap }),
            ...(sinks ? { sinks: 'sinks' } : {}),
            ...(alibi ? { alibi } : {}),
          });
          return [
            {
              name: 'y',
              buffer: last.buffer,
              rows: all,
              columns,
              guarded: true,
              reference(row) {
                const result = new Float64Array(columns);
                const [a0, a1, b0, b1] = ranges[row % ranges.length]!;
                const shift = Math.floor(row / rows) * keyStride;
                const seen: number[] = [];
                for (let key = a0; key < a1; key++) seen.push(key + shift);
                for (let key = b0; key < b1; key++) seen.push(key + shift);
                for (let head = 0; head < heads; head++) {
                  const keyHead = Math.floor((head * keyHeads) / heads);
                  const scores = seen.map((key, position) => {
                    let sum = 0;
                    for (let d = 0; d < headWidth; d++) {
                      sum +=
                        qData[row * columns + head * stride + d]! * kData[key * keyColumns + keyHead * stride + d]!;
                    }
                    const score = scale * sum;
                    const bias = alibi ? biasOf(slopes[head]!, position, alibi) : 0;
                    return bias + (softCap === undefined ? score : softCap * Math.tanh(score / softCap));
                  });
                  const sink = sinks ? sinks[Math.floor(row / rows)]![head]! : undefined;
                  const highest = Math.max(...scores, sink ?? Number.NEGATIVE_INFINITY);
                  const shares = scores.map((score) => Math.exp(score - highest));
                  const ofSink = sink === undefined ? 0 : Math.exp(sink - highest);
                  const total = shares.reduce((sum, share) => sum + share, ofSink);
                  for (const [index, key] of seen.entries()) {
                    const share = shares[index]! / total;
                    for (let d = 0; d < headWidth; d++) {
                      result[head * stride + d]! += share * vData[key * keyColumns + keyHead * stride + d]!;
                    }
                  }
                }
                return result;
              },
            },
          ];
        },
      };
    },
  };
}

/** What is added to the score of the key at a position, less a constant for all keys of a row. */
function biasOf(slope: number, position: number, { scale = 1, rounded }: NonNullable<AttentionShape['alibi']>): number {
  if (!rounded) return scale * slope * position;
  const round = (value: number): number => (value === 0 ? 0 : roundTo(value, 2 ** (Math.floor(Math.log2(value)) - 7)));
  return scale * round(slope * round(position));
}

/** The nearest multiple of a step, of two the even one. */
function roundTo(value: number, step: number): number {
  const low = Math.floor(value / step);
  const rest = value / step - low;
  return step * (rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low);
}

/** Causal attention within packed segments of these lengths. */
export function causalRanges(lengths: readonly number[], window = Number.POSITIVE_INFINITY): Range[] {
  let start = 0;
  return lengths.flatMap((length) => {
    const first = start;
    start += length;
    return Array.from(
      { length },
      (_, index): Range => [Math.max(first, first + index + 1 - window), first + index + 1, 0, 0],
    );
  });
}

/** A prompt and options that share it: each option row sees the prompt and its own option up to itself. */
function sharedPromptRanges(prompt: number, options: readonly number[]): Range[] {
  let start = prompt;
  const rows = causalRanges([prompt]);
  for (const length of options) {
    for (let index = 0; index < length; index++) rows.push([0, prompt, start, start + index + 1]);
    start += length;
  }
  return rows;
}

export const attentionShapes: readonly AttentionShape[] = [
  {
    name: 'one row, one key',
    heads: 1,
    keyHeads: 1,
    headWidth: 4,
    ranges: () => [[0, 1, 0, 0]],
    keyStride: 1,
    keys: 1,
  },
  {
    name: 'causal, one segment',
    heads: 2,
    keyHeads: 2,
    headWidth: 16,
    ranges: () => causalRanges([37]),
    keyStride: 37,
    keys: 37,
  },
  {
    name: 'causal, packed segments',
    heads: 3,
    keyHeads: 3,
    headWidth: 20,
    probes: 3,
    ranges: () => causalRanges([1, 9, 2, 30, 1, 17]),
    keyStride: 60,
    keys: 180,
  },
  {
    name: 'grouped queries',
    heads: 6,
    keyHeads: 2,
    headWidth: 24,
    probes: 2,
    ranges: () => causalRanges([11, 8]),
    keyStride: 19,
    keys: 38,
  },
  {
    name: 'grouped queries, heads with pads',
    heads: 6,
    keyHeads: 2,
    headWidth: 10,
    probes: 2,
    ranges: () => causalRanges([11, 8]),
    keyStride: 19,
    keys: 38,
  },
  {
    name: 'one key head for all',
    heads: 5,
    keyHeads: 1,
    headWidth: 8,
    ranges: () => causalRanges([23]),
    keyStride: 23,
    keys: 23,
  },
  {
    name: 'bidirectional',
    heads: 2,
    keyHeads: 1,
    headWidth: 12,
    ranges: () => Array.from({ length: 21 }, (): Range => [0, 21, 0, 0]),
    keyStride: 21,
    keys: 21,
  },
  {
    name: 'options that share a prompt',
    heads: 2,
    keyHeads: 2,
    headWidth: 32,
    probes: 2,
    ranges: () => sharedPromptRanges(13, [3, 1, 6]),
    keyStride: 23,
    keys: 46,
  },
  {
    name: 'sliding window',
    heads: 2,
    keyHeads: 2,
    headWidth: 16,
    ranges: () => causalRanges([50], 7),
    keyStride: 50,
    keys: 50,
  },
  {
    name: 'only the second range',
    heads: 1,
    keyHeads: 1,
    headWidth: 16,
    ranges: () => [
      [0, 0, 4, 9],
      [3, 3, 0, 2],
    ],
    keyStride: 9,
    keys: 9,
  },
  {
    name: 'decoding from a cache that all probes share',
    heads: 4,
    keyHeads: 2,
    headWidth: 64,
    probes: 2,
    ranges: (random) => [3, 700, 64].map((length): Range => [0, length, 700, 700 + random.integer(1, 20)]),
    keyStride: 0,
    keys: 720,
  },
  {
    name: 'texts of each probe in one cache',
    heads: 4,
    keyHeads: 2,
    headWidth: 16,
    probes: 3,
    ranges: (random) =>
      Array.from({ length: 3 * 11 }, (_, row): Range => [0, 0, 20 * row, 20 * row + random.integer(0, 20)]),
    ownRanges: true,
    keyStride: 0,
    keys: 660,
    sinks: true,
  },
  {
    name: 'rows without any key',
    heads: 2,
    keyHeads: 1,
    headWidth: 16,
    ranges: () => [
      [0, 0, 0, 0],
      [0, 3, 0, 0],
      [5, 5, 2, 2],
      [0, 0, 4, 5],
    ],
    keyStride: 5,
    keys: 5,
  },
  {
    name: 'pieces of prompts in a cache, far apart',
    heads: 2,
    keyHeads: 2,
    headWidth: 32,
    ranges: () =>
      [
        [900, 20, 41],
        [100, 0, 9],
        [300, 130, 131],
      ].flatMap(([start, from, to]) =>
        Array.from({ length: to! - from! }, (_, index): Range => [0, 0, start!, start! + from! + index + 1]),
      ),
    keyStride: 0,
    keys: 1000,
  },
  {
    name: 'sharp: one key takes all',
    heads: 2,
    keyHeads: 2,
    headWidth: 128,
    ranges: () => causalRanges([40]),
    keyStride: 40,
    keys: 40,
    sharpness: 40,
  },
  {
    name: 'sinks',
    heads: 6,
    keyHeads: 2,
    headWidth: 24,
    probes: 2,
    ranges: () => causalRanges([150, 8]),
    keyStride: 158,
    keys: 316,
    sinks: true,
  },
  {
    name: 'ALiBi, options that share a prompt',
    heads: 5,
    keyHeads: 5,
    headWidth: 12,
    probes: 2,
    ranges: () => sharedPromptRanges(70, [3, 41, 6]),
    keyStride: 120,
    keys: 240,
    alibi: {},
  },
  {
    name: 'ALiBi, a cache and a window',
    heads: 6,
    keyHeads: 3,
    headWidth: 32,
    ranges: () => [
      [3, 400, 600, 607],
      [90, 100, 0, 2],
      [0, 0, 650, 690],
    ],
    keyStride: 0,
    keys: 700,
    alibi: { scale: 0.5 },
  },
  {
    name: 'ALiBi, rounded',
    heads: 4,
    keyHeads: 2,
    headWidth: 16,
    ranges: () => [[0, 5, 700, 703], [0, 600, 700, 719], ...causalRanges([40])],
    keyStride: 720,
    keys: 720,
    alibi: { scale: 0.25, rounded: true },
  },
  {
    name: 'scaled and capped scores',
    heads: 4,
    keyHeads: 2,
    headWidth: 16,
    probes: 2,
    ranges: () => causalRanges([29, 8], 12),
    keyStride: 37,
    keys: 74,
    scale: 0.6,
    softCap: 2.5,
  },
  {
    name: 'scores far beyond their cap',
    heads: 2,
    keyHeads: 2,
    headWidth: 32,
    ranges: () => causalRanges([40]),
    keyStride: 40,
    keys: 40,
    sharpness: 4000,
    softCap: 5,
  },
];
