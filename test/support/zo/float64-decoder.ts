/**
 * A Llama-family decoder in float64 on the CPU: the reference for losses and gradients of small models. It computes one sequence at a
 * time from full weight matrices and shares nothing with the forward pass under test but the reading of config.json.
 *
 * @module
 */

import type { TokenizedExample } from '../../../src/data/example.ts';
import type { DecoderConfiguration } from '../../../src/model/configuration.ts';

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
  { headCount, keyHeadCount, headWidth }: DecoderConfiguration,
  window: number | undefined,
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

/** Logits [tokens, vocabulary] of one sequence. Default rotary angles only; biases and head norms where the parameters have them. */
export function logits64(c: DecoderConfiguration, parameters: Parameters64, ids: readonly number[]): Float64Array {
  if (c.position.kind !== 'rope' || c.position.scaling.type !== 'default' || c.normKind !== 'rms') {
    throw new Error('the float64 decoder knows unscaled Llama-family models only');
  }
  const { theta } = c.position;
  const get = (name: string): Float64Array => {
    const values = parameters.get(name);
    if (!values) throw new Error(`no parameter ${name}`);
    return values;
  };
  const normOf = (x: Float64Array, name: string) => rmsNorm(x, get(`${name}.weight`), c.normEpsilon);
  const linear = (x: Float64Array, name: string, inner: number): Float64Array => {
    const y = product(x, get(`${name}.weight`), inner);
    const bias = parameters.get(`${name}.bias`);
    return bias ? y.map((value, index) => value + bias[index % bias.length]!) : y;
  };
  const { hiddenSize, feedForwardSize, headCount, keyHeadCount, headWidth } = c;
  let hidden = new Float64Array(ids.length * hiddenSize);
  const embedding = get(`${c.embedding}.weight`);
  for (const [row, id] of ids.entries()) {
    hidden.set(embedding.subarray(id * hiddenSize, (id + 1) * hiddenSize), row * hiddenSize);
  }
  for (const [layer, names] of c.layers.entries()) {
    const x = normOf(hidden, names.attentionNorm);
    let q = linear(x, names.query, hiddenSize);
    let k = linear(x, names.key, hiddenSize);
    if (names.queryNorm) q = normOf(q, names.queryNorm);
    if (names.keyNorm) k = normOf(k, names.keyNorm);
    rotate(q, headCount, headWidth, theta);
    rotate(k, keyHeadCount, headWidth, theta);
    const mixed = attend(q, k, linear(x, names.value, hiddenSize), c, c.windows[layer]);
    hidden = plus(hidden, linear(mixed, names.output, headCount * headWidth)) as typeof hidden;
    const fed = normOf(hidden, names.feedForwardNorm);
    const up = linear(fed, names.up, hiddenSize);
    const gated = linear(fed, names.gate!, hiddenSize).map((value, i) => (value / (1 + Math.exp(-value))) * up[i]!);
    hidden = plus(hidden, linear(gated, names.down, feedForwardSize)) as typeof hidden;
  }
  const head = get(`${c.tied ? c.embedding : c.outputHead}.weight`);
  return product(normOf(hidden, c.finalNorm!), head, hiddenSize);
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

/** The loss of a batch of examples with options: cross-entropy over the options' mean log-probabilities, mean over the examples. */
export function optionLoss64(
  c: DecoderConfiguration,
  parameters: Parameters64,
  examples: readonly TokenizedExample[],
): number {
  let total = 0;
  for (const example of examples) {
    const sums = continuationLogprobs(example, (ids) => {
      const logits = logits64(c, parameters, ids);
      return ids.map((_, row) => logits.subarray(row * c.vocabularySize, (row + 1) * c.vocabularySize));
    });
    const means = sums.map((sum, option) => sum / example.continuations[option]!.scored);
    total -= logprob64(means, example.label);
  }
  return total / examples.length;
}
