/**
 * Keys and values of tokens already seen, for generation. Sequences own runs of rows ("slots") in shared buffers.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { storedLength } from '../tensor/axis.ts';
import { attentions, keyAxis } from './decoder.ts';
import type { Model } from './model.ts';

export class KeyValueCache {
  /** Per attention layer [rows, key heads · head width of that layer] f32. */
  readonly keys: GpuBuffer[];
  readonly values: GpuBuffer[];
  readonly rows: number;
  /** Free runs of rows, ordered by start. */
  #free: { start: number; length: number }[];

  constructor(gpu: Gpu, model: Model, rows: number) {
    const rowBytes = attentions(model.decoder).map((attention) => storedLength(keyAxis(attention)) * 4);
    const limit = Math.floor(gpu.bindingLimit / Math.max(...rowBytes));
    this.rows = Math.min(rows, limit);
    const make = (label: string): GpuBuffer[] =>
      rowBytes.map((bytes) => gpu.allocate(this.rows * bytes, 'cache', label));
    this.keys = make('keys');
    this.values = make('values');
    this.#free = [{ start: 0, length: this.rows }];
  }

  /** Reserves a run of rows; undefined when no free run is long enough at present. */
  reserve(length: number): { start: number; length: number } | undefined {
    if (length > this.rows) {
      throw new SubzeroError(
        'out_of_memory',
        `a sequence of ${length} tokens does not fit the key-value cache of ${this.rows} rows`,
      );
    }
    const index = this.#free.findIndex((run) => run.length >= length);
    if (index < 0) return undefined;
    const run = this.#free[index]!;
    const reserved = { start: run.start, length };
    if (run.length === length) this.#free.splice(index, 1);
    else this.#free[index] = { start: run.start + length, length: run.length - length };
    return reserved;
  }

  /** Returns a run; neighbours join. */
  release(run: { start: number; length: number }): void {
    const runs = [...this.#free, run].sort((a, b) => a.start - b.start);
    this.#free = [];
    for (const next of runs) {
      const last = this.#free.at(-1);
      if (last && last.start + last.length === next.start) last.length += next.length;
      else this.#free.push({ ...next });
    }
  }

  /** Rows not reserved by any sequence. */
  get freeRows(): number {
    return this.#free.reduce((sum, run) => sum + run.length, 0);
  }

  destroy(): void {
    for (const buffer of [...this.keys, ...this.values]) buffer.destroy();
  }
}
