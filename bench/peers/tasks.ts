/**
 * The work that every library does: the same numbers in, its result read back, held against float64.
 *
 * @module
 */

/** Shape of a task; from it every process makes the same inputs. */
export type Task =
  /** x ← x Wᵀ, once for each of so many square matrices: long enough that the final readback does not count. */
  | { kind: 'gemm'; size: number; count: number }
  /** x ← causal attention block: projections of queries, keys, values and outputs, `count` times in a row. */
  | { kind: 'attention'; tokens: number; width: number; heads: number; count: number };

/** An attention block has four matrices: queries, keys, values, outputs. */
export const projections = 4;

/** The inputs of a task. Weights are [out, in], row-major. */
export interface TaskInputs {
  rows: number;
  width: number;
  x: Float32Array;
  weights: Float32Array[];
}

/** A library that can do the tasks on the adapter of this process. */
export interface Peer {
  /** Its npm name. */
  package: string;
  /** Puts weights and input on the GPU. The returned function does the task and reads the result back. */
  prepare(task: Task): Promise<() => Promise<Float32Array>>;
}

export const tasks: Readonly<Record<string, Task>> = {
  'f32 GEMM 1024³': { kind: 'gemm', size: 1024, count: 4 },
  'attention block 256 × 768, 12 heads': { kind: 'attention', tokens: 256, width: 768, heads: 12, count: 4 },
};

/** Floating-point operations of a task, the masked half of the scores counted as all libraries but ours compute it. */
export function operationsOf(task: Task): number {
  if (task.kind === 'gemm') return 2 * task.size ** 3 * task.count;
  const { tokens, width, count } = task;
  return count * (projections * 2 * tokens * width ** 2 + 2 * 2 * tokens ** 2 * width);
}

export function inputsOf(task: Task): TaskInputs {
  const rows = task.kind === 'gemm' ? task.size : task.tokens;
  const width = task.kind === 'gemm' ? task.size : task.width;
  const count = task.kind === 'gemm' ? task.count : projections * task.count;
  const random = uniform(rows * 31 + width);
  // Uniform numbers of variance 1/width keep the size of a result through a chain of products.
  const matrix = (length: number, variance: number): Float32Array =>
    Float32Array.from({ length }, () => (random() * 2 - 1) * Math.sqrt(3 * variance));
  const x = matrix(rows * width, 1);
  return { rows, width, x, weights: Array.from({ length: count }, () => matrix(width ** 2, 1 / width)) };
}

/** Normalised mean squared error of a result against float64. */
export function errorOf(task: Task, result: Float32Array): number {
  const { rows, width, x, weights } = inputsOf(task);
  let expected = Float64Array.from(x);
  if (task.kind === 'gemm') {
    for (const weight of weights) expected = product(expected, weight, width);
  } else {
    for (let first = 0; first < weights.length; first += projections) {
      const [q, k, v] = [0, 1, 2].map((index) => product(expected, weights[first + index]!, width));
      expected = product(causalAttention(q!, k!, v!, rows, task.heads), weights[first + 3]!, width);
    }
  }
  if (result.length !== expected.length) return Number.NaN;
  let error = 0;
  let power = 0;
  for (const [index, value] of expected.entries()) {
    error += (result[index]! - value) ** 2;
    power += value ** 2;
  }
  return error / power;
}

function product(x: Float64Array, weight: Float32Array, width: number): Float64Array<ArrayBuffer> {
  const y = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += width) {
    for (let column = 0; column < width; column++) {
      let sum = 0;
      for (let i = 0; i < width; i++) sum += x[row + i]! * weight[column * width + i]!;
      y[row + column] = sum;
    }
  }
  return y;
}

function causalAttention(q: Float64Array, k: Float64Array, v: Float64Array, rows: number, heads: number): Float64Array {
  const width = q.length / rows;
  const headWidth = width / heads;
  const y = new Float64Array(q.length);
  for (let head = 0; head < width; head += headWidth) {
    for (let row = 0; row < rows; row++) {
      const scores = Float64Array.from({ length: row + 1 }, (_, key) => {
        let sum = 0;
        for (let i = head; i < head + headWidth; i++) sum += q[row * width + i]! * k[key * width + i]!;
        return sum / Math.sqrt(headWidth);
      });
      const highest = Math.max(...scores);
      const shares = scores.map((score) => Math.exp(score - highest));
      const total = shares.reduce((sum, share) => sum + share, 0);
      for (const [key, share] of shares.entries()) {
        for (let i = head; i < head + headWidth; i++) y[row * width + i]! += (share / total) * v[key * width + i]!;
      }
    }
  }
  return y;
}

/** [out, in] → [in, out], as libraries without a transposed product want it. */
export function transpose(weight: Float32Array, width: number): Float32Array {
  return Float32Array.from(weight, (_, index) => weight[(index % width) * width + Math.floor(index / width)]!);
}

/** Uniform numbers in [0, 1) by a 32-bit mixing generator (mulberry32); inputs need no better. */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
