/**
 * One case of one operation. The same lists of cases drive the correctness tests and the benchmark, which checks a case
 * before it times it.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { equalBytes } from '../platform/index.ts';
import { Bed, poisonBits } from './bed.ts';
import type { Random } from './random.ts';

/** A result on the GPU with its reference. */
export interface Output {
  name: string;
  buffer: GpuBuffer;
  rows: number;
  columns: number;
  /** Row `row` in float64, computed from the inputs as they are stored. */
  reference(row: number): ArrayLike<number>;
  /** Decodes the values of the buffer; without it they are f32. */
  decode?(data: ArrayBuffer): ArrayLike<number>;
  /** Bytes of the result in the buffer; by default rows × columns × 4. */
  bytes?: number;
  /** Largest allowed error of one element, in units of the root mean square; see {@link largestError}. */
  largestError?: number;
  /**
   * Least root mean square by which errors are measured, below what results of this kind have on average. A result of
   * few random elements may lie near zero by chance, where float32 has the same absolute error as elsewhere.
   */
  leastScale?: number;
  /** Whether the buffer after the result must still hold the poison. */
  guarded?: boolean;
}

/** A case set up on a device. */
export interface PreparedCase {
  /** Uploads again the inputs that the operation changes in place. */
  reset?(): void;
  /** Records the operation. Activations that it returns may be given back once the outputs are read. */
  record(): Output[];
}

export interface KernelCase {
  operation: string;
  name: string;
  /** Largest allowed normalised mean squared error. */
  tolerance: number;
  /** Arithmetic operations, and bytes that must move, for the benchmark. */
  flops: number;
  bytes: number;
  prepare(bed: Bed): PreparedCase;
}

/**
 * Largest allowed normalised mean squared error of f32 arithmetic. It applies to every storage of weights, because the
 * reference uses the stored values. On a software adapter the error is 1e-13 or less; exponentials on a GPU may be
 * coarser. A result whose operands were wrongly rounded to f16 has an error of 1e-8.
 */
export const exactTolerance = 1e-10;

/**
 * Most elements of a result to compare. Of a larger result, the first row, the last row and random rows between are
 * compared.
 */
const comparedElements = 1 << 17;

/**
 * Largest allowed error of one element, in units of the result's root mean square, because a mean hides a single wrong
 * element.
 */
const largestError = 4e-3;

/** The rows to compare. */
function chosenRows(output: Output, random: Random, most: number): number[] {
  const count = Math.max(2, Math.floor(most / Math.max(1, output.columns)));
  if (count >= output.rows) return Array.from({ length: output.rows }, (_, row) => row);
  const rows = new Set([0, output.rows - 1]);
  while (rows.size < count) rows.add(random.integer(0, output.rows - 1));
  return [...rows].sort((a, b) => a - b);
}

/** Mean squared error divided by the mean square of the reference; NaN if any value is NaN. */
export function normalisedError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let error = 0;
  let square = 0;
  for (let index = 0; index < expected.length; index++) {
    error += (actual[index]! - expected[index]!) ** 2;
    square += expected[index]! ** 2;
  }
  return error === 0 ? 0 : error / square;
}

/** Compares one result, and throws with the place of the worst element. @returns the normalised mean squared error */
function compare(
  output: Output,
  data: ArrayBuffer,
  tolerance: number,
  random: Random,
  most = comparedElements,
): number {
  const values = output.decode
    ? output.decode(data)
    : new Float32Array(data, 0, Math.floor(data.byteLength / 4)).subarray(0, output.rows * output.columns);
  let error = 0;
  let square = 0;
  let count = 0;
  let worst = { difference: -1, row: 0, column: 0, actual: 0, expected: 0 };
  for (const row of chosenRows(output, random, most)) {
    const reference = output.reference(row);
    for (let column = 0; column < output.columns; column++) {
      const expected = reference[column]!;
      const actual = values[row * output.columns + column]!;
      // The comparison is negated so that NaN on either side counts as the worst error.
      const difference = Math.abs(actual - expected);
      if (!(difference <= worst.difference)) {
        worst = { difference, row, column, actual, expected };
        if (Number.isNaN(difference)) {
          throw new Error(`${output.name}[${row}, ${column}] is ${actual}, expected ${expected}`);
        }
      }
      error += difference * difference;
      square += expected * expected;
      count++;
    }
  }
  const meanSquare = Math.max(square / count, (output.leastScale ?? 0) ** 2);
  const normalised = error === 0 ? 0 : error / count / meanSquare;
  const rootMeanSquare = Math.sqrt(meanSquare);
  const place = `worst at [${worst.row}, ${worst.column}]: ${worst.actual}, expected ${worst.expected}`;
  if (!(normalised <= tolerance)) {
    throw new Error(`${output.name}: normalised mean squared error ${normalised} > ${tolerance}; ${place}`);
  }
  if (!(worst.difference <= (output.largestError ?? largestError) * rootMeanSquare)) {
    throw new Error(`${output.name}: one element is off by ${worst.difference} (rms ${rootMeanSquare}); ${place}`);
  }
  return normalised;
}

/** Checks that nothing was written after the end of a result. */
function checkGuard(output: Output, data: ArrayBuffer): void {
  const words = new Uint32Array(data);
  for (let index = output.rows * output.columns; index < words.length; index++) {
    if (words[index] !== poisonBits) {
      throw new Error(
        `${output.name}: element ${index} lies past the end (${output.rows} × ${output.columns}) and was written`,
      );
    }
  }
}

function bytesOf({ rows, columns, bytes = rows * columns * 4 }: Output): number {
  return bytes;
}

async function readOutputs(gpu: Gpu, outputs: readonly Output[]): Promise<ArrayBuffer[]> {
  return gpu.recorder.read(
    outputs.map((output) => ({
      buffer: output.buffer,
      bytes: output.guarded ? output.buffer.size : bytesOf(output),
    })),
  );
}

/**
 * Runs a prepared case on poisoned memory and compares it with its reference. Then runs it again and requires the same
 * bits.
 *
 * @param most elements to compare at most
 * @returns the largest normalised mean squared error of its results
 */
export async function checkPrepared(
  bed: Bed,
  kernelCase: KernelCase,
  prepared: PreparedCase,
  most?: number,
): Promise<number> {
  const { gpu, random } = bed;
  prepared.reset?.();
  const outputs = prepared.record();
  const first = await readOutputs(gpu, outputs);
  let worst = 0;
  for (const [index, output] of outputs.entries()) {
    worst = Math.max(worst, compare(output, first[index]!, kernelCase.tolerance, random, most));
    if (output.guarded) checkGuard(output, first[index]!);
  }
  prepared.reset?.();
  const second = await readOutputs(gpu, prepared.record());
  for (const [index, data] of second.entries()) {
    // The memory after the result has the length of the buffer, which may be another buffer in the second run.
    const bytes = bytesOf(outputs[index]!);
    if (!equalBytes(new Uint8Array(data, 0, bytes), new Uint8Array(first[index]!, 0, bytes))) {
      throw new Error(`${outputs[index]!.name}: the same inputs gave other bits the second time`);
    }
  }
  return worst;
}

/** Sets a case up, checks it (see {@link checkPrepared}) and frees it. */
export async function checkCase(gpu: Gpu, kernelCase: KernelCase, random: Random): Promise<number> {
  const bed = new Bed(gpu, random);
  try {
    return await checkPrepared(bed, kernelCase, kernelCase.prepare(bed));
  } finally {
    bed.destroy();
  }
}
