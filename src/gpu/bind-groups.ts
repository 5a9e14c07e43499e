/**
 * Bind groups, cached by kernel and buffers, so that steady-state steps create none. The key is a number rather than a
 * text, because every dispatch looks one up.
 *
 * @module
 */

import { collectGarbage } from '../platform/index.ts';
import type { GpuBuffer } from './buffer.ts';
import type { Kernel } from './kernel.ts';

/**
 * Number of forgotten groups after which garbage is collected. WebGPU cannot destroy a group, and JavaScript's
 * collector sees only its small object, not its descriptors. lavapipe maps each group's into memory by itself and
 * crashes where the system refuses another mapping; Linux allows a process 65,530.
 */
const mostForgotten = 4096;

interface Entry {
  hash: number;
  kernel: Kernel;
  buffers: readonly GpuBuffer[];
  group: GPUBindGroup;
}

export class BindGroups {
  readonly #device: GPUDevice;
  readonly #entries = new Map<number, Entry[]>();
  readonly #ofBuffer = new Map<number, Set<Entry>>();
  /** Groups forgotten since the last collection. */
  #forgotten = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** @param uniforms the buffer that holds the kernel's parameters */
  get(kernel: Kernel, buffers: readonly GpuBuffer[], uniforms: GpuBuffer): GPUBindGroup {
    let hash = kernel.id;
    for (let index = 0; index < buffers.length; index++) {
      hash = (Math.imul(hash, 0x9e37_79b1) + buffers[index]!.id) | 0;
    }
    const bucket = this.#entries.get(hash);
    if (bucket) {
      for (const entry of bucket)
        if (entry.kernel === kernel && sameBuffers(entry.buffers, buffers)) return entry.group;
    }
    if (buffers.length !== kernel.storage.length) {
      throw new Error(`${kernel.label} has ${kernel.storage.length} storage bindings; got ${buffers.length} buffers`);
    }
    const entry = { hash, kernel, buffers: [...buffers], group: this.#create(kernel, buffers, uniforms) };
    if (bucket) bucket.push(entry);
    else this.#entries.set(hash, [entry]);
    for (const { id } of buffers) {
      const entries = this.#ofBuffer.get(id);
      if (entries) entries.add(entry);
      else this.#ofBuffer.set(id, new Set([entry]));
    }
    return entry.group;
  }

  #create(kernel: Kernel, buffers: readonly GpuBuffer[], uniforms: GpuBuffer): GPUBindGroup {
    const entries: GPUBindGroupEntry[] = buffers.map((buffer, binding) => ({
      binding,
      resource: { buffer: buffer.raw, offset: buffer.offset, size: buffer.size },
    }));
    if (kernel.parameters.length > 0) {
      entries.push({ binding: buffers.length, resource: { buffer: uniforms.raw, size: kernel.parameterBytes } });
    }
    return this.#device.createBindGroup({ label: kernel.label, layout: kernel.layout, entries });
  }

  /** Forgets the groups that mention a buffer. */
  release(buffer: GpuBuffer): void {
    const entries = this.#ofBuffer.get(buffer.id);
    if (!entries) return;
    for (const entry of entries) {
      const rest = this.#entries.get(entry.hash)?.filter((other) => other !== entry) ?? [];
      if (rest.length > 0) this.#entries.set(entry.hash, rest);
      else this.#entries.delete(entry.hash);
      for (const { id } of entry.buffers) if (id !== buffer.id) this.#ofBuffer.get(id)?.delete(entry);
    }
    this.#ofBuffer.delete(buffer.id);
    this.#forgotten += entries.size;
    if (this.#forgotten < mostForgotten) return;
    this.#forgotten = 0;
    collectGarbage();
  }
}

function sameBuffers(a: readonly GpuBuffer[], b: readonly GpuBuffer[]): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}
