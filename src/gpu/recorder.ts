/**
 * Records kernels into one command encoder, with all their parameters in one uniform arena, and submits them together.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { GpuBuffer } from './buffer.ts';
import type { Gpu } from './gpu.ts';
import type { Kernel } from './kernel.ts';
import { paced } from './pace.ts';
import type { Profiler } from './profiler.ts';

/** Parameter slots in the arena; a step of a 40-layer model records about 800 dispatches. */
const arenaSlots = 2048;

/** Workgroups per dimension that every WebGPU adapter allows. */
const maxWorkgroups = 65_535;

/** Spreads a one-dimensional count of workgroups over x and y; kernels rebuild the index from both. */
export function spread(count: number): [number, number] {
  if (count <= maxWorkgroups) return [Math.max(1, count), 1];
  const y = Math.ceil(count / maxWorkgroups);
  return [Math.ceil(count / y), y];
}

export class Recorder {
  readonly #gpu: Gpu;
  readonly #arena: GpuBuffer;
  readonly #slotBytes: number;
  readonly #data: ArrayBuffer;
  readonly #u32: Uint32Array;
  readonly #i32: Int32Array;
  readonly #f32: Float32Array;
  #used = 0;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #staging: { buffer: GpuBuffer; free: boolean }[] = [];
  /** Set to time each dispatch on the GPU. */
  profiler: Profiler | undefined;
  /** Dispatches recorded since the device was opened. */
  dispatches = 0;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    // 64 bytes hold 16 scalars, more than any kernel has; the adapter may ask for coarser slots.
    this.#slotBytes = Math.max(64, gpu.device.limits.minUniformBufferOffsetAlignment);
    this.#data = new ArrayBuffer(arenaSlots * this.#slotBytes);
    this.#u32 = new Uint32Array(this.#data);
    this.#i32 = new Int32Array(this.#data);
    this.#f32 = new Float32Array(this.#data);
    this.#arena = gpu.allocate(
      this.#data.byteLength,
      'staging',
      'kernel parameters',
      GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    );
  }

  /**
   * Records one kernel.
   * @param buffers one per storage binding of the kernel, in order
   * @param parameters one value per field of the kernel's `Parameters`
   * @param workgroups counts in x, y, z
   */
  dispatch(
    kernel: Kernel,
    buffers: readonly GpuBuffer[],
    parameters: Readonly<Record<string, number>>,
    workgroups: readonly [number, number?, number?],
  ): void {
    if (this.#used === arenaSlots) this.submit();
    const slot = this.#used++;
    const base = (slot * this.#slotBytes) / 4;
    for (let index = 0; index < kernel.parameters.length; index++) {
      const field = kernel.parameters[index]!;
      const value = parameters[field.name];
      if (value === undefined) throw new Error(`${kernel.label}: parameter "${field.name}" is missing`);
      if (field.type === 'u32') this.#u32[base + index] = value;
      else if (field.type === 'f32') this.#f32[base + index] = value;
      else this.#i32[base + index] = value;
    }
    const group = this.#gpu.bindGroup(kernel, buffers, this.#arena);
    const offsets = kernel.parameters.length > 0 ? [slot * this.#slotBytes] : [];
    const timed = this.profiler?.begin(kernel.label);
    if (timed) this.#endPass();
    const pass = timed ? this.#commands().beginComputePass({ timestampWrites: timed }) : this.#computePass();
    pass.setPipeline(kernel.pipeline);
    pass.setBindGroup(0, group, offsets);
    pass.dispatchWorkgroups(workgroups[0], workgroups[1] ?? 1, workgroups[2] ?? 1);
    if (timed) pass.end();
    this.dispatches++;
  }

  #commands(): GPUCommandEncoder {
    this.#encoder ??= this.#gpu.device.createCommandEncoder();
    return this.#encoder;
  }

  #computePass(): GPUComputePassEncoder {
    this.#pass ??= this.#commands().beginComputePass();
    return this.#pass;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
  }

  /** Records a copy between two buffers; offsets and size are in bytes, multiples of 4. */
  copy(source: GpuBuffer, sourceOffset: number, target: GpuBuffer, targetOffset: number, bytes: number): void {
    this.#endPass();
    this.#commands().copyBufferToBuffer(source.raw, sourceOffset, target.raw, targetOffset, bytes);
  }

  /** Records zeroing of a buffer or a part of it. */
  clear(buffer: GpuBuffer, byteOffset = 0, bytes = buffer.size - byteOffset): void {
    this.#endPass();
    this.#commands().clearBuffer(buffer.raw, byteOffset, bytes);
  }

  /** Sends everything recorded so far to the GPU. */
  submit(): void {
    this.#endPass();
    if (this.#used > 0) {
      // Queued behind the previous submission, so the arena can be reused without waiting.
      this.#gpu.device.queue.writeBuffer(this.#arena.raw, 0, this.#data, 0, this.#used * this.#slotBytes);
      this.#used = 0;
    }
    if (!this.#encoder) return;
    const commands = this.#encoder.finish();
    this.#encoder = undefined;
    this.#gpu.device.queue.submit([commands]);
  }

  /**
   * Submits what is recorded and reads back parts of buffers after it.
   * @returns one fresh ArrayBuffer per request
   * @throws SubzeroError `out_of_memory`, `gpu` or `device_lost`, whichever came up since the last read
   */
  async read(requests: readonly { buffer: GpuBuffer; offset?: number; bytes: number }[]): Promise<ArrayBuffer[]> {
    const total = requests.reduce((sum, request) => sum + Math.ceil(request.bytes / 4) * 4, 0);
    const staging = this.#takeStaging(total);
    let position = 0;
    for (const { buffer, offset = 0, bytes } of requests) {
      const padded = Math.ceil(bytes / 4) * 4;
      this.copy(buffer, offset, staging.buffer, position, padded);
      position += padded;
    }
    this.submit();
    try {
      await this.#gpu.checkAllocations();
      await paced(staging.buffer.raw.mapAsync(GPUMapMode.READ, 0, Math.max(4, total)));
    } catch (error) {
      // The device knows better what went wrong than the mapping that failed with it.
      if (!(error instanceof SubzeroError)) this.#gpu.throwIfFailed();
      throw error;
    } finally {
      staging.free = true;
    }
    try {
      this.#gpu.throwIfFailed();
      const mapped = staging.buffer.raw.getMappedRange(0, Math.max(4, total));
      let from = 0;
      return requests.map(({ bytes }) => {
        const copy = mapped.slice(from, from + bytes);
        from += Math.ceil(bytes / 4) * 4;
        return copy;
      });
    } finally {
      // Nothing can take the buffer before this, since nothing above waits.
      staging.buffer.raw.unmap();
    }
  }

  /** Staging buffers are kept and grow in powers of two, so that steady-state reads allocate nothing. */
  #takeStaging(bytes: number): { buffer: GpuBuffer; free: boolean } {
    const found = this.#staging.find((entry) => entry.free && entry.buffer.size >= bytes);
    if (found) {
      found.free = false;
      return found;
    }
    for (const entry of this.#staging.filter(({ free }) => free)) entry.buffer.destroy();
    this.#staging = this.#staging.filter(({ free }) => !free);
    const size = 2 ** Math.ceil(Math.log2(Math.max(4096, bytes)));
    const buffer = this.#gpu.allocate(size, 'staging', 'readback', GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    const entry = { buffer, free: false };
    this.#staging.push(entry);
    return entry;
  }
}
