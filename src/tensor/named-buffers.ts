/**
 * Small input and scratch buffers that are kept by name and only ever grow, so that steady-state passes allocate
 * nothing.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';

/** Bytes of a buffer that is asked for so many: a power of two, so that slow growth costs few allocations. */
export function namedBufferBytes(bytes: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1024, bytes)));
}

export class NamedBuffers {
  readonly #gpu: Gpu;
  readonly #buffers = new Map<string, GpuBuffer>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** A buffer of at least so many bytes; its content is undefined. */
  ensure(name: string, bytes: number): GpuBuffer {
    const existing = this.#buffers.get(name);
    if (existing && existing.size >= bytes) return existing;
    existing?.destroy();
    const buffer = this.#gpu.allocate(namedBufferBytes(bytes), 'scratch', name);
    this.#buffers.set(name, buffer);
    return buffer;
  }

  /**
   * Uploads data under a name. Kernels that read an earlier upload under the same name must have been submitted,
   * because uploads overtake what is only recorded.
   */
  upload(name: string, data: Uint32Array | Float32Array): GpuBuffer {
    const buffer = this.ensure(name, data.byteLength);
    if (data.byteLength > 0) buffer.write(data);
    return buffer;
  }

  /** Bytes held. */
  get bytes(): number {
    return [...this.#buffers.values()].reduce((sum, { size }) => sum + size, 0);
  }

  destroy(): void {
    for (const buffer of this.#buffers.values()) buffer.destroy();
    this.#buffers.clear();
  }
}

/** Buffers without memory, for work that is only rehearsed. */
export class EmptyBuffers extends NamedBuffers {
  readonly #unused: GpuBuffer;

  constructor(gpu: Gpu) {
    super(gpu);
    this.#unused = gpu.unused;
  }

  override ensure(): GpuBuffer {
    return this.#unused;
  }
}
