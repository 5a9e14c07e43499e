/**
 * GPU buffers with an owner. Dawn does not free dropped buffers promptly, so the owner destroys each one explicitly.
 *
 * @module
 */

import type { Gpu } from './gpu.ts';
import type { MemoryCategory } from './memory.ts';

let nextId = 1;

export class GpuBuffer {
  /** Identity for the bind-group cache. */
  readonly id: number = nextId++;
  readonly gpu: Gpu;
  readonly raw: GPUBuffer;
  /** Size in bytes, a multiple of 4. */
  readonly size: number;
  readonly category: MemoryCategory;
  readonly label: string;
  #destroyed = false;

  constructor(gpu: Gpu, raw: GPUBuffer, size: number, category: MemoryCategory, label: string) {
    this.gpu = gpu;
    this.raw = raw;
    this.size = size;
    this.category = category;
    this.label = label;
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
    this.gpu.device.queue.writeBuffer(this.raw, byteOffset, bytes);
  }

  /** Frees the memory. Work already submitted still completes. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.gpu.released(this);
    this.raw.destroy();
  }
}
