/**
 * The opened GPU: device, kernels, buffers and their accounting, recording of work.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import { GpuBuffer } from './buffer.ts';
import { type AdapterDescription, type OpenDeviceOptions, type OpenedDevice, openDevice } from './device.ts';
import { compileKernel, type Kernel, type KernelDefinition, kernelKey } from './kernel.ts';
import { MemoryAccount, type MemoryCategory } from './memory.ts';
import { Recorder } from './recorder.ts';

export class Gpu {
  readonly device: GPUDevice;
  readonly adapter: AdapterDescription;
  readonly features: ReadonlySet<string>;
  /** Bytes that one storage binding may have; larger tensors are split. */
  readonly bindingLimit: number;
  readonly memory = new MemoryAccount();
  /** Bound where a kernel has a storage binding that this call does not use. */
  readonly unused: GpuBuffer;
  /** Held so that Dawn's instance lives as long as the device (see device.ts). */
  readonly instance: GPU;
  readonly #kernels = new Map<string, Kernel>();
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  readonly #bindGroupsOfBuffer = new Map<number, Set<string>>();
  #failure: SubzeroError | undefined;
  #allocations: Promise<void>[] = [];
  #closed = false;

  /** Opens the adapter and wraps it; see {@link openDevice} for the options and errors. */
  static async open(options: OpenDeviceOptions = {}): Promise<Gpu> {
    return new Gpu(await openDevice(options));
  }

  private constructor({ device, adapter, features, bindingLimit, instance }: OpenedDevice) {
    this.device = device;
    this.adapter = adapter;
    this.features = features;
    this.bindingLimit = bindingLimit;
    this.instance = instance;
    this.unused = this.allocate(256, 'scratch', 'unused');
    device.addEventListener('uncapturederror', (event) => {
      const { error } = event as GPUUncapturedErrorEvent;
      this.#failure ??= new SubzeroError('gpu', `the GPU reported an error: ${error.message}`);
    });
    void device.lost.then((information) => {
      if (this.#closed) return;
      this.#failure = new SubzeroError(
        'device_lost',
        `the GPU device was lost (${information.message || information.reason}); open it again to go on`,
      );
    });
  }

  /** Throws the first error that the device reported since it was opened, if any. */
  throwIfFailed(): void {
    if (this.#failure) throw this.#failure;
  }

  /**
   * Reserves a buffer. The allocation is checked when {@link checkAllocations} or the next readback is awaited.
   * @param bytes size; rounded up to a multiple of 4
   */
  allocate(bytes: number, category: MemoryCategory, label: string, usage?: GPUBufferUsageFlags): GpuBuffer {
    const size = Math.max(16, Math.ceil(bytes / 4) * 4);
    const { maxBufferSize } = this.device.limits;
    if (size > maxBufferSize) {
      throw new SubzeroError(
        'out_of_memory',
        `"${label}" needs a buffer of ${formatBytes(size)}; this adapter allows at most ${formatBytes(maxBufferSize)}`,
      );
    }
    const flags = usage ?? GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.device.pushErrorScope('out-of-memory');
    const raw = this.device.createBuffer({ label, size, usage: flags });
    this.memory.add(category, size);
    const live = this.memory.report().liveBytes;
    this.#allocations.push(
      this.device.popErrorScope().then((error) => {
        if (!error) return;
        throw new SubzeroError(
          'out_of_memory',
          `the GPU has no room for "${label}": ${formatBytes(size)} asked while this process holds ${formatBytes(live - size)}. ` +
            'Use fewer rows at once (max-rows), a smaller batch, or 16-bit storage.',
        );
      }),
    );
    return new GpuBuffer(this, raw, size, category, label);
  }

  /** Waits until every allocation so far is known to have succeeded; throws `out_of_memory` otherwise. */
  async checkAllocations(): Promise<void> {
    const pending = this.#allocations;
    this.#allocations = [];
    for (const result of await Promise.allSettled(pending)) {
      if (result.status === 'rejected') throw result.reason;
    }
  }

  /** Called by a buffer that is being destroyed: forgets its bytes and the bind groups that mention it. */
  released(buffer: GpuBuffer): void {
    this.memory.remove(buffer.category, buffer.size);
    for (const key of this.#bindGroupsOfBuffer.get(buffer.id) ?? []) this.#bindGroups.delete(key);
    this.#bindGroupsOfBuffer.delete(buffer.id);
  }

  /** The compiled kernel of a definition; compiled at the first call. */
  kernel(definition: KernelDefinition): Kernel {
    const key = kernelKey(definition);
    let kernel = this.#kernels.get(key);
    if (!kernel) {
      kernel = compileKernel(this.device, definition);
      this.#kernels.set(key, kernel);
    }
    return kernel;
  }

  /** A bind group for these buffers, cached: steady-state steps create none. */
  bindGroup(kernel: Kernel, buffers: readonly GpuBuffer[], uniforms: GpuBuffer): GPUBindGroup {
    let key = `${kernel.label}|${uniforms.id}`;
    for (const buffer of buffers) key += `,${buffer.id}`;
    let group = this.#bindGroups.get(key);
    if (group) return group;
    if (buffers.length !== kernel.storage.length) {
      throw new Error(`${kernel.label} has ${kernel.storage.length} storage bindings; got ${buffers.length} buffers`);
    }
    const entries: GPUBindGroupEntry[] = buffers.map((buffer, binding) => ({
      binding,
      resource: { buffer: buffer.raw },
    }));
    if (kernel.parameters.length > 0) {
      entries.push({ binding: buffers.length, resource: { buffer: uniforms.raw, size: kernel.parameterBytes } });
    }
    group = this.device.createBindGroup({ label: kernel.label, layout: kernel.layout, entries });
    this.#bindGroups.set(key, group);
    for (const buffer of [...buffers, uniforms]) {
      const keys = this.#bindGroupsOfBuffer.get(buffer.id) ?? new Set();
      keys.add(key);
      this.#bindGroupsOfBuffer.set(buffer.id, keys);
    }
    return group;
  }

  #recorder: Recorder | undefined;

  /** The recorder of this device; work recorded into it runs in order. */
  get recorder(): Recorder {
    this.#recorder ??= new Recorder(this);
    return this.#recorder;
  }

  /** Waits for all submitted work. */
  async idle(): Promise<void> {
    await this.device.queue.onSubmittedWorkDone();
    this.throwIfFailed();
  }

  /** Destroys the device and with it every buffer. */
  close(): void {
    this.#closed = true;
    this.device.destroy();
  }
}
