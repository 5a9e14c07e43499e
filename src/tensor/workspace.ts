/**
 * Memory for activations. A forward pass takes and gives back the same sequence of sizes each time, so after the first
 * pass nothing is allocated any more.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';

/** A matrix of activations [rows, columns] in f32, row-major. */
export interface Activation {
  buffer: GpuBuffer;
  rows: number;
  columns: number;
}

export class Workspace {
  readonly gpu: Gpu;
  readonly #free: GpuBuffer[] = [];
  readonly #all = new Set<GpuBuffer>();
  #capacity = 0;

  constructor(gpu: Gpu) {
    this.gpu = gpu;
  }

  /**
   * Announces the most rows that the coming passes use. Buffers are made for that many, so that passes of different
   * length share them. Must not be called while activations are taken.
   */
  reserve(rows: number): void {
    if (rows <= this.#capacity) return;
    this.#capacity = rows;
    for (const buffer of this.#all) buffer.destroy();
    this.#all.clear();
    this.#free.length = 0;
  }

  /** Takes a matrix with undefined content. At most the reserved number of rows. */
  take(rows: number, columns: number): Activation {
    if (rows > this.#capacity) throw new Error(`workspace reserved for ${this.#capacity} rows; ${rows} asked`);
    const bytes = this.#capacity * columns * 4;
    let best = -1;
    for (let index = 0; index < this.#free.length; index++) {
      const size = this.#free[index]!.size;
      if (size >= bytes && (best < 0 || size < this.#free[best]!.size)) best = index;
    }
    if (best >= 0) return { buffer: this.#free.splice(best, 1)[0]!, rows, columns };
    const buffer = this.gpu.allocate(bytes, 'activations', `activation ×${columns}`);
    this.#all.add(buffer);
    return { buffer, rows, columns };
  }

  /** Takes memory for so many elements, whatever their shape. */
  takeElements(count: number): Activation {
    const rows = Math.max(1, this.#capacity);
    return this.take(rows, Math.ceil(count / rows));
  }

  /** Takes a matrix of so many times as many rows as may be taken otherwise. */
  takeTimes(rows: number, times: number, columns: number): Activation {
    const taken = this.take(rows, times * columns);
    return Object.assign(taken, { rows: times * rows, columns });
  }

  /** Gives matrices back; kernels already recorded still see their content. */
  give(...activations: Activation[]): void {
    for (const { buffer } of activations) this.#free.push(buffer);
  }

  /** Bytes held, used or not. */
  get bytes(): number {
    let sum = 0;
    for (const buffer of this.#all) sum += buffer.size;
    return sum;
  }

  destroy(): void {
    for (const buffer of this.#all) buffer.destroy();
    this.#all.clear();
    this.#free.length = 0;
    this.#capacity = 0;
  }
}
