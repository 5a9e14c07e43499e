/**
 * The tensors of a file of quantised weights, checked before they are read.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { bytesToF32 } from '../safetensors/convert.ts';
import type { StoredTensor, TensorSource } from '../tensor-source.ts';
import { type ScaleType, scaleTypes } from './matrix.ts';

/** A grid of numbers over a matrix: each counts for so many rows, and the ones of a row share it evenly. */
export interface Grid {
  name: string;
  dtype: string;
  /** Rows of the matrix to one of the grid. */
  rowsPer: number;
  /** Numbers of a row. */
  groups: number;
}

export class Parts {
  readonly #source: TensorSource;
  readonly #where: string;
  /** Whole tensors of the matrix that was read last. */
  #held: { matrix: string; tensors: Map<string, Promise<Uint8Array<ArrayBuffer>>> } | undefined;

  /** @param where the model's folder, for errors */
  constructor(source: TensorSource, where: string) {
    this.#source = source;
    this.#where = where;
  }

  has(name: string): boolean {
    return this.#source.tensors.has(name);
  }

  get(name: string): StoredTensor | undefined {
    return this.#source.tensors.get(name);
  }

  /** Those of some names that are there. */
  present(...names: readonly string[]): string[] {
    return names.filter((name) => this.has(name));
  }

  /** The modules that have a tensor of this name: what stands before it. */
  modulesWith(suffix: string): string[] {
    return this.endingWith(`.${suffix}`);
  }

  /** What stands before the end of the names that have it. */
  endingWith(end: string): string[] {
    return [...this.#source.tensors.keys()]
      .filter((name) => name.endsWith(end))
      .map((name) => name.slice(0, -end.length));
  }

  /**
   * A tensor that must be there.
   * @param dtypes the types that it may have
   * @param dimensions how many sides it must have
   * @throws SubzeroError `invalid_data`
   */
  expect<T extends string>(name: string, dtypes: readonly T[], dimensions?: number): StoredTensor & { dtype: T } {
    const entry = this.get(name);
    if (!entry) throw this.error(name, `expected it beside the other parts of its matrix, and it is missing`);
    if (!(dtypes as readonly string[]).includes(entry.dtype)) {
      throw this.error(name, `expected the type ${dtypes.join(' or ')}, got ${entry.dtype}`);
    }
    if (dimensions !== undefined && entry.shape.length !== dimensions) {
      throw this.error(name, `expected ${dimensions} dimensions, got the shape [${entry.shape.join(', ')}]`);
    }
    return entry as StoredTensor & { dtype: T };
  }

  /** A tensor that must have a shape. @param rule where the shape comes from */
  expectShape<T extends string>(
    name: string,
    dtypes: readonly T[],
    shape: readonly number[],
    rule: string,
  ): StoredTensor & { dtype: T } {
    const entry = this.expect(name, dtypes);
    if (entry.shape.join() !== shape.join()) {
      throw this.error(name, `expected the shape [${shape.join(', ')}] (${rule}), got [${entry.shape.join(', ')}]`);
    }
    return entry;
  }

  /** Scales of a matrix: one for each block of some rows and columns, the last of them cut off at the edges. */
  scaleGrid(
    name: string,
    [rows, columns]: readonly [number, number],
    [height, width]: readonly [number, number],
  ): Grid {
    const { dtype, shape } = this.expect<ScaleType>(name, scaleTypes);
    const [down, groups] = [Math.ceil(rows / height), Math.ceil(columns / width)];
    const isOne = down * groups === 1 && shape.every((side) => side === 1);
    if (!isOne && shape.join() !== [down, groups].join()) {
      const blocks = `blocks of [${height}, ${width}] of a matrix [${rows}, ${columns}]`;
      throw this.error(name, `expected the shape [${down}, ${groups}] (${blocks}), got [${shape.join(', ')}]`);
    }
    return { name, dtype, rowsPer: height, groups };
  }

  async read(name: string, offset?: number, length?: number): Promise<Uint8Array<ArrayBuffer>> {
    return await this.#source.read(name, offset, length);
  }

  /** The numbers of a grid for some rows of its matrix. */
  async gridRows({ name, dtype, rowsPer, groups }: Grid, start: number, end: number): Promise<Float32Array> {
    const first = Math.floor(start / rowsPer);
    const last = Math.ceil(end / rowsPer);
    const width = dtype === 'I8' ? 1 : dtype === 'F32' ? 4 : 2;
    const bytes = await this.read(name, first * groups * width, (last - first) * groups * width);
    const numbers = dtype === 'I8' ? Float32Array.from(new Int8Array(bytes.buffer)) : bytesToF32(dtype, bytes);
    const values = new Float32Array((end - start) * groups);
    for (let row = start; row < end; row++) {
      const at = (Math.floor(row / rowsPer) - first) * groups;
      values.set(numbers.subarray(at, at + groups), (row - start) * groups);
    }
    return values;
  }

  /**
   * A whole tensor, kept until one of another matrix is read: for formats that have rows as columns, of which no part
   * can be read by itself.
   */
  async whole(matrix: string, name: string): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#held?.matrix !== matrix) this.#held = { matrix, tensors: new Map() };
    const { tensors } = this.#held;
    let bytes = tensors.get(name);
    if (!bytes) {
      bytes = this.read(name);
      tensors.set(name, bytes);
    }
    return await bytes;
  }

  error(name: string, reason: string, code: 'invalid_data' | 'unsupported' = 'invalid_data'): SubzeroError {
    return new SubzeroError(code, `${this.#where}: tensor "${name}": ${reason}`, { parameter: name });
  }
}

/** The 32-bit words of a whole tensor. */
export function wordsOf(bytes: Uint8Array<ArrayBuffer>): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}
