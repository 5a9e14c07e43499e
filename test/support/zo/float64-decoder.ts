/**
 * Llama-like and BERT-like models in float64 on the CPU: the reference for losses and gradients of small models. They
 * compute one sequence at a time from full weight matrices and share nothing with the forward pass under test but the
 * reading of config.json.
 *
 * @module
 */

import { erf } from '../../../src/bench/erf.ts';
import type { TokenizedExample } from '../../../src/data/example.ts';
import {
  type AttentionMask,
  type AttentionSublayer,
  type Decoder,
  type Linear,
  type Norm,
  rotationsOf,
} from '../../../src/model/decoder.ts';

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

function rmsNorm(x: Float64Array, gain: Float64Array, epsilon: number): Float64Array {
  const width = gain.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += width) {
    let squares = 0;
    for (let i = 0; i < width; i++) squares += x[start + i]! ** 2;
    const factor = 1 / Math.sqrt(squares / width + epsilon);
    for (let i = 0; i < width; i++) y[start + i] = x[start + i]! * factor * gain[i]!;
  }
  return y;
}

function layerNorm(x: Float64Array, gain: Float64Array, shift: Float64Array, epsilon: number): Float64Array {
  const width = gain.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += width) {
    const row = x.subarray(start, start + width);
    const mean = row.reduce((sum, value) => sum + value, 0) / width;
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width;
    for (let i = 0; i < width; i++) {
      y[start + i] = ((row[i]! - mean) / Math.sqrt(variance + epsilon)) * gain[i]! + shift[i]!;
    }
  }
  return y;
}

const activations: Readonly<Record<string, (value: number) => number>> = {
  silu: (value) => value / (1 + Math.exp(-value)),
  gelu: (value) => (value / 2) * (1 + erf(value / Math.SQRT2)),
};

/** Rotates the halves of every head (the Llama layout). */
function rotate(x: Float64Array, heads: number, width: number, theta: number): void {
  const half = width / 2;
  for (let row = 0; row < x.length / (heads * width); row++) {
    for (let head = 0; head < heads; head++) {
      const start = (row * heads + head) * width;
      for (let pair = 0; pair < half; pair++) {
        const angle = row * theta ** (-(2 * pair) / width);
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
  { heads: headCount, keyHeads: keyHeadCount, headWidth, window = Number.POSITIVE_INFINITY }: AttentionSublayer,
  mask: AttentionMask = 'causal',
): Float64Array {
  const rows = q.length / (headCount * headWidth);
  const y = new Float64Array(q.length);
  for (let row = 0; row < rows; row++) {
    const first = Math.max(0, row - window + 1);
    const last = mask === 'causal' ? row : Math.min(rows - 1, row + window - 1);
    for (let head = 0; head < headCount; head++) {
      const keyHead = Math.floor((head * keyHeadCount) / headCount);
      const scores: number[] = [];
      for (let key = first; key <= last; key++) {
        let score = 0;
        for (let d = 0; d < headWidth; d++) {
          score += q[(row * headCount + head) * headWidth + d]! * k[(key * keyHeadCount + keyHead) * headWidth + d]!;
        }
        scores.push(score / Math.sqrt(headWidth));
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

function plus(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, index) => value + b[index]!);
}

/**
 * Logits [tokens, vocabulary] of one sequence. Positions are learned or default rotary angles; biases and head norms
 * where the parameters have them.
 */
export function logits64(decoder: Decoder, parameters: Parameters64, ids: readonly number[]): Float64Array {
  const { position, embedding, tokenTypes, embeddingNorm, head, finalNorm } = decoder;
  if (rotationsOf(decoder).some(({ scaling }) => scaling.type !== 'default')) {
    throw new Error('the float64 decoder knows no scaled rotary angles');
  }
  const get = (name: string): Float64Array => {
    const values = parameters.get(name);
    if (!values) throw new Error(`no parameter ${name}`);
    return values;
  };
  const normOf = (x: Float64Array, { kind, gain, shift, epsilon }: Norm) =>
    kind === 'rms' ? rmsNorm(x, get(gain!), epsilon) : layerNorm(x, get(gain!), get(shift!), epsilon);
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
  const addRows = (name: string, rowOf: (row: number) => number): void => {
    const rows = get(name);
    hidden = hidden.map((value, i) => value + rows[rowOf(Math.floor(i / hiddenSize)) * hiddenSize + (i % hiddenSize)]!);
  };
  if (position) addRows(position.table.weight, (row) => row + position.offset);
  if (tokenTypes) addRows(tokenTypes.weight, () => 0);
  if (embeddingNorm) hidden = normOf(hidden, embeddingNorm) as typeof hidden;
  for (const sublayer of decoder.blocks.flat()) {
    const x = sublayer.before ? normOf(hidden, sublayer.before) : hidden;
    let result: Float64Array;
    if (sublayer.kind === 'attention') {
      let q = linear(x, sublayer.query);
      let k = linear(x, sublayer.key);
      if (sublayer.queryNorm) q = normOf(q, sublayer.queryNorm);
      if (sublayer.keyNorm) k = normOf(k, sublayer.keyNorm);
      if (sublayer.rotation) {
        rotate(q, sublayer.heads, sublayer.headWidth, sublayer.rotation.theta);
        rotate(k, sublayer.keyHeads, sublayer.headWidth, sublayer.rotation.theta);
      }
      result = linear(attend(q, k, linear(x, sublayer.value), sublayer, decoder.mask), sublayer.output);
    } else {
      const up = linear(x, sublayer.up);
      const activate = activations[sublayer.activation]!;
      const { gate } = sublayer;
      const inner = gate ? linear(x, gate).map((value, i) => activate(value) * up[i]!) : up.map(activate);
      result = linear(inner, sublayer.down);
    }
    if (sublayer.after) result = normOf(result, sublayer.after);
    hidden = plus(hidden, result) as typeof hidden;
    if (sublayer.ofSum) hidden = normOf(hidden, sublayer.ofSum) as typeof hidden;
  }
  let states: Float64Array = finalNorm ? normOf(hidden, finalNorm) : hidden;
  if (head.transform) {
    const { dense, activation, norm } = head.transform;
    states = normOf(linear(states, dense).map(activations[activation]!), norm);
  }
  const logits = product(states, get(head.tied ? embedding.weight : head.weight), hiddenSize);
  const bias = head.bias && get(head.bias);
  return bias ? logits.map((value, i) => value + bias[i % bias.length]!) : logits;
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
  const { answerRow } = example;
  if (answerRow !== undefined) {
    const row = rowsOf(example.prompt)[answerRow]!;
    return example.continuations.map(({ ids }) => logprob64(row, ids[0]!));
  }
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
