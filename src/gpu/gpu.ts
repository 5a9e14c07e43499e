/**
 * The opened GPU: the device, its kernels, its buffers and their accounting, and the recorder of work.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import { BindGroups } from './bind-groups.ts';
import { GpuBuffer } from './buffer.ts';
import {
  type AdapterDescription,
  type Arithmetic,
  type KernelStyle,
  type OpenDeviceOptions,
  type OpenedDevice,
  openDevice,
} from './device.ts';
import { compilationError, compileKernel, type Kernel, type KernelDefinition, kernelKey } from './kernel.ts';
import { MemoryAccount, type MemoryCategory } from './memory.ts';
import { paced } from './pace.ts';
import { Recorder } from './recorder.ts';
import { type SizingLimits, sizingDevice } from './sizing-device.ts';
import { Turns } from './turns.ts';

export class Gpu {
  readonly device: GPUDevice;
  readonly adapter: AdapterDescription;
  readonly features: ReadonlySet<string>;
  /** The family of kernel variants that operations use. */
  readonly kernelStyle: KernelStyle;
  readonly arithmetic: Arithmetic;
  /** Largest size of a storage binding in bytes; larger tensors are split. */
  readonly bindingLimit: number;
  readonly memory: MemoryAccount = new MemoryAccount();
  /** Decides when urgent work and bulk work may submit to this device. */
  readonly turns: Turns = new Turns();
  /** Placeholder for a storage binding that a launch does not use. */
  readonly unused: GpuBuffer;
  /** Keeps Dawn's instance alive as long as the device (see device.ts). */
  readonly instance: GPU;
  readonly #kernels = new Map<string, Kernel>();
  /**
   * The same kernels by the definition objects that operations keep, which avoids building the key for every launch.
   */
  readonly #kernelOf = new WeakMap<KernelDefinition, Kernel>();
  readonly #bindGroups: BindGroups;
  #failure: SubzeroError | undefined;
  /** Checks that Dawn has not answered yet. The promises never reject, so none goes unhandled. */
  readonly #allocations = new Set<Promise<SubzeroError | undefined>>();
  readonly #compilations = new Set<Promise<SubzeroError | undefined>>();
  #closed = false;

  /** Opens the adapter and wraps it; see {@link openDevice} for the options and errors. */
  static async open(options: OpenDeviceOptions = {}): Promise<Gpu> {
    const opened = await openDevice(options);
    const { kernelStyle = opened.adapter.software ? 'software' : 'hardware', arithmetic = 'exact' } = options;
    return new Gpu(opened, kernelStyle, arithmetic);
  }

  /** One without memory, which only counts what is made on it; see {@link sizingDevice}. */
  static forSizing(limits: SizingLimits = {}): Gpu {
    const gpu = new Gpu(sizingDevice(limits), limits.software ? 'software' : 'hardware', 'exact');
    gpu.#recorder = new Recorder(gpu, true);
    return gpu;
  }

  private constructor(
    { device, adapter, features, bindingLimit, instance }: OpenedDevice,
    kernelStyle: KernelStyle,
    arithmetic: Arithmetic,
  ) {
    this.device = device;
    this.#bindGroups = new BindGroups(device);
    this.adapter = adapter;
    this.features = features;
    this.kernelStyle = kernelStyle;
    this.arithmetic = arithmetic;
    this.bindingLimit = bindingLimit;
    this.instance = instance;
    this.unused = this.allocate(256, 'scratch', 'unused');
    device.addEventListener('uncapturederror', (event) => {
      const { error } = event as GPUUncapturedErrorEvent;
      // The error is thrown to whoever waits for the work; without this call it would also be printed.
      event.preventDefault();
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

  /**
   * Throws the first error that the device reported since the last call, if any. The loss of the device is thrown at
   * every call. Other errors are thrown once, so that one failed job does not fail the next.
   */
  throwIfFailed(): void {
    const failure = this.#failure;
    if (!failure) return;
    if (failure.code !== 'device_lost') this.#failure = undefined;
    throw failure;
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
    if (this.#failure?.code === 'device_lost') throw this.#failure;
    this.device.pushErrorScope('out-of-memory');
    const raw = this.device.createBuffer({ label, size, usage: flags });
    const buffer = new GpuBuffer(this, raw, size, category, label);
    this.memory.add(category, size);
    this.#allocations.add(
      this.device.popErrorScope().then(
        (error) => {
          if (!error) return undefined;
          buffer.destroy();
          const held = formatBytes(this.memory.report().liveBytes);
          return new SubzeroError(
            'out_of_memory',
            `the GPU has no room for "${label}": ${formatBytes(size)} asked while this process holds ${held}. ` +
              'Use fewer rows at once (max-rows), a smaller batch, or 16-bit storage.',
            { cause: error },
          );
        },
        // Error scopes of a lost device cannot be popped; the loss is reported separately.
        () => undefined,
      ),
    );
    return buffer;
  }

  /**
   * Waits until every allocation so far is known to have succeeded.
   * @throws SubzeroError `out_of_memory` with the bytes asked and held
   */
  async checkAllocations(): Promise<void> {
    await this.#settle(this.#allocations);
  }

  /**
   * Waits until every kernel asked for so far is compiled.
   * @throws SubzeroError `gpu` with the kernel and the line at fault
   */
  async checkKernels(): Promise<void> {
    await this.#settle(this.#compilations);
  }

  async #settle(checks: Set<Promise<SubzeroError | undefined>>): Promise<void> {
    if (checks.size === 0) return;
    const pending = [...checks];
    const errors = (await paced(Promise.all(pending))).filter((error) => error !== undefined);
    // Checks are removed only after they have settled, so that concurrent waiters see a failure too.
    for (const check of pending) checks.delete(check);
    if (errors.length === 0) return;
    // Work recorded with the missing buffer or kernel failed as well; its errors only repeat this one.
    await this.device.queue.onSubmittedWorkDone().catch(() => undefined);
    if (this.#failure?.code === 'device_lost') throw this.#failure;
    this.#failure = undefined;
    throw errors[0];
  }

  /** Removes a buffer that is being destroyed from the memory account and from the cache of bind groups. */
  released(buffer: GpuBuffer): void {
    this.memory.remove(buffer.category, buffer.size);
    this.#bindGroups.release(buffer);
  }

  /** A slice of a buffer is gone, whose memory is not. */
  sliceReleased(buffer: GpuBuffer): void {
    this.#bindGroups.release(buffer);
  }

  /**
   * Returns the kernel of a definition. The first call starts to compile it in another thread. Work recorded with it in
   * the meantime is submitted once it is compiled.
   */
  kernel(definition: KernelDefinition): Kernel {
    const known = this.#kernelOf.get(definition);
    if (known) return known;
    const key = kernelKey(definition);
    let kernel = this.#kernels.get(key);
    if (!kernel) {
      this.device.pushErrorScope('validation');
      const compiling = compileKernel(this.device, definition);
      // An error in the source also makes the compilation fail, and is reported there.
      this.device.popErrorScope().catch(() => undefined);
      this.#compilations.add(
        compiling.compiled.then(
          () => undefined,
          async (error: GPUPipelineError) => {
            this.#kernels.delete(key);
            this.#kernelOf.delete(definition);
            const reason = await compilationError(compiling, definition).catch(() => undefined);
            if (this.#failure?.code === 'device_lost') return this.#failure;
            return new SubzeroError('gpu', `the kernel ${key} does not compile: ${reason ?? error.message}`, {
              cause: error,
            });
          },
        ),
      );
      kernel = compiling;
      this.#kernels.set(key, kernel);
    }
    this.#kernelOf.set(definition, kernel);
    return kernel;
  }

  /** Returns a bind group for these buffers. Groups are cached, so steady-state steps create none. */
  bindGroup(kernel: Kernel, buffers: readonly GpuBuffer[], uniforms: GpuBuffer): GPUBindGroup {
    return this.#bindGroups.get(kernel, buffers, uniforms);
  }

  #recorder: Recorder | undefined;

  /** The recorder of this device. Work recorded into it runs in order. */
  get recorder(): Recorder {
    this.#recorder ??= new Recorder(this);
    return this.#recorder;
  }

  /** Waits for all submitted work. */
  async idle(): Promise<void> {
    await this.checkAllocations();
    await paced(this.device.queue.onSubmittedWorkDone());
    this.throwIfFailed();
  }

  /** Destroys the device and all its buffers; pending reads fail. Another device can be opened afterwards. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#failure = new SubzeroError('device_lost', 'the GPU device was closed; open it again to go on');
    this.device.destroy();
  }
}
