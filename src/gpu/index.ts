/**
 * The GPU by itself: open it, allocate buffers, record kernels (one's own with {@link addKernelSource}), read results.
 *
 * @module
 */

export { SubzeroError } from '../errors.ts';
export type { GpuBuffer } from './buffer.ts';
export { type AdapterDescription, listAdapters, type OpenDeviceOptions } from './device.ts';
export { Gpu } from './gpu.ts';
export { addKernelSource, type Kernel, type KernelConstant, type KernelDefinition, kernelSource } from './kernel.ts';
export type { MemoryCategory, MemoryReport } from './memory.ts';
export { type KernelTiming, Profiler } from './profiler.ts';
export type { ReadRequest, Recorder } from './recorder.ts';
