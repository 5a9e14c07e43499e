/**
 * GPU buffers with an owner. Dawn does not free dropped buffers promptly, so the owner destroys each one explicitly.
 *
 * @module
 */

import type { Gpu } from './gpu.ts';
import type { MemoryCategory } from './memory.ts';

let nextId = 1;

/** What every adapter allows bindings to begin at, in bytes. */
export const sliceAlignment = 256;

export class GpuBuffer {
  /** Identity for the bind-group cache. */
  readonly id: number = nextId++;
  readonly gpu: Gpu;
  readonly raw: GPUBuffer;
  /** Size in bytes, a multiple of 4. */
  readonly size: number;
  readonly category: MemoryCategory;
  readonly label: string;
  /** Where in `raw` it begins: not 0 in slices of another buffer. */
  readonly offset: number;
  readonly #owner: GpuBuffer | undefined;
  /** Slices that have not been destroyed. */
  #slices = 0;
  #destroyed = false;

  constructor(
    gpu: Gpu,
    raw: GPUBuffer,
    size: number,
    category: MemoryCategory,
    label: string,
    slice?: { owner: GpuBuffer; offset: number },
  ) {
    this.gpu = gpu;
    this.raw = raw;
    this.size = size;
    this.category = category;
    this.label = label;
    this.#owner = slice?.owner;
    this.offset = slice?.offset ?? 0;
  }

  /** The buffer that this is a slice of, or itself: what takes memory. */
  get whole(): GpuBuffer {
    return this.#owner ?? this;
  }

  /**
   * A part of this buffer as a buffer, which kernels can bind by itself. The memory is freed when the last slice is
   * destroyed.
   * @param byteOffset a multiple of {@link sliceAlignment}
   */
  slice(byteOffset: number, bytes: number, label: string): GpuBuffer {
    if (byteOffset % sliceAlignment !== 0 || bytes % 4 !== 0 || byteOffset + bytes > this.size) {
      throw new Error(`slice: bytes ${byteOffset} to ${byteOffset + bytes} of ${this.label}, which has ${this.size}`);
    }
    this.#slices++;
    return new GpuBuffer(this.gpu, this.raw, bytes, this.category, label, { owner: this, offset: byteOffset });
  }

  /**
   * Queues an upload. `data` must be a multiple of 4 bytes long; it is copied before the call returns.
   * @param byteOffset where to write, a multiple of 4
   */
  write(data: ArrayBufferView, byteOffset = 0): void {
    // The view is of plain bytes: Float16Array and DataView crash some runtimes, SharedArrayBuffer views crash all.
    const bytes =
      data.buffer instanceof ArrayBuffer
        ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
        : new Uint8Array(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    this.gpu.device.queue.writeBuffer(this.raw, this.offset + byteOffset, bytes);
  }

  /** Frees the memory. Work already submitted still completes. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    const owner = this.#owner;
    if (owner) {
      this.gpu.sliceReleased(this);
      if (--owner.#slices === 0) owner.destroy();
      return;
    }
    this.gpu.released(this);
    this.raw.destroy();
  }
}
