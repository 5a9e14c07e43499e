/**
 * GPU time per kernel, from timestamp queries. While the recorder has a profiler, each dispatch gets a pass of its own.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { GpuBuffer } from './buffer.ts';
import type { Gpu } from './gpu.ts';

/** One timed dispatch; times are in nanoseconds since the first one. */
export interface KernelTiming {
  label: string;
  start: number;
  end: number;
}

const capacity = 4096;

export class Profiler {
  readonly #gpu: Gpu;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GpuBuffer;
  #labels: string[] = [];

  constructor(gpu: Gpu) {
    if (!gpu.features.has('timestamp-query')) {
      throw new SubzeroError(
        'unsupported',
        'this adapter has no timestamp queries; kernels cannot be timed on the GPU',
      );
    }
    this.#gpu = gpu;
    this.#queries = gpu.device.createQuerySet({ type: 'timestamp', count: capacity });
    this.#resolved = gpu.allocate(
      capacity * 8,
      'staging',
      'timestamps',
      GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    );
  }

  /** Returns the timestamp writes of the next dispatch, or undefined if the profiler is full. */
  begin(label: string): GPUComputePassTimestampWrites | undefined {
    const index = this.#labels.length * 2;
    if (index + 2 > capacity) return undefined;
    this.#labels.push(label);
    return { querySet: this.#queries, beginningOfPassWriteIndex: index, endOfPassWriteIndex: index + 1 };
  }

  /** Returns the timings so far and starts over. */
  async collect(): Promise<KernelTiming[]> {
    this.#gpu.recorder.submit();
    const labels = this.#labels;
    this.#labels = [];
    if (labels.length === 0) return [];
    const encoder = this.#gpu.device.createCommandEncoder();
    encoder.resolveQuerySet(this.#queries, 0, labels.length * 2, this.#resolved.raw, 0);
    this.#gpu.device.queue.submit([encoder.finish()]);
    const [data] = await this.#gpu.recorder.read([{ buffer: this.#resolved, bytes: labels.length * 16 }]);
    const times = new BigUint64Array(data!);
    const zero = times[0]!;
    return labels.map((label, index) => ({
      label,
      start: Number(times[index * 2]! - zero),
      end: Number(times[index * 2 + 1]! - zero),
    }));
  }

  destroy(): void {
    this.#queries.destroy();
    this.#resolved.destroy();
  }
}

/** Converts timings to the Trace Event format, which chrome://tracing and Perfetto open. */
export function chromeTrace(timings: readonly KernelTiming[]): string {
  return JSON.stringify({
    traceEvents: timings.map(({ label, start, end }) => ({
      name: label,
      ph: 'X',
      pid: 1,
      tid: 1,
      ts: start / 1000,
      dur: (end - start) / 1000,
    })),
  });
}

/** Sums the time of each kernel, in milliseconds, the longest first. */
export function summarise(timings: readonly KernelTiming[]): { label: string; count: number; milliseconds: number }[] {
  const totals = new Map<string, { count: number; milliseconds: number }>();
  for (const { label, start, end } of timings) {
    const entry = totals.get(label) ?? { count: 0, milliseconds: 0 };
    entry.count++;
    entry.milliseconds += (end - start) / 1e6;
    totals.set(label, entry);
  }
  return [...totals].map(([label, entry]) => ({ label, ...entry })).sort((a, b) => b.milliseconds - a.milliseconds);
}
