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

/** One recorded dispatch, or a copy or clearing between dispatches. */
type Command =
  | {
      kernel: Kernel;
      group: GPUBindGroup;
      offsets: readonly number[];
      workgroups: readonly [number, number?, number?];
    }
  | { kernel?: undefined; encode(encoder: GPUCommandEncoder): void };

export class Recorder {
  readonly #gpu: Gpu;
  readonly #arena: GpuBuffer;
  readonly #slotBytes: number;
  readonly #data: ArrayBuffer;
  readonly #u32: Uint32Array;
  readonly #i32: Int32Array;
  readonly #f32: Float32Array;
  #used = 0;
  /** In order; kept until submission, since kernels may still be compiling. */
  #commands: Command[] = [];
  #rehearsing = false;
  /** Whether a kernel was submitted without waiting for the outcome of its compilation. */
  #unchecked = false;
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
    if (this.#rehearsing) return;
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
    this.#commands.push({ kernel, group, offsets, workgroups });
    this.dispatches++;
  }

  /**
   * Starts to compile the kernels that some work records, and does none of it.
   * @param record records with `gpu.unused` where no buffer exists yet; waits for nothing
   */
  rehearse(record: () => void): void {
    this.#rehearsing = true;
    try {
      record();
    } finally {
      this.#rehearsing = false;
    }
  }

  #push(encode: (encoder: GPUCommandEncoder) => void): void {
    if (!this.#rehearsing) this.#commands.push({ encode });
  }

  /** Records a copy between two buffers; offsets and size are in bytes, multiples of 4. */
  copy(source: GpuBuffer, sourceOffset: number, target: GpuBuffer, targetOffset: number, bytes: number): void {
    this.#push((encoder) => encoder.copyBufferToBuffer(source.raw, sourceOffset, target.raw, targetOffset, bytes));
  }

  /** Records zeroing of a buffer or a part of it. */
  clear(buffer: GpuBuffer, byteOffset = 0, bytes = buffer.size - byteOffset): void {
    this.#push((encoder) => encoder.clearBuffer(buffer.raw, byteOffset, bytes));
  }

  /** Sends everything recorded so far to the GPU; compiles here and now what other threads have not compiled yet. */
  submit(): void {
    if (this.#rehearsing || this.#commands.length === 0) return;
    const { device } = this.#gpu;
    const commands = this.#commands;
    this.#commands = [];
    if (this.#used > 0) {
      // Queued behind the previous submission, so the arena can be reused without waiting.
      device.queue.writeBuffer(this.#arena.raw, 0, this.#data, 0, this.#used * this.#slotBytes);
      this.#used = 0;
    }
    const encoder = device.createCommandEncoder();
    let pass: GPUComputePassEncoder | undefined;
    let current: GPUComputePipeline | undefined;
    for (const command of commands) {
      const timed = command.kernel && this.profiler?.begin(command.kernel.label);
      if (!command.kernel || timed) {
        pass?.end();
        pass = undefined;
      }
      if (!command.kernel) {
        command.encode(encoder);
        continue;
      }
      const { kernel, group, offsets, workgroups } = command;
      if (!pass) {
        pass = encoder.beginComputePass(timed ? { timestampWrites: timed } : undefined);
        current = undefined;
      }
      if (!kernel.pipeline) {
        kernel.pipeline = device.createComputePipeline(kernel.descriptor);
        this.#unchecked = true;
      }
      if (kernel.pipeline !== current) pass.setPipeline(kernel.pipeline);
      current = kernel.pipeline;
      pass.setBindGroup(0, group, offsets);
      pass.dispatchWorkgroups(workgroups[0], workgroups[1] ?? 1, workgroups[2] ?? 1);
      if (timed) {
        pass.end();
        pass = undefined;
      }
    }
    pass?.end();
    device.queue.submit([encoder.finish()]);
  }

  /** What has to end before all that is recorded can be submitted without compiling. */
  #compiling(): Promise<void>[] {
    return this.#commands.flatMap(({ kernel }) => (kernel && !kernel.pipeline ? [kernel.compiled] : []));
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
    try {
      // Within this turn when everything is compiled: what the caller writes next must not overtake the work.
      const compiling = this.#compiling();
      if (compiling.length > 0) await paced(Promise.allSettled(compiling));
      this.submit();
      if (compiling.length > 0 || this.#unchecked) {
        this.#unchecked = false;
        await this.#gpu.checkKernels();
      }
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
