/**
 * A Llama-family decoder in float64 on the CPU: the reference for losses and gradients of small models. It computes one
 * sequence at a time from full weight matrices and shares nothing with the forward pass under test but the reading of
 * config.json.
 *
 * @module
 */

import type { TokenizedExample } from '../../../src/data/example.ts';
import {
  type AttentionSublayer,
  type Decoder,
  type Linear,
  type Norm,
  rotationsOf,
} from '../../../src/model/decoder.ts';
import type { RopePosition } from '../../../src/model/rope-table.ts';
import { deltaRuleSublayer64, shortConvolution64 } from './float64-recurrent.ts';

export type Parameters64 = ReadonlyMap<string, Float64Array>;

/** y[rows, out] = x[rows, in] Wᵀ. */
function product(x: Float64Array, weight: Float64Array, inner: number): Float64Array {
  const rows = x.length / inner;
  const columns = weight.length / inner;
  const y = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += x[i * inner + k]! * weight[j * inner + k]!;
      y[i * columns + j] = sum;
    }
  }
  return y;
}

function rmsNorm(x: Float64Array, gain: Float64Array, epsilon: number, offset = 0): Float64Array {
  const width = gain.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += width) {
    let squares = 0;
    for (let i = 0; i < width; i++) squares += x[start + i]! ** 2;
    const factor = 1 / Math.sqrt(squares / width + epsilon);
    for (let i = 0; i < width; i++) y[start + i] = x[start + i]! * factor * (offset + gain[i]!);
  }
  return y;
}

/** Rotates the halves of the first part of every head (the Llama layout). */
function rotate(x: Float64Array, heads: number, width: number, { theta, rotaryWidth }: RopePosition): void {
  const half = rotaryWidth / 2;
  for (let row = 0; row < x.length / (heads * width); row++) {
    for (let head = 0; head < heads; head++) {
      const start = (row * heads + head) * width;
      for (let pair = 0; pair < half; pair++) {
        const angle = row * theta ** (-(2 * pair) / rotaryWidth);
        const a = x[start + pair]!;
        const b = x[start + half + pair]!;
        x[start + pair] = a * Math.cos(angle) - b * Math.sin(angle);
        x[start + half + pair] = b * Math.cos(angle) + a * Math.sin(angle);
      }
    }
  }
}

function attend(
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  { heads: headCount, keyHeads: keyHeadCount, headWidth, window, scale, softCap }: AttentionSublayer,
): Float64Array {
  const rows = q.length / (headCount * headWidth);
  const y = new Float64Array(q.length);
  for (let row = 0; row < rows; row++) {
    const first = window === undefined ? 0 : Math.max(0, row - window + 1);
    for (let head = 0; head < headCount; head++) {
      const keyHead = Math.floor((head * keyHeadCount) / headCount);
      const scores: number[] = [];
      for (let key = first; key <= row; key++) {
        let score = 0;
        for (let d = 0; d < headWidth; d++) {
          score += q[(row * headCount + head) * headWidth + d]! * k[(key * keyHeadCount + keyHead) * headWidth + d]!;
        }
        scores.push(capped(scale === undefined ? score / Math.sqrt(headWidth) : scale * score, softCap));
      }
      const highest = Math.max(...scores);
      const shares = scores.map((score) => Math.exp(score - highest));
      const total = shares.reduce((sum, share) => sum + share, 0);
      for (const [index, share] of shares.entries()) {
        for (let d = 0; d < headWidth; d++) {
          y[(row * headCount + head) * headWidth + d]! +=
            (share / total) * v[((first + index) * keyHeadCount + keyHead) * headWidth + d]!;
        }
      }
    }
  }
  return y;
}

function capped(value: number, softCap: number | undefined): number {
  return softCap === undefined ? value : softCap * Math.tanh(value / softCap);
}

function plus(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, index) => value + b[index]!);
}

/**
 * Logits [tokens, vocabulary] of one sequence. Default rotary angles only; biases and head norms where the parameters
 * have them.
 */
export function logits64(decoder: Decoder, parameters: Parameters64, ids: readonly number[]): Float64Array {
  const { position, embedding, head, finalNorm } = decoder;
  if (position || rotationsOf(decoder).some(({ scaling }) => scaling.type !== 'default')) {
    throw new Error('the float64 decoder knows unscaled rotary angles only');
  }
  const get = (name: string): Float64Array => {
    const values = parameters.get(name);
    if (!values) throw new Error(`no parameter ${name}`);
    return values;
  };
  const normOf = (x: Float64Array, { kind, gain, epsilon, gainOffset }: Norm) => {
    if (kind !== 'rms') throw new Error('the float64 decoder knows RMSNorm only');
    return rmsNorm(x, get(gain!), epsilon, gainOffset);
  };
  const linear = (x: Float64Array, { weight, bias: biasName, columns }: Linear): Float64Array => {
    const y = product(x, get(weight), columns.groups * columns.width);
    const bias = biasName === undefined ? undefined : parameters.get(biasName);
    return bias ? y.map((value, index) => value + bias[index % bias.length]!) : y;
  };
  const hiddenSize = embedding.columns.width;
  const table = get(embedding.weight);
  let hidden = new Float64Array(ids.length * hiddenSize);
  for (const [row, id] of ids.entries()) {
    hidden.set(table.subarray(id * hiddenSize, (id + 1) * hiddenSize), row * hiddenSize);
  }
  const inputFactor = (decoder.embeddingScale ?? 1) * (decoder.inputScale ?? 1);
  hidden = hidden.map((value) => inputFactor * value);
  for (const sublayer of decoder.blocks.flat()) {
    const x = sublayer.before ? normOf(hidden, sublayer.before) : hidden;
    let result: Float64Array;
    if (sublayer.kind === 'attention') {
      let q = linear(x, sublayer.query);
      let k = linear(x, sublayer.key);
      const { headWidth } = sublayer;
      // Behind the queries of each head lies its gate.
      const both = q;
      const part = (second: number): Float64Array =>
        Float64Array.from({ length: both.length / 2 }, (_, index) => {
          return both[(2 * Math.floor(index / headWidth) + second) * headWidth + (index % headWidth)]!;
        });
      if (sublayer.gated) q = part(0);
      if (sublayer.queryNorm) q = normOf(q, sublayer.queryNorm);
      if (sublayer.keyNorm) k = normOf(k, sublayer.keyNorm);
      if (sublayer.rotation) {
        rotate(q, sublayer.heads, sublayer.headWidth, sublayer.rotation);
        rotate(k, sublayer.keyHeads, sublayer.headWidth, sublayer.rotation);
      }
      let mixed = attend(q, k, linear(x, sublayer.value), sublayer);
      if (sublayer.gated) {
        const gates = part(1);
        mixed = mixed.map((value, index) => value / (1 + Math.exp(-gates[index]!)));
      }
      result = linear(mixed, sublayer.output);
    } else if (sublayer.kind === 'short-convolution') {
      result = shortConvolution64(x, sublayer, { get, linear });
    } else if (sublayer.kind === 'delta-rule') {
      result = deltaRuleSublayer64(x, sublayer, { get, linear });
    } else {
      const up = linear(x, sublayer.up);
      const gated = linear(x, sublayer.gate!).map((value, i) => (value / (1 + Math.exp(-value))) * up[i]!);
      result = linear(gated, sublayer.down);
    }
    if (sublayer.after) result = normOf(result, sublayer.after);
    const { residualScale = 1 } = sublayer;
    hidden = plus(
      hidden,
      result.map((value) => residualScale * value),
    ) as typeof hidden;
  }
  const products = product(normOf(hidden, finalNorm!), get(head.tied ? embedding.weight : head.weight), hiddenSize);
  const { scale = 1, softCap } = decoder.logits ?? {};
  return products.map((value) => capped(scale * value, softCap));
}

/** log p of `token` by the softmax of one row of logits, in float64. */
export function logprob64(row: ArrayLike<number>, token: number): number {
  let highest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < row.length; i++) highest = Math.max(highest, row[i]!);
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += Math.exp(row[i]! - highest);
  return row[token]! - highest - Math.log(sum);
}

/** Σ log p over the scored tokens of every continuation, each computed as a sequence of its own. */
export function continuationLogprobs(
  example: TokenizedExample,
  rowsOf: (ids: readonly number[]) => readonly ArrayLike<number>[],
): number[] {
  return example.continuations.map(({ ids, scored }) => {
    const sequence = [...example.prompt, ...ids];
    const rows = rowsOf(sequence);
    let sum = 0;
    for (let i = sequence.length - scored; i < sequence.length; i++) sum += logprob64(rows[i - 1]!, sequence[i]!);
    return sum;
  });
}

/**
 * The loss of a batch of examples with options: cross-entropy over the options' mean log-probabilities, mean over the
 * examples.
 */
export function optionLoss64(
  decoder: Decoder,
  parameters: Parameters64,
  examples: readonly TokenizedExample[],
): number {
  let total = 0;
  for (const example of examples) {
    const sums = continuationLogprobs(example, (ids) => {
      const logits = logits64(decoder, parameters, ids);
      return ids.map((_, row) => logits.subarray(row * decoder.vocabularySize, (row + 1) * decoder.vocabularySize));
    });
    const means = sums.map((sum, option) => sum / example.continuations[option]!.scored);
    total -= logprob64(means, example.label);
  }
  return total / examples.length;
}
