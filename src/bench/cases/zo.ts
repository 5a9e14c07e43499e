/**
 * Kernels of zeroth-order training: noise on the state, updates, factors, folds.
 *
 * @module
 */

import { spread } from '../../gpu/workgroups.ts';
import { recordFold } from '../../ops/fold.ts';
import { recordGaussianMatrix } from '../../ops/gaussian-matrix.ts';
import { orthonormalise } from '../../ops/orthonormal.ts';
import { paddedRank } from '../../ops/probes.ts';
import { stateKernel } from '../../ops/state.ts';
import { gaussian, keyOfSeed } from '../../random/philox.ts';
import { NamedBuffers } from '../../tensor/named-buffers.ts';
import { rowBytes, type WritableStorage } from '../../weights/index.ts';
import type { Bed } from '../bed.ts';
import { exactTolerance, type KernelCase } from '../case.ts';
import type { Random } from '../random.ts';
import { store, widenAll } from '../storage.ts';

/** Elements of the state that one workgroup takes. */
const blockElements = 256;

export interface StateTensor {
  elements: number;
  /** Whether it trains. */
  trains: boolean;
  /** An S matrix, which decays. */
  matrix: boolean;
}

export interface StateShape {
  tensors: readonly StateTensor[];
  /** Queries of an update, probes of a perturbation. */
  count: number;
  /** Deviation of the state; 0 shows the noise alone. */
  deviation: number;
  decay?: number;
}

interface LaidOut {
  seed: number;
  step: number;
  blocks: Uint32Array<ArrayBuffer>;
  blockCount: number;
  state: Float32Array<ArrayBuffer>;
  /** Tensor id and place of each tensor. */
  places: { id: number; offset: number; tensor: StateTensor }[];
}

/** A state as the kernels want it: each tensor from a multiple of 256 elements on. */
export function layOut(random: Random, shape: StateShape): LaidOut {
  const rows: number[] = [];
  const places: LaidOut['places'] = [];
  for (const tensor of shape.tensors) {
    const id = random.word();
    places.push({ id, offset: (rows.length / 4) * blockElements, tensor });
    for (let first = 0; first < tensor.elements; first += blockElements) {
      const flags = (tensor.trains ? 1 : 0) | (tensor.matrix ? 6 : 0);
      rows.push(id, first, Math.min(blockElements, tensor.elements - first), flags);
    }
  }
  const blocks = Uint32Array.from(rows);
  const blockCount = blocks.length / 4;
  const state = new Float32Array(blockCount * blockElements);
  for (const { offset, tensor } of places) state.set(random.normals(tensor.elements, shape.deviation), offset);
  // A seed beyond 32 bits, so that both words of the key count.
  return {
    seed: random.word() * 2 ** 20 + random.integer(0, 1000),
    step: random.integer(0, 1e6),
    blocks,
    blockCount,
    state,
    places,
  };
}

function describeState({ tensors, count, deviation }: StateShape): string {
  return (
    `${tensors.map(({ elements, trains }) => `${elements}${trains ? '' : ' frozen'}`).join(' + ')}, ${count}, ` +
    `deviation ${deviation}`
  );
}

function elementsOf({ tensors }: StateShape): number {
  return tensors.reduce((sum, tensor) => sum + tensor.elements, 0);
}

function stateCost(shape: StateShape, reads: number): Pick<KernelCase, 'flops' | 'bytes' | 'tolerance'> {
  const [elements, count] = [elementsOf(shape), shape.count];
  // About 25 operations an element: ten Philox rounds and Box–Muller over four elements.
  return { flops: 25 * elements * count, bytes: 4 * elements * reads, tolerance: exactTolerance };
}

/** A third of the deviation of `elements` normal values that lie among `places` zeros. */
function leastScale(deviation: number, elements: number, places: number): number {
  return (deviation / 3) * Math.sqrt(elements / places);
}

/** Only elements in use count; the tails of blocks are compared as zero. */
function inUse(laidOut: LaidOut, data: ArrayBuffer): Float32Array {
  const values = new Float32Array(data.slice(0));
  const perProbe = laidOut.blockCount * blockElements;
  const result = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += perProbe) {
    for (const { offset, tensor } of laidOut.places) {
      result.set(values.subarray(start + offset, start + offset + tensor.elements), start + offset);
    }
  }
  return result;
}

export function perturbCase(shape: StateShape): KernelCase {
  return {
    operation: 'perturb',
    name: describeState(shape),
    ...stateCost(shape, 1 + shape.count),
    prepare(bed) {
      const { random, gpu } = bed;
      const laidOut = layOut(random, shape);
      const { seed, step, blocks, blockCount, state, places } = laidOut;
      const probes = Array.from({ length: shape.count }, (_, probe) => ({
        scale: Math.fround(shape.deviation === 0 ? 1 : 1e-2 * (random.uniform() - 0.5)),
        query: probe === 0 ? 0 : random.integer(0, 127),
      }));
      const probeData = new DataView(new ArrayBuffer(8 * shape.count));
      for (const [probe, { scale, query }] of probes.entries()) {
        probeData.setFloat32(8 * probe, scale, true);
        probeData.setUint32(8 * probe + 4, query, true);
      }
      const buffers = [bed.upload(state), bed.upload(blocks), bed.upload(probeData)];
      const perturbed = bed.allocate(4 * shape.count * state.length, 'perturbed');
      return {
        reset: () => bed.poison(perturbed),
        record() {
          const [seedLow, seedHigh] = keyOfSeed(seed);
          gpu.recorder.dispatch(
            gpu.kernel(stateKernel('perturb', 'plain')),
            [...buffers, gpu.unused, perturbed],
            { seed_low: seedLow, seed_high: seedHigh, step, block_count: blockCount, first_probe: 0 },
            [...spread(blockCount), shape.count],
          );
          return [
            {
              name: 'perturbed',
              buffer: perturbed,
              rows: shape.count,
              columns: state.length,
              leastScale: leastScale(shape.deviation || 1, elementsOf(shape), state.length),
              decode: (data) => inUse(laidOut, data),
              reference(probe) {
                const { scale, query } = probes[probe]!;
                const result = Float64Array.from(state);
                for (const { id, offset, tensor } of places) {
                  if (!tensor.trains) continue;
                  const noise = gaussian(seed, { tensor: id, step, purpose: 0, query }, tensor.elements);
                  for (let index = 0; index < tensor.elements; index++)
                    result[offset + index]! += scale * noise[index]!;
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

export function updateCase(shape: StateShape): KernelCase {
  const { decay = 1 } = shape;
  return {
    operation: 'update',
    name: `${describeState(shape)}, decay ${decay}`,
    ...stateCost(shape, 2),
    prepare(bed) {
      const { random, gpu } = bed;
      const laidOut = layOut(random, shape);
      const { seed, step, blocks, blockCount, state, places } = laidOut;
      const coefficients = random.normals(shape.count, 0.1);
      const stateBuffer = bed.upload(state);
      const coefficientOffset = random.integer(0, 5);
      const padded = new Float32Array(coefficientOffset + shape.count).fill(Number.NaN);
      padded.set(coefficients, coefficientOffset);
      const [blockBuffer, coefficientBuffer] = [bed.upload(blocks), bed.upload(padded)];
      return {
        reset: () => stateBuffer.write(state),
        record() {
          const [seedLow, seedHigh] = keyOfSeed(seed);
          gpu.recorder.dispatch(
            gpu.kernel(stateKernel('update', 'plain')),
            [stateBuffer, blockBuffer, coefficientBuffer, gpu.unused],
            {
              seed_low: seedLow,
              seed_high: seedHigh,
              step,
              queries: shape.count,
              block_count: blockCount,
              coefficient_offset: coefficientOffset,
              decay,
            },
            spread(blockCount),
          );
          return [
            {
              name: 'state',
              buffer: stateBuffer,
              rows: 1,
              columns: state.length,
              leastScale: leastScale(shape.deviation || 0.1, elementsOf(shape), state.length),
              decode: (data) => inUse(laidOut, data),
              reference() {
                const result = Float64Array.from(state);
                for (const { id, offset, tensor } of places) {
                  if (!tensor.trains) continue;
                  if (tensor.matrix) {
                    for (let index = 0; index < tensor.elements; index++) result[offset + index]! *= Math.fround(decay);
                  }
                  for (const [query, coefficient] of coefficients.entries()) {
                    const noise = gaussian(seed, { tensor: id, step, purpose: 0, query }, tensor.elements);
                    for (let index = 0; index < tensor.elements; index++) {
                      result[offset + index]! -= coefficient * noise[index]!;
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

const vector = (elements: number): StateTensor => ({ elements, trains: true, matrix: false });
const square = (rank: number): StateTensor => ({ elements: rank * rank, trains: true, matrix: true });
const frozen = (elements: number): StateTensor => ({ elements, trains: false, matrix: false });

export const stateShapes: readonly StateShape[] = [
  { tensors: [vector(1)], count: 1, deviation: 0 },
  { tensors: [square(8), vector(193)], count: 2, deviation: 0 },
  { tensors: [square(3), vector(64), square(24), frozen(300), vector(257)], count: 3, deviation: 1, decay: 0.99 },
  { tensors: [square(64), square(64), vector(1024)], count: 5, deviation: 0.01, decay: 0.5 },
  { tensors: [frozen(10), square(1)], count: 2, deviation: 1 },
];

export interface FactorShape {
  rows: number;
  rank: number;
  /** Stored transposed, as V is; otherwise row by row, as U is. */
  transposed: boolean;
}

/** Rows of a buffer before a transposed matrix: V of several weights lie one below the other. */
const rowsAbove = 4;

/** Where element (i, j) lies, and how many elements the buffer has. */
function layoutOf({ rows, rank, transposed }: FactorShape) {
  const width = paddedRank(rank);
  return transposed
    ? { rowStride: 1, columnStride: rows, start: rowsAbove * rows, elements: (rowsAbove + width) * rows }
    : { rowStride: width, columnStride: 1, start: 0, elements: width * rows };
}

export function gaussianMatrixCase(shape: FactorShape): KernelCase {
  const { rows, rank, transposed } = shape;
  const { rowStride, columnStride, start, elements } = layoutOf(shape);
  return {
    operation: 'gaussian-matrix',
    name: `${rows}×${rank}${transposed ? ', transposed' : ''}`,
    tolerance: exactTolerance,
    flops: 25 * rows * rank,
    bytes: 4 * rows * rank,
    prepare(bed) {
      const { random, gpu } = bed;
      const [seed, tensor, period] = [random.word() * 2 ** 20 + 3, random.word(), random.integer(0, 50)];
      const purpose = transposed ? 2 : 1;
      const matrix = bed.allocate(4 * elements, 'matrix');
      let noise: Float64Array | undefined;
      return {
        // Zeros, as the padding of factors must stay.
        reset: () => matrix.write(new Float32Array(elements)),
        record() {
          recordGaussianMatrix(
            gpu,
            { buffer: matrix, rows, columns: rank, rowStride, columnStride, start },
            { seed: keyOfSeed(seed), tensor, period, purpose },
          );
          return [
            {
              name: 'matrix',
              buffer: matrix,
              rows: transposed ? rowsAbove + paddedRank(rank) : rows,
              columns: transposed ? rows : paddedRank(rank),
              leastScale: leastScale(1, rows * rank, elements),
              reference(storedRow) {
                noise ??= gaussian(seed, { tensor, step: period, purpose, query: 0 }, rows * rank);
                const result = new Float64Array(transposed ? rows : paddedRank(rank));
                for (let index = 0; index < result.length; index++) {
                  const [i, j] = transposed ? [index, storedRow - rowsAbove] : [storedRow, index];
                  if (j >= 0 && j < rank) result[index] = noise[i * rank + j]!;
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

export const gaussianMatrixShapes: readonly FactorShape[] = [
  { rows: 1, rank: 1, transposed: false },
  { rows: 37, rank: 3, transposed: false },
  { rows: 37, rank: 3, transposed: true },
  { rows: 1000, rank: 8, transposed: false },
  { rows: 515, rank: 64, transposed: true },
];

/** Thin QR by modified Gram–Schmidt, twice, in float64: Q with a positive diagonal of R, and that diagonal. */
export function gramSchmidt(
  a: Float64Array,
  rows: number,
  columns: number,
): { q: Float64Array; diagonal: Float64Array } {
  const q = Float64Array.from(a);
  const diagonal = new Float64Array(columns).fill(1);
  for (let j = 0; j < columns; j++) {
    for (let pass = 0; pass < 2; pass++) {
      for (let c = 0; c < j; c++) {
        let product = 0;
        for (let i = 0; i < rows; i++) product += q[i * columns + c]! * q[i * columns + j]!;
        for (let i = 0; i < rows; i++) q[i * columns + j]! -= product * q[i * columns + c]!;
      }
      let norm = 0;
      for (let i = 0; i < rows; i++) norm += q[i * columns + j]! ** 2;
      norm = Math.sqrt(norm);
      diagonal[j]! *= norm;
      for (let i = 0; i < rows; i++) q[i * columns + j]! /= norm;
    }
  }
  return { q, diagonal };
}

/** Reads a rows × rank matrix out of its layout. */
function fromLayout(shape: FactorShape, data: ArrayLike<number>): Float64Array {
  const { rowStride, columnStride, start } = layoutOf(shape);
  const { rows, rank } = shape;
  return Float64Array.from({ length: rows * rank }, (_, index) => {
    return data[start + Math.floor(index / rank) * rowStride + (index % rank) * columnStride]!;
  });
}

/** ‖QᵀQ − I‖_max. */
function orthonormality(q: Float64Array, rows: number, columns: number): number {
  let worst = 0;
  for (let a = 0; a < columns; a++) {
    for (let b = a; b < columns; b++) {
      let product = a === b ? -1 : 0;
      for (let i = 0; i < rows; i++) product += q[i * columns + a]! * q[i * columns + b]!;
      // NaN must not get lost.
      if (!(Math.abs(product) <= worst)) worst = Math.abs(product);
      if (Number.isNaN(worst)) return worst;
    }
  }
  return worst;
}

export function orthonormaliseCase(shape: FactorShape): KernelCase {
  const { rows, rank, transposed } = shape;
  const { rowStride, columnStride, start, elements } = layoutOf(shape);
  return {
    operation: 'orthonormalise',
    name: `${rows}×${rank}${transposed ? ', transposed' : ''}`,
    // Q of a nearly singular matrix depends on the last bits of the input: the error allowed grows with the condition
    // (see decode).
    tolerance: exactTolerance,
    flops: 2 * rows * rank * rank,
    bytes: 8 * rows * rank,
    prepare(bed) {
      const { gpu, random } = bed;
      const data = new Float32Array(elements);
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < rank; j++) data[start + i * rowStride + j * columnStride] = random.normal();
      }
      const matrix = bed.upload(data);
      const scratch = new NamedBuffers(gpu);
      let expected: ReturnType<typeof gramSchmidt> | undefined;
      return {
        reset: () => matrix.write(data),
        record() {
          orthonormalise(gpu, { buffer: matrix, rows, columns: rank, rowStride, columnStride, start }, scratch);
          return [
            {
              name: 'Q',
              buffer: matrix,
              rows,
              columns: rank,
              bytes: 4 * elements,
              decode(result) {
                const values = new Float32Array(result);
                const q = fromLayout(shape, values);
                const error = orthonormality(q, rows, rank);
                if (!(error <= 1e-5)) throw new Error(`‖QᵀQ − I‖_max is ${error}`);
                const used = new Set<number>();
                for (let i = 0; i < rows; i++) {
                  for (let j = 0; j < rank; j++) used.add(start + i * rowStride + j * columnStride);
                }
                for (let index = 0; index < elements; index++) {
                  if (!used.has(index) && values[index] !== 0)
                    throw new Error(`padding element ${index} is no longer 0`);
                }
                // Columns whose direction f32 input cannot settle are compared by orthonormality alone.
                expected ??= gramSchmidt(fromLayout(shape, data), rows, rank);
                const { diagonal } = expected;
                const scale = Math.sqrt(rows);
                for (let j = 0; j < rank; j++) {
                  if (diagonal[j]! > 3e-3 * scale) continue;
                  for (let i = 0; i < rows; i++) q[i * rank + j] = expected.q[i * rank + j]!;
                }
                return q;
              },
              reference(row) {
                expected ??= gramSchmidt(fromLayout(shape, data), rows, rank);
                return expected.q.subarray(row * rank, (row + 1) * rank);
              },
            },
          ];
        },
      };
    },
  };
}

export const orthonormaliseShapes: readonly FactorShape[] = [
  { rows: 1, rank: 1, transposed: false },
  { rows: 2, rank: 1, transposed: true },
  { rows: 3, rank: 3, transposed: false },
  { rows: 8, rank: 8, transposed: true },
  { rows: 33, rank: 24, transposed: false },
  { rows: 64, rank: 64, transposed: false },
  { rows: 65, rank: 64, transposed: true },
  { rows: 700, rank: 8, transposed: true },
  { rows: 600, rank: 64, transposed: false },
  { rows: 256, rank: 256, transposed: true },
  { rows: 300, rank: 256, transposed: false },
  // Tall and large enough for Cholesky QR.
  { rows: 2048, rank: 8, transposed: false },
  { rows: 5003, rank: 7, transposed: true },
  { rows: 1000, rank: 64, transposed: true },
  { rows: 257, rank: 64, transposed: false },
  { rows: 1024, rank: 256, transposed: false },
];

export interface FoldShape {
  rows: number;
  columns: number;
  rank: number;
  storage: WritableStorage;
  parts?: number;
  weightScale?: number;
}

/** The inputs of a fold and the float64 values before rounding. */
export function foldInputs(bed: Bed, { rows, columns, rank, storage, weightScale = 1 }: FoldShape, magnitude = 1) {
  const { random } = bed;
  const matrix = store(random.normals(rows * columns, 0.02 * magnitude), rows, columns, storage);
  const factors = bed.referenceFactors(rows, columns, rank, 1);
  factors.scale *= 1e-2 * magnitude;
  const row = (index: number): Float64Array => {
    const result = Float64Array.from(matrix.values.subarray(index * columns, (index + 1) * columns));
    for (let column = 0; column < columns; column++) result[column]! *= Math.fround(weightScale);
    const s = factors.s[0]!;
    for (let b = 0; b < rank; b++) {
      let coefficient = 0;
      for (let a = 0; a < rank; a++) coefficient += factors.u[index * rank + a]! * s[a * rank + b]!;
      coefficient *= Math.fround(factors.scale);
      for (let column = 0; column < columns; column++) {
        result[column]! += coefficient * factors.vTransposed[b * columns + column]!;
      }
    }
    return result;
  };
  return { matrix, factors, row };
}

/** Records the fold of a weight, with the change that the context has for it. */
export function foldWeight(
  bed: Bed,
  weight: ReturnType<Bed['weight']>,
  { probes }: ReturnType<Bed['context']>,
  { seed, tensor, period }: { seed: number; tensor: number; period: number },
): void {
  const factors = probes.factors.get(weight.name)!;
  const { state, weightScale } = probes;
  recordFold(bed.gpu, { weight, factors, state, weightScale, seed: keyOfSeed(seed), tensor, period });
}

/** Stochastic rounding has a variance of up to a quarter of the spacing squared. */
const foldTolerance: Readonly<Record<WritableStorage, number>> = { f32: exactTolerance, f16: 1e-6, bf16: 3e-5 };
const foldLargest: Readonly<Record<WritableStorage, number>> = { f32: 4e-3, f16: 8e-3, bf16: 6e-2 };

export function foldCase(shape: FoldShape): KernelCase {
  const { rows, columns, rank, storage, parts, weightScale = 1 } = shape;
  return {
    operation: 'fold',
    name: `${rows}×${columns}, ${storage}, rank ${rank}, ${parts ?? 'as few'} parts, weight scale ${weightScale}`,
    tolerance: foldTolerance[storage],
    flops: 2 * rows * rank * (rank + columns),
    bytes: 2 * rows * rowBytes(storage, columns),
    prepare(bed) {
      const inputs = foldInputs(bed, shape);
      const { random } = bed;
      const draw = { seed: random.word(), tensor: random.word(), period: random.integer(0, 20) };
      const context = bed.context({ count: 1, weightScale, factors: { weight: inputs.factors } });
      const weight = bed.weight('weight', inputs.matrix, parts);
      return {
        reset() {
          for (const { buffer, rowStart, rowCount } of weight.parts) {
            buffer.write(inputs.matrix.bits.subarray(rowStart * columns, (rowStart + rowCount) * columns));
          }
        },
        record() {
          foldWeight(bed, weight, context, draw);
          return weight.parts.map(({ buffer, rowStart, rowCount }, part) => ({
            name: `part ${part}`,
            buffer,
            rows: rowCount,
            columns,
            bytes: rowCount * rowBytes(storage, columns),
            largestError: foldLargest[storage],
            decode: (data) => (storage === 'f32' ? new Float32Array(data) : widenAll(new Uint16Array(data), storage)),
            reference: (row) => inputs.row(rowStart + row),
          }));
        },
      };
    },
  };
}

export const foldShapes: readonly FoldShape[] = [
  { rows: 1, columns: 4, rank: 1, storage: 'f32' },
  { rows: 19, columns: 36, rank: 3, storage: 'f32', parts: 2 },
  { rows: 70, columns: 300, rank: 24, storage: 'f32', weightScale: 0.9 },
  { rows: 33, columns: 128, rank: 64, storage: 'f16', parts: 3 },
  { rows: 65, columns: 260, rank: 8, storage: 'bf16', parts: 2, weightScale: 0.99 },
  { rows: 3, columns: 20, rank: 1, storage: 'bf16' },
];
