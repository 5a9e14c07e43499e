/**
 * Recurrent sublayers of the float64 decoder, one sequence at a time and token by token.
 *
 * @module
 */

import type { Convolution, DeltaRuleSublayer, Linear, ShortConvolutionSublayer } from '../../../src/model/decoder.ts';
import { axisLength } from '../../../src/tensor/axis.ts';

/** What a decoder's parameters do to rows. */
export interface Layers64 {
  get: (name: string) => Float64Array;
  linear: (x: Float64Array, layer: Linear) => Float64Array;
}

const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));
const silu = (value: number): number => value * sigmoid(value);

/** y[i, c] = bias[c] + Σ_k weight[c, taps − 1 − k] · x[i − k, c]. */
export function convolve64(
  x: Float64Array,
  { channels, taps, weight, bias, parts }: Convolution,
  get: Layers64['get'],
) {
  const kernel = parts ? Float64Array.from(parts.flatMap((part) => [...get(part.weight)])) : get(weight);
  const offset = bias === undefined ? undefined : get(bias);
  return x.map((_, index) => {
    const [row, channel] = [Math.floor(index / channels), index % channels];
    let sum = offset?.[channel] ?? 0;
    for (let back = 0; back < taps && back <= row; back++) {
      sum += kernel[channel * taps + taps - 1 - back]! * x[index - back * channels]!;
    }
    return sum;
  });
}

/** output(C · convolution(B · x)). */
export function shortConvolution64(
  x: Float64Array,
  { input, convolution, output }: ShortConvolutionSublayer,
  { get, linear }: Layers64,
): Float64Array {
  const { channels } = convolution;
  const inner = linear(x, input);
  const part = (which: number): Float64Array =>
    Float64Array.from({ length: inner.length / 3 }, (_, index) => {
      return inner[(3 * Math.floor(index / channels) + which) * channels + (index % channels)]!;
    });
  const [before, after, values] = [part(0), part(1), part(2)];
  const convolved = convolve64(
    values.map((value, index) => value * before[index]!),
    convolution,
    get,
  );
  return linear(
    convolved.map((value, index) => value * after[index]!),
    output,
  );
}

/** Numbers of heads and their widths. */
export type DeltaRuleSizes = Pick<
  DeltaRuleSublayer,
  'heads' | 'keyHeads' | 'keyWidth' | 'valueWidth' | 'learningScale'
>;

/** What the rule reads besides queries, keys and values: for each row and head, and for each head. */
export interface DeltaRuleGates {
  learning: Float64Array;
  forgetting: Float64Array;
  rate: Float64Array;
  bias: Float64Array;
}

/**
 * The gated delta rule as transformers has it in `torch_recurrent_gated_delta_rule`, with its matrices.
 *
 * @param x [rows, queries, keys, values]
 * @param matrices of all heads [heads, key width, value width], which are changed
 */
export function deltaRule64(
  x: Float64Array,
  { learning, forgetting, rate, bias }: DeltaRuleGates,
  { heads, keyHeads, keyWidth, valueWidth, learningScale = 1 }: DeltaRuleSizes,
  matrices = new Float64Array(heads * keyWidth * valueWidth),
): Float64Array {
  const keys = keyHeads * keyWidth;
  const width = 2 * keys + heads * valueWidth;
  const rows = x.length / width;
  const y = new Float64Array(rows * heads * valueWidth);
  const unit = (values: Float64Array): Float64Array => {
    const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 1e-6));
    return values.map((value) => value / length);
  };
  for (let row = 0; row < rows; row++) {
    for (let head = 0; head < heads; head++) {
      const start = row * width + Math.floor((head * keyHeads) / heads) * keyWidth;
      const query = unit(x.slice(start, start + keyWidth)).map((value) => value / Math.sqrt(keyWidth));
      const key = unit(x.slice(start + keys, start + keys + keyWidth));
      const values = x.subarray(row * width + 2 * keys + head * valueWidth);
      const gate = row * heads + head;
      const softplus = Math.log1p(Math.exp(forgetting[gate]! + bias[head]!));
      const decay = Math.exp(-Math.exp(rate[head]!) * softplus);
      const matrix = matrices.subarray(head * keyWidth * valueWidth, (head + 1) * keyWidth * valueWidth);
      for (let column = 0; column < valueWidth; column++) {
        let known = 0;
        for (let d = 0; d < keyWidth; d++) known += decay * matrix[d * valueWidth + column]! * key[d]!;
        const correction = learningScale * sigmoid(learning[gate]!) * (values[column]! - known);
        let found = 0;
        for (let d = 0; d < keyWidth; d++) {
          const place = d * valueWidth + column;
          matrix[place] = decay * matrix[place]! + key[d]! * correction;
          found += matrix[place]! * query[d]!;
        }
        y[(row * heads + head) * valueWidth + column] = found;
      }
    }
  }
  return y;
}

/** The whole sublayer. */
export function deltaRuleSublayer64(x: Float64Array, sublayer: DeltaRuleSublayer, { get, linear }: Layers64) {
  const { convolution, activation, norm, valueWidth } = sublayer;
  if (activation !== 'silu') throw new Error('the float64 decoder knows SiLU only');
  const made = projections64(x, sublayer, linear);
  const mixed = convolve64(made.mixed, convolution, get).map(silu);
  const found = deltaRule64(
    mixed,
    {
      learning: made.learning,
      forgetting: made.forgetting,
      rate: get(sublayer.forgettingRate),
      bias: get(sublayer.forgettingBias),
    },
    sublayer,
  );
  const { gates } = made;
  const gain = get(norm.gain!);
  const result = new Float64Array(found.length);
  for (let start = 0; start < found.length; start += valueWidth) {
    let squares = 0;
    for (let i = 0; i < valueWidth; i++) squares += found[start + i]! ** 2;
    const scale = 1 / Math.sqrt(squares / valueWidth + norm.epsilon);
    for (let i = 0; i < valueWidth; i++) {
      result[start + i] = found[start + i]! * scale * gain[i]! * silu(gates[start + i]!);
    }
  }
  return linear(result, sublayer.output);
}

/** What the linear layers make, each in an order of its own. */
function projections64(x: Float64Array, sublayer: DeltaRuleSublayer, linear: Layers64['linear']) {
  if (!('packed' in sublayer)) {
    const { gate, learning, forgetting } = sublayer;
    const parts = 'mixed' in sublayer ? [sublayer.mixed] : [sublayer.query, sublayer.key, sublayer.value];
    const made = parts.map((part) => linear(x, part));
    const widths = parts.map(({ rows }) => axisLength(rows));
    const rows = Array.from({ length: made[0]!.length / widths[0]! }, (_, row) =>
      made.flatMap((values, part) => [...values.subarray(row * widths[part]!, (row + 1) * widths[part]!)]),
    );
    return {
      mixed: Float64Array.from(rows.flat()),
      gates: linear(x, gate),
      learning: linear(x, learning),
      forgetting: linear(x, forgetting),
    };
  }
  const { heads, keyHeads, keyWidth, valueWidth } = sublayer;
  const sharing = heads / keyHeads;
  const pick = (from: Float64Array, rowWidth: number, sizes: number[], wanted: number[]): Float64Array => {
    const groupWidth = rowWidth / keyHeads;
    const result: number[] = [];
    for (let row = 0; row < from.length; row += rowWidth) {
      for (const piece of wanted) {
        const start = sizes.slice(0, piece).reduce((sum, size) => sum + size, 0);
        for (let group = 0; group < keyHeads; group++) {
          const first = row + group * groupWidth + start;
          result.push(...from.subarray(first, first + sizes[piece]!));
        }
      }
    }
    return Float64Array.from(result);
  };
  const packed = linear(x, sublayer.packed);
  const rates = linear(x, sublayer.rates);
  const sizes = [keyWidth, keyWidth, sharing * valueWidth, sharing * valueWidth];
  const width = 2 * keyHeads * keyWidth + 2 * heads * valueWidth;
  return {
    mixed: pick(packed, width, sizes, [0, 1, 2]),
    gates: pick(packed, width, sizes, [3]),
    learning: pick(rates, 2 * heads, [sharing, sharing], [0]),
    forgetting: pick(rates, 2 * heads, [sharing, sharing], [1]),
  };
}
