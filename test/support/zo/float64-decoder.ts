/**
 * A decoder in float64 on the CPU: the reference for losses and gradients of small models. It computes one
 * sequence at a time from full weight matrices and shares nothing with the forward pass under test but the reading of
 * config.json.
 *
 * @module
 */

import { activate } from '../../../src/bench/cases/linear.ts';
import type { TokenizedExample } from '../../../src/data/example.ts';
import { alibiSlopes } from '../../../src/model/alibi.ts';
import {
  type AttentionMask,
  type AttentionSublayer,
  type Decoder,
  type FeedForwardSublayer,
  headMatrix,
  type LayerInputSublayer,
  type Linear,
  type Norm,
  rotationsOf,
  type Sublayer,
  type Xielu,
} from '../../../src/model/decoder.ts';
import type { RopePosition } from '../../../src/model/rope-table.ts';
import { experts64 } from './float64-experts.ts';
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

function normalised(
  x: Float64Array,
  { kind, width, epsilon, gainOffset = 0 }: Norm,
  gain: Float64Array | undefined,
  shift: Float64Array | undefined,
): Float64Array {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += width) {
    const row = x.subarray(start, start + width);
    const mean = kind === 'layer' ? row.reduce((sum, value) => sum + value, 0) / width : 0;
    const squares = row.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    const factor = 1 / Math.sqrt(squares / width + epsilon);
    for (let i = 0; i < width; i++) {
      const factorOf = gain ? gainOffset + gain[i]! : 1;
      y[start + i] = (row[i]! - mean) * factor * factorOf + (shift?.[i] ?? 0);
    }
  }
  return y;
}

/** Rotates the first elements of every head, in halves (the Llama layout) or in neighbours. */
function rotate(
  x: Float64Array,
  heads: number,
  width: number,
  { theta, rotaryWidth, interleaved = false }: RopePosition,
): void {
  const half = rotaryWidth / 2;
  for (let row = 0; row < x.length / (heads * width); row++) {
    for (let head = 0; head < heads; head++) {
      const start = (row * heads + head) * width;
      for (let pair = 0; pair < half; pair++) {
        const angle = row * theta ** (-pair / half);
        const first = start + (interleaved ? 2 * pair : pair);
        const second = interleaved ? first + 1 : first + half;
        const [a, b] = [x[first]!, x[second]!];
        x[first] = a * Math.cos(angle) - b * Math.sin(angle);
        x[second] = b * Math.cos(angle) + a * Math.sin(angle);
      }
    }
  }
}

/** Some columns of a matrix whose rows have so many. */
function columnsOf(x: Float64Array, width: number, from: number, count: number): Float64Array {
  return Float64Array.from({ length: (x.length / width) * count }, (_, index) => {
    return x[Math.floor(index / count) * width + from + (index % count)]!;
  });
}

/** Matrices beside each other: their rows one after the other. */
function beside(parts: readonly { x: Float64Array; width: number }[]): Float64Array {
  const rows = parts[0]!.x.length / parts[0]!.width;
  return Float64Array.from(
    Array.from({ length: rows }, (_, row) =>
      parts.flatMap(({ x, width }) => [...x.subarray(row * width, (row + 1) * width)]),
    ).flat(),
  );
}

/** Queries, keys and values out of a packed projection. */
function unpacked(
  x: Float64Array,
  { heads, keyHeads, headWidth, order }: Extract<AttentionSublayer, { packed: Linear }>,
): [Float64Array, Float64Array, Float64Array] {
  const total = (heads + 2 * keyHeads) * headWidth;
  const take = (head: number, count: number) => ({
    x: columnsOf(x, total, head * headWidth, count * headWidth),
    width: count * headWidth,
  });
  if (order === 'blocks') return [take(0, heads).x, take(heads, keyHeads).x, take(heads + keyHeads, keyHeads).x];
  const queries = heads / keyHeads;
  const every = (offset: number, count: number) =>
    beside(Array.from({ length: keyHeads }, (_, group) => take(group * (queries + 2) + offset, count)));
  return [every(0, queries), every(queries, 1), every(queries + 1, 1)];
}

function attend(
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  {
    heads: headCount,
    keyHeads: keyHeadCount,
    headWidth,
    window = Number.POSITIVE_INFINITY,
    scale,
    softCap,
    alibi,
  }: AttentionSublayer,
  mask: AttentionMask = 'causal',
  sinks?: Float64Array,
): Float64Array {
  const rows = q.length / (headCount * headWidth);
  const y = new Float64Array(q.length);
  const slopes = alibi && alibiSlopes(alibi);
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
        const bias = slopes ? (alibi?.scale ?? 1) * slopes[head]! * (row - key) : 0;
        scores.push(capped(scale === undefined ? score / Math.sqrt(headWidth) : scale * score, softCap) - bias);
      }
      const highest = Math.max(...scores);
      const shares = scores.map((score) => Math.exp(score - highest));
      const sink = sinks ? Math.exp(sinks[head]! - highest) : 0;
      const total = shares.reduce((sum, share) => sum + share, sink);
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

/** The activation of Apertus, with its trained numbers. */
function xielu64(x: number, xielu: Xielu, get: (name: string) => Float64Array): number {
  const { positive, negative, beta, epsilon } = xielu;
  const softplus = (name: string): number => Math.log1p(Math.exp(get(name)[0]!));
  if (x > 0) return softplus(positive) * x * x + beta * x;
  return (Math.expm1(Math.min(x, epsilon)) - x) * (beta + softplus(negative)) + beta * x;
}

function capped(value: number, softCap: number | undefined): number {
  return softCap === undefined ? value : softCap * Math.tanh(value / softCap);
}

function plus(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, index) => value + b[index]!);
}

/**
 * Logits [tokens, vocabulary] of one sequence. Default rotary angles only; biases and elementwise parameters of norms
 * where the parameters have them.
 */
export function logits64(decoder: Decoder, parameters: Parameters64, ids: readonly number[]): Float64Array {
  const { position, embedding, tokenTypes, embeddingNorm, head, finalNorm } = decoder;
  if (rotationsOf(decoder).some(({ scaling }) => scaling.type !== 'default')) {
    throw new Error('the float64 decoder knows unscaled rotary angles only');
  }
  const get = (name: string): Float64Array => {
    const values = parameters.get(name);
    if (!values) throw new Error(`no parameter ${name}`);
    return values;
  };
  const maybe = (name: string | undefined) => (name === undefined ? undefined : parameters.get(name));
  const normOf = (x: Float64Array, norm: Norm) => normalised(x, norm, maybe(norm.gain), maybe(norm.shift));
  const linear = (x: Float64Array, { weight, bias: biasName, columns }: Omit<Linear, 'rows'>): Float64Array => {
    const y = product(x, get(weight), columns.groups * columns.width);
    const bias = maybe(biasName);
    return bias ? y.map((value, index) => value + bias[index % bias.length]!) : y;
  };
  // The keys and values of layers, as later ones may read them.
  const made: { k: Float64Array; v: Float64Array }[] = [];
  const projected = (
    x: Float64Array,
    sublayer: AttentionSublayer,
  ): [q: Float64Array, k: Float64Array, v: Float64Array] => {
    if ('packed' in sublayer) return unpacked(linear(x, sublayer.packed), sublayer);
    const q = linear(x, sublayer.query);
    if ('keysOf' in sublayer) return [q, made[sublayer.keysOf]!.k, made[sublayer.keysOf]!.v];
    const k = linear(x, sublayer.key);
    return [q, k, 'value' in sublayer ? linear(x, sublayer.value) : k];
  };
  const attentionOf = (x: Float64Array, sublayer: AttentionSublayer): Float64Array => {
    let [q, k, v] = projected(x, sublayer);
    const { headWidth } = sublayer;
    const isOwn = !('keysOf' in sublayer);
    if (sublayer.valueNorm) v = normOf(v, sublayer.valueNorm);
    // Behind the queries of each head lies its gate.
    const both = q;
    const part = (second: number): Float64Array =>
      Float64Array.from({ length: both.length / 2 }, (_, index) => {
        return both[(2 * Math.floor(index / headWidth) + second) * headWidth + (index % headWidth)]!;
      });
    if (sublayer.gated) q = part(0);
    const turn = (): void => {
      if (!sublayer.rotation) return;
      rotate(q, sublayer.heads, sublayer.headWidth, sublayer.rotation);
      if (isOwn) rotate(k, sublayer.keyHeads, sublayer.headWidth, sublayer.rotation);
    };
    if (sublayer.normsRotated) turn();
    if (sublayer.queryNorm) q = normOf(q, sublayer.queryNorm);
    if (sublayer.keyNorm) k = normOf(k, sublayer.keyNorm);
    if (!sublayer.normsRotated) turn();
    if (isOwn) made.push({ k, v });
    let mixed = attend(q, k, v, sublayer, decoder.mask, maybe(sublayer.sinks));
    if (sublayer.gated) {
      const gates = part(1);
      mixed = mixed.map((value, index) => value / (1 + Math.exp(-gates[index]!)));
    }
    return linear(mixed, sublayer.output);
  };
  const feedForwardOf = (x: Float64Array, sublayer: FeedForwardSublayer): Float64Array => {
    const { activation, down } = sublayer;
    const inner = down.columns.width;
    let gate: Float64Array | undefined;
    let up: Float64Array;
    if ('packed' in sublayer) {
      const packed = linear(x, sublayer.packed);
      gate = columnsOf(packed, 2 * inner, 0, inner);
      up = columnsOf(packed, 2 * inner, inner, inner);
    } else {
      gate = sublayer.gate && linear(x, sublayer.gate);
      up = linear(x, sublayer.up);
    }
    const made = gate
      ? gate.map((value, i) => activate(value, activation) * up[i]!)
      : up.map((value) => (sublayer.xielu ? xielu64(value, sublayer.xielu, get) : activate(value, activation)));
    return linear(made, down);
  };
  // A run of elements for each token and layer.
  let layerInputs = new Float64Array();
  const layerInputOf = (x: Float64Array, { gate, output, activation, part }: LayerInputSublayer): Float64Array => {
    const { groups, width } = decoder.layerInputs!.table.columns;
    const own = columnsOf(layerInputs, groups * width, part * width, width);
    return linear(
      linear(x, gate).map((value, index) => activate(value, activation) * own[index]!),
      output,
    );
  };
  const resultOf = (x: Float64Array, hidden: Float64Array, sublayer: Sublayer): Float64Array => {
    switch (sublayer.kind) {
      case 'attention':
        return attentionOf(x, sublayer);
      case 'feed-forward':
        return feedForwardOf(x, sublayer);
      case 'experts':
        return experts64(x, hidden, sublayer, { get, linear, feedForward: feedForwardOf, norm: normOf });
      case 'short-convolution':
        return shortConvolution64(x, sublayer, { get, linear });
      case 'delta-rule':
        return deltaRuleSublayer64(x, sublayer, { get, linear });
      case 'layer-input':
        return layerInputOf(x, sublayer);
    }
  };
  const member = (hidden: Float64Array, sublayer: Sublayer): Float64Array => {
    const x = sublayer.before ? normOf(hidden, sublayer.before) : hidden;
    const result = resultOf(x, hidden, sublayer);
    const given = sublayer.after ? normOf(result, sublayer.after) : result;
    const { residualScale = 1 } = sublayer;
    return given.map((value) => residualScale * value);
  };
  const hiddenSize = embedding.columns.width;
  const rowOf = (table: string, row: number) => get(table).subarray(row * hiddenSize, (row + 1) * hiddenSize);
  let hidden = new Float64Array(ids.length * hiddenSize);
  for (const [row, id] of ids.entries()) {
    const token = rowOf(embedding.weight, id);
    const place = position && rowOf(position.table.weight, row + position.offset);
    const type = tokenTypes && rowOf(tokenTypes.weight, 0);
    const parts = [token, place, type].filter((part) => part !== undefined) as Float64Array[];
    hidden.set(parts.reduce(plus), row * hiddenSize);
  }
  if (embeddingNorm) hidden = normOf(hidden, embeddingNorm) as typeof hidden;
  const inputFactor = (decoder.embeddingScale ?? 1) * (decoder.inputScale ?? 1);
  hidden = hidden.map((value) => inputFactor * value);
  if (decoder.layerInputs) {
    const { table, tableScale, projection, norm, scale } = decoder.layerInputs;
    const width = table.columns.groups * table.columns.width;
    layerInputs = normOf(linear(hidden, projection), norm).map((value, index) => {
      const token = ids[Math.floor(index / width)]!;
      return scale * (value + tableScale * get(table.weight)[token * width + (index % width)]!);
    }) as typeof layerInputs;
  }
  for (const sublayer of decoder.blocks.flat()) {
    if (sublayer.kind === 'parallel') {
      const x = sublayer.before ? normOf(hidden, sublayer.before) : hidden;
      hidden = sublayer.members.map((each) => member(x, each)).reduce(plus, hidden) as typeof hidden;
    } else {
      const factor = sublayer.sumScale ? get(sublayer.sumScale)[0]! : 1;
      hidden = plus(hidden, member(hidden, sublayer)).map((value) => factor * value) as typeof hidden;
      if (sublayer.ofSum) hidden = normOf(hidden, sublayer.ofSum) as typeof hidden;
    }
  }
  const matrix = { ...headMatrix({ head, embedding }), ...(head.bias ? { bias: head.bias } : {}) };
  const { scale = 1, softCap } = decoder.logits ?? {};
  let states: Float64Array = finalNorm ? normOf(hidden, finalNorm) : hidden;
  if (head.transform) {
    const { dense, activation, norm } = head.transform;
    states = normOf(
      linear(states, dense).map((value) => activate(value, activation)),
      norm,
    );
  }
  return linear(states, matrix).map((value) => capped(scale * value, softCap));
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
