/**
 * Matrix products: every matmul variant by itself, and `linear` with the low-rank change of each probe.
 *
 * @module
 */

import { activationNumber, type MatmulActivation } from '../../ops/activation.ts';
import { type FactorStorage, factorValues, packFactors } from '../../ops/factors.ts';
import { linears, matmul } from '../../ops/linear.ts';
import type { MatmulPlan, MatmulVariant, MatrixFragment } from '../../ops/matmul-variants.ts';
import { paddedRank } from '../../ops/probes.ts';
import type { Activation } from '../../tensor/workspace.ts';
import { codecs, isPlain, rowBytes, type Storage, storages } from '../../weights/index.ts';
import type { Bed, ReferenceFactors } from '../bed.ts';
import { exactTolerance, type KernelCase, type PreparedCase } from '../case.ts';
import { erf } from '../erf.ts';
import type { Random } from '../random.ts';
import { store } from '../storage.ts';

export const activations: readonly MatmulActivation[] = Object.keys(activationNumber) as MatmulActivation[];

/** Matrix units besides those of the default fragment. */
export const otherFragments: readonly MatrixFragment[] = [
  { M: 8, N: 8, K: 8 },
  { M: 8, N: 16, K: 16 },
  { M: 16, N: 8, K: 8 },
  { M: 8, N: 8, K: 8, subgroup: 8 },
  { M: 8, N: 16, K: 16, subgroup: 16, sized: true },
  { M: 16, N: 16, K: 16, sized: true },
];

/** What a case multiplies; what is left out is 1, absent or f32. */
export interface LinearShape {
  /** Rows of each probe. */
  rows: number;
  columns: number;
  inner: number;
  probes?: number;
  storage?: Storage;
  /** Rank of the change; none by default. */
  rank?: number;
  /** Rank of the bank beside it, a multiple of 4; none by default. */
  bank?: number;
  /** How the factors are stored; f32 by default. */
  factors?: FactorStorage;
  bias?: boolean;
  activation?: MatmulActivation;
  accumulate?: boolean;
  parts?: number;
  weightScale?: number;
  /** Matmul alone: the first row that is multiplied and how many are; all by default. */
  range?: readonly [start: number, count: number];
  /**
   * Matmul alone: whether y holds the result and nothing else, and W the weight, for times; no by default, so that
   * every offset counts.
   */
  alone?: boolean;
}

export function activate(value: number, activation: MatmulActivation): number {
  switch (activation) {
    case 'none':
      return value;
    case 'relu':
      return Math.max(value, 0);
    case 'gelu':
      return 0.5 * value * (1 + erf(value / Math.SQRT2));
    case 'gelu-tanh':
      return 0.5 * value * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3)));
    case 'silu':
      return value / (1 + Math.exp(-value));
    case 'relu-squared':
      return Math.max(value, 0) ** 2;
    case 'gelu-sigmoid':
      return value / (1 + Math.exp(-1.702 * value));
    case 'sigmoid':
      return 1 / (1 + Math.exp(-value));
  }
}

/** Σ_k a[aStart + k] · b[bStart + k]. */
function dot(a: ArrayLike<number>, aStart: number, b: ArrayLike<number>, bStart: number, count: number): number {
  let sum = 0;
  for (let index = 0; index < count; index++) sum += a[aStart + index]! * b[bStart + index]!;
  return sum;
}

/** scale · (x V) Sᵀ for one row of x in float64: its coordinates along the columns of U. */
function sideCoordinates(x: Float32Array, xStart: number, factors: ReferenceFactors, probe: number): Float64Array {
  const { rank, scale, vTransposed } = factors;
  const columns = vTransposed.length / rank;
  const t = new Float64Array(rank);
  for (let b = 0; b < rank; b++) t[b] = dot(x, xStart, vTransposed, b * columns, columns);
  const s = factors.s[probe]!;
  const q = new Float64Array(rank);
  for (let a = 0; a < rank; a++) q[a] = scale * dot(s, a * rank, t, 0, rank);
  return q;
}

function describe(shape: LinearShape): string {
  const { rows, columns, inner, probes = 1, storage = 'f32', rank = 0, parts, weightScale } = shape;
  const words = [`${probes > 1 ? `${probes}×` : ''}${rows}×${inner} → ${columns}`, storage];
  if (rank > 0) words.push(`rank ${rank}`);
  if (shape.bias) words.push('bias');
  if (shape.activation && shape.activation !== 'none') words.push(shape.activation);
  if (shape.accumulate) words.push('accumulate');
  if ((parts ?? 1) > 1) words.push(`${parts ?? 'as few'} parts`);
  if (weightScale !== undefined) words.push(`weight scale ${weightScale}`);
  if (shape.range) words.push(`${shape.range[1]} rows from ${shape.range[0]} on`);
  return words.join(', ');
}

function describePlan({ variant, slices, fragment }: MatmulPlan): string {
  const shape = fragment ? ` of ${fragment.M}×${fragment.N}×${fragment.K}` : '';
  const subgroup = fragment?.subgroup === undefined ? '' : ` by ${fragment.subgroup}`;
  return `${variant}${shape}${subgroup}${slices > 1 ? ` in ${slices} slices` : ''}`;
}

/** Tolerance where operands are rounded to f16 on purpose: off by 2^-11 at most, by 1e-7 in the square. */
const halfTolerance = 1e-6;

function cost(shape: LinearShape): Pick<KernelCase, 'flops' | 'bytes' | 'tolerance'> {
  const { rows, columns, inner, probes = 1, storage = 'f32', rank = 0 } = shape;
  const all = rows * probes;
  return {
    flops: 2 * all * (columns * inner + rank * (inner + rank + columns)),
    bytes: columns * rowBytes(storage, inner) + 4 * (all * (inner + columns) + rank * (inner + columns)),
    tolerance: exactTolerance,
  };
}

/** @param shapes of layers over the same x */
function prepareLinears(bed: Bed, shapes: readonly LinearShape[]): PreparedCase {
  const { rows, inner, probes = 1, weightScale = 1 } = shapes[0]!;
  const { random } = bed;
  const all = rows * probes;
  const xData = random.normals(all * inner);
  const inputs = shapes.map(({ columns, storage = 'f32', rank = 0, bias, accumulate, ...shape }, index) => ({
    name: `weight ${index}`,
    columns,
    rank,
    parts: shape.parts,
    activation: shape.activation ?? 'none',
    matrix: store(random.normals(columns * inner, 1 / Math.sqrt(inner)), columns, inner, storage),
    factors: rank > 0 ? bed.referenceFactors(columns, inner, rank, probes, shape.bank, shape.factors) : undefined,
    bias: bias ? Array.from({ length: probes }, () => random.normals(columns, 0.5)) : undefined,
    before: accumulate ? random.normals(all * columns) : undefined,
  }));
  bed.reserve(all);
  const context = bed.context({
    count: probes,
    weightScale,
    factors: Object.fromEntries(inputs.flatMap(({ name, factors }) => (factors ? [[name, factors]] : []))),
    vectors: Object.fromEntries(inputs.flatMap(({ name, bias }) => (bias ? [[`bias of ${name}`, bias]] : []))),
  });
  const x = bed.activation(xData, all, inner);
  const layers = inputs.map(({ name, columns, matrix, parts, activation, bias, before }) => ({
    weight: bed.weight(name, matrix, parts),
    activation,
    ...(bias ? { bias: `bias of ${name}` } : {}),
    ...(before ? { addTo: bed.activation(before, all, columns) } : {}),
  }));
  let last: Activation[] = [];
  return {
    reset() {
      for (const [index, { addTo }] of layers.entries()) addTo?.buffer.write(inputs[index]!.before!);
    },
    record() {
      bed.workspace.give(...last);
      const results = linears(context, x, layers);
      last = results.filter((_, index) => !layers[index]!.addTo);
      return results.map((y, index) => {
        const { columns, rank, activation, matrix, factors, bias, before } = inputs[index]!;
        return {
          name: `y of ${inputs[index]!.name}`,
          buffer: y.buffer,
          rows: all,
          columns,
          guarded: !before,
          reference(row: number) {
            const probe = Math.floor(row / rows);
            const q = factors && sideCoordinates(xData, row * inner, factors, probe);
            const banked = factors?.bank;
            const ofBank =
              banked &&
              Float64Array.from({ length: banked.rank }, (_, j) => dot(xData, row * inner, banked.b, j * inner, inner));
            return Float64Array.from({ length: columns }, (_, column) => {
              // A weight without factors does not train, nor decay.
              const baseScale = factors ? weightScale : 1;
              let value = baseScale * dot(xData, row * inner, matrix.values, column * inner, inner);
              if (q && factors) value += dot(q, 0, factors.u, column * rank, rank);
              if (ofBank) value += dot(ofBank, 0, banked.a, column * banked.rank, banked.rank);
              if (bias) value += bias[probe]![column]!;
              value = activate(value, activation);
              return before ? value + before[row * columns + column]! : value;
            });
          },
        };
      });
    },
  };
}

/** A case of `linear`. */
export function linearCase(shape: LinearShape, name = describe(shape)): KernelCase {
  return { operation: 'linear', name, ...cost(shape), prepare: (bed) => prepareLinears(bed, [shape]) };
}

/** A case of several layers that read the same x: those with a rank share the launches of their side products. */
export function linearsCase(
  { rows, inner, probes = 1 }: Pick<LinearShape, 'rows' | 'inner' | 'probes'>,
  layers: readonly Omit<LinearShape, 'rows' | 'inner' | 'probes'>[],
): KernelCase {
  const shapes = layers.map((layer): LinearShape => ({ ...layer, rows, inner, probes }));
  const costs = shapes.map(cost);
  return {
    operation: 'linears',
    name: shapes.map(describe).join('; '),
    flops: costs.reduce((sum, { flops }) => sum + flops, 0),
    bytes: costs.reduce((sum, { bytes }) => sum + bytes, 0),
    tolerance: Math.max(...costs.map(({ tolerance }) => tolerance)),
    prepare: (bed) => prepareLinears(bed, shapes),
  };
}

/**
 * A case of one matmul variant alone: a launch over some rows of a weight, into some columns of a wider y, so that
 * every offset counts.
 */
export function matmulCase(plan: MatmulPlan, shape: LinearShape): KernelCase {
  const { rows, columns, inner, probes = 1, storage = 'f32', rank = 0, activation = 'none' } = shape;
  const [rangeStart, rangeRows] = shape.range ?? [0, rows * probes];
  return {
    operation: 'matmul',
    name: `${describePlan(plan)}: ${describe(shape)}`,
    ...cost(shape),
    ...(plan.variant.includes('half') ? { tolerance: halfTolerance } : {}),
    prepare(bed) {
      const { random } = bed;
      const all = rows * probes;
      const gap = (most: number): number => (shape.alone ? 0 : random.integer(0, most));
      const weightRow = gap(5);
      const outputRow = gap(9);
      const columnStart = gap(6);
      const yStride = columnStart + columns + gap(3);
      const weightScale = shape.weightScale ?? 1;
      const width = paddedRank(rank);
      const xData = random.normals(all * inner);
      const weightRows = weightRow + columns + 2;
      const matrix = store(random.normals(weightRows * inner, 1 / Math.sqrt(inner)), weightRows, inner, storage);
      const outputs = outputRow + columns + 3;
      const qStart = 4 * random.integer(0, 3);
      const q = random.normals(qStart + all * width);
      const { factors = 'f32' } = shape;
      const packedU = packFactors(factors, random.normals(outputs * width, rank > 0 ? 1 / Math.sqrt(rank) : 1));
      const u = factorValues(factors, packedU);
      const biasStride = outputs + random.integer(0, 3);
      const biasOffset = random.integer(0, 4);
      const bias = random.normals(biasOffset + probes * biasStride);
      const before = random.normals(all * yStride);
      const buffers = {
        x: bed.activation(xData, all, inner),
        weight: bed.upload(matrix.bits),
        q: bed.upload(rank > 0 ? q : new Float32Array(4)),
        u: bed.upload(rank > 0 ? packedU : new Float32Array(4)),
        bias: bed.upload(bias),
        y: bed.upload(before),
      };
      bed.reserve(all);
      const context = bed.context({ count: probes });
      return {
        // What lies beside the written columns must stay as it was, and is compared too.
        reset: () => buffers.y.write(before),
        record() {
          matmul(
            context,
            { storage, activation, hasBias: shape.bias ?? false, accumulate: shape.accumulate ?? false },
            {
              x: buffers.x,
              rowStart: rangeStart,
              rows: rangeRows,
              weight: { buffer: buffers.weight },
              weightRow,
              outputRow,
              columns,
              ...(rank > 0 ? { side: { q: buffers.q, start: qStart, u: buffers.u, storage: factors, rank } } : {}),
              ...(shape.bias ? { bias: { buffer: buffers.bias, offset: biasOffset, stride: biasStride } } : {}),
              y: buffers.y,
              yStride,
              columnStart,
              rowsPerProbe: rows,
              weightScale,
            },
            plan,
          );
          return [
            {
              name: 'y',
              buffer: buffers.y,
              rows: all,
              columns: yStride,
              leastScale: 0.3,
              reference(row) {
                const result = Float64Array.from(before.subarray(row * yStride, (row + 1) * yStride));
                if (row < rangeStart || row >= rangeStart + rangeRows) return result;
                const biasStart = biasOffset + Math.floor(row / rows) * biasStride + outputRow;
                for (let column = 0; column < columns; column++) {
                  let value = weightScale * dot(xData, row * inner, matrix.values, (weightRow + column) * inner, inner);
                  value += dot(q, qStart + row * width, u, (outputRow + column) * width, width);
                  if (shape.bias) value += bias[biasStart + column]!;
                  value = activate(value, activation);
                  result[columnStart + column] = shape.accumulate ? value + result[columnStart + column]! : value;
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

/** Shapes around the tiles of every variant: one row, one column, one quad, just under, on and over multiples. */
export const linearShapes: readonly LinearShape[] = [
  { rows: 1, columns: 1, inner: 4 },
  { rows: 1, columns: 5, inner: 8, storage: 'f16' },
  { rows: 5, columns: 1, inner: 12, storage: 'bf16' },
  { rows: 4, columns: 4, inner: 4, rank: 1 },
  { rows: 3, columns: 7, inner: 60, rank: 3, probes: 2 },
  { rows: 17, columns: 33, inner: 100, rank: 8, bias: true },
  { rows: 64, columns: 64, inner: 64, activation: 'relu' },
  { rows: 65, columns: 63, inner: 68, activation: 'gelu', bias: true, storage: 'f16' },
  { rows: 31, columns: 130, inner: 96, activation: 'gelu-tanh', bias: true, storage: 'bf16', probes: 2 },
  { rows: 2, columns: 257, inner: 36, activation: 'silu', accumulate: true, probes: 3, rank: 24 },
  { rows: 9, columns: 66, inner: 40, accumulate: true, bias: true, storage: 'f16', rank: 64, probes: 5 },
  { rows: 1, columns: 50, inner: 512, probes: 7, rank: 8, storage: 'bf16', weightScale: 0.97 },
  { rows: 100, columns: 3, inner: 16, parts: 3 },
  { rows: 6, columns: 101, inner: 32, parts: 4, rank: 8, bias: true, storage: 'bf16', probes: 2 },
  { rows: 3, columns: 94, inner: 28, parts: 5, accumulate: true, storage: 'f16', activation: 'relu', weightScale: 1.5 },
  // The last chunk of a tied output head over a large vocabulary.
  { rows: 2, columns: 32_003, inner: 16, rank: 8, storage: 'bf16', parts: 2, probes: 2 },
  { rows: 1, columns: 16, inner: 8192, rank: 24, storage: 'f16' },
  { rows: 37, columns: 41, inner: 64, rank: 9, storage: 'f32', factors: 'f16', probes: 2 },
];

/** A product with every type of blocks: rows of several blocks, and of an odd number of them. */
export const quantisedShapes: readonly LinearShape[] = storages
  .filter((storage) => !isPlain(storage))
  .flatMap((storage) => [
    { rows: 5, columns: 37, inner: 3 * codecs[storage].block.elements, storage },
    { rows: 1, columns: 9, inner: 512, storage },
  ]);

/**
 * Whether a product of {@link quantisedShapes} is left to the long tests on a software adapter, where a kernel of
 * several rows with barriers compiles for 4 to 12 seconds and nobody but the tests runs it. Reading a block and going
 * over rows are the same text in every pair of the two: each type of blocks is kept with one such variant, each variant
 * with every fourth type, and each emulation of matrix units with one. Those without barriers, and that of one row, are
 * kept for all.
 */
export function isLong(variant: MatmulVariant, storage: Storage): boolean {
  const blocks = storages.filter((each) => !isPlain(each));
  if (variant === 'emulated-2x2') return storage !== 'q8';
  if (variant === 'emulated-half-2x2') return storage !== 'mxfp4';
  const turn = ['few-rows', 'tile-1x4', 'tile-4x4', 'tile-8x8'].indexOf(variant);
  return turn >= 0 && blocks.indexOf(storage) % 4 !== turn;
}

/**
 * Deep enough to be cut into slices, to lengths that are no multiple of one; some give fewer slices than were asked
 * for.
 */
export const deepShapes: readonly LinearShape[] = [
  { rows: 3, columns: 19, inner: 1028, rank: 3, probes: 2 },
  { rows: 1, columns: 7, inner: 100 },
  { rows: 33, columns: 65, inner: 256, rank: 24, probes: 2, weightScale: 0.9 },
];

/** More shapes around the edges of tiles of 64 and 128, all over one kernel. */
export const tileShapes: readonly LinearShape[] = [
  { rows: 129, columns: 131, inner: 36, rank: 8, probes: 2, weightScale: 0.9 },
  { rows: 15, columns: 64, inner: 20, probes: 3, rank: 24 },
  { rows: 200, columns: 17, inner: 12 },
];

/** Combinations that nobody thought of, over kernels that the list above compiles anyway (compiling takes longest). */
export function randomLinearShape(random: Random): LinearShape {
  const { storage, bias, activation, accumulate } = random.pick(linearShapes);
  return {
    ...{ storage, bias, activation, accumulate },
    rows: random.integer(1, 40),
    columns: random.integer(1, 150),
    inner: 4 * random.integer(1, 40),
    probes: random.integer(1, 4),
    rank: random.pick([0, 1, 3, 8, 24]),
    parts: random.integer(1, 3),
    weightScale: random.pick([1, 0.9]),
  };
}
