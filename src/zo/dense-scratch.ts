/**
 * The space in which dense methods make pieces of perturbed weights, see ops/dense.ts.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { scratchCopies } from '../ops/dense.ts';
import type { Weight } from '../tensor/weight.ts';

/** Most bytes; beyond them larger pieces save no time. */
const mostBytes = 64 * 1024 * 1024;

/**
 * Rows of the widest matrix that it has room for at least: with fewer a GPU would have next to nothing to do in a
 * launch.
 */
const leastRows = 64;

export class DenseScratch {
  readonly #gpu: Gpu;
  readonly #least: number;
  readonly #most: number;
  #buffer: GpuBuffer;

  /**
   * @param weights the matrices that train
   * @param lean begin with the least, where {@link reserve} follows
   */
  constructor(gpu: Gpu, weights: readonly Weight[], lean: boolean) {
    this.#gpu = gpu;
    const bytesOf = (rows: number, columns: number): number => rows * columns * 4 * scratchCopies;
    // A few bytes where no matrix trains.
    const largest = Math.max(16, ...weights.map(({ rows, columns }) => bytesOf(rows, columns)));
    const widest = Math.max(16, ...weights.map(({ columns }) => bytesOf(1, columns)));
    this.#most = Math.min(largest, Math.max(widest, Math.min(mostBytes, gpu.bindingLimit)));
    this.#least = Math.min(this.#most, leastRows * widest);
    this.#buffer = this.#allocate(lean ? this.#least : this.#most);
  }

  get buffer(): GpuBuffer {
    return this.#buffer;
  }

  /** Makes room for so many bytes, as far as they are needed at least and used at most. More room, fewer launches. */
  reserve(bytes: number): void {
    const size = Math.max(this.#least, Math.min(this.#most, Math.floor(bytes / 16) * 16));
    if (size === this.#buffer.size) return;
    // What is recorded may mention the old buffer.
    this.#gpu.recorder.submit();
    this.#buffer.destroy();
    this.#buffer = this.#allocate(size);
  }

  destroy(): void {
    this.#buffer.destroy();
  }

  #allocate(bytes: number): GpuBuffer {
    return this.#gpu.allocate(bytes, 'scratch', 'perturbed weights');
  }
}
