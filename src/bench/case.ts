/**
 * One case of one operation. The same lists drive the correctness tests and the benchmark: a case is checked before it is timed.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { equalBytes } from '../platform/index.ts';
import { Bed, poisonBits } from './bed.ts';
import type { Random } from './random.ts';

/** A result on the GPU and what it should be. */
export interface Output {
  name: string;
  buffer: GpuBuffer;
  rows: number;
  columns: number;
  /** Row `row` in float64, from the inputs as they are stored. */
  reference(row: number): ArrayLike<number>;
  /** How the buffer holds the values; f32 if left out. */
  decode?(data: ArrayBuffer): ArrayLike<number>;
  /** Bytes that the result takes in the buffer; rows × columns × 4 if left out. */
  bytes?: number;
  /** How far one element may be off, in units of the root mean square; see {@link largestError}. */
  largestError?: number;
  /** What follows the result in its buffer must still be the poison. */
  guarded?: boolean;
}

/** A case set up on a device. */
export interface PreparedCase {
  /** Uploads again what the operation changes in place. */
  reset?(): void;
  /** Records the operation. Activations that it returns may be given back once the outputs are read. */
  record(): Output[];
}

export interface KernelCase {
  operation: string;
  name: string;
  /** Largest normalised mean squared error. */
  tolerance: number;
  /** Arithmetic operations and bytes that must move, for the benchmark. */
  flops: number;
  bytes: number;
  prepare(bed: Bed): PreparedCase;
}

/**
 * Normalised mean squared error of what is computed in f32, whatever the weights are stored as: the reference has them as stored. Here it is 1e-13 or
 * less; a GPU's exponentials may be coarser. A result of operands that were rounded to f16 by mistake is off by 1e-8.
 */
export const exactTolerance = 1e-10;

/** Most elements of a result that are compared; of a larger one, the first, the last and random rows between. */
const comparedElements = 1 << 17;

/** How far one element may be off, in units of the result's root mean square: a single wrong element hides in a mean. */
export const largestError = 4e-3;

/** Rows to compare. */
function chosenRows(output: Output, random: Random, most: number): number[] {
  const count = Math.max(2, Math.floor(most / Math.max(1, output.columns)));
  if (count >= output.rows) return Array.from({ length: output.rows }, (_, row) => row);
  const rows = new Set([0, output.rows - 1]);
  while (rows.size < count) rows.add(random.integer(0, output.rows - 1));
  return [...rows].sort((a, b) => a - b);
}

/** Mean squared error over mean square of the reference; NaN as soon as one value is. */
export function normalisedError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let error = 0;
  let square = 0;
  for (let index = 0; index < expected.length; index++) {
    error += (actual[index]! - expected[index]!) ** 2;
    square += expected[index]! ** 2;
  }
  return error === 0 ? 0 : error / square;
}

/** Compares one result; throws with the place of the worst element. @returns the normalised mean squared error */
export function compare(
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
      // Written so that NaN on either side is the worst of all.
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
  const normalised = error === 0 ? 0 : error / square;
  const rootMeanSquare = Math.sqrt(square / count);
  const place = `worst at [${worst.row}, ${worst.column}]: ${worst.actual}, expected ${worst.expected}`;
  if (!(normalised <= tolerance)) {
    throw new Error(`${output.name}: normalised mean squared error ${normalised} > ${tolerance}; ${place}`);
  }
  if (!(worst.difference <= (output.largestError ?? largestError) * rootMeanSquare)) {
    throw new Error(`${output.name}: one element is off by ${worst.difference} (rms ${rootMeanSquare}); ${place}`);
  }
  return normalised;
}

/** Nothing may be written past the end of a result. */
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
 * Runs a case that is set up on poisoned memory, compares it with its reference, then runs it again and wants the same bits.
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
    // What lies behind is as long as the buffer, which may be another one.
    const bytes = bytesOf(outputs[index]!);
    if (!equalBytes(new Uint8Array(data, 0, bytes), new Uint8Array(first[index]!, 0, bytes))) {
      throw new Error(`${outputs[index]!.name}: the same inputs gave other bits the second time`);
    }
  }
  return worst;
}

/** Sets a case up, checks it (see {@link checkPrepared}) and takes it down. */
export async function checkCase(gpu: Gpu, kernelCase: KernelCase, random: Random): Promise<number> {
  const bed = new Bed(gpu, random);
  try {
    return await checkPrepared(bed, kernelCase, kernelCase.prepare(bed));
  } finally {
    bed.destroy();
  }
}
