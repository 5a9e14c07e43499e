/**
 * What is kept of tokens already seen, for generation: keys and values, of which sequences own runs of rows ("slots")
 * in shared buffers, and the states of recurrent layers, of which each sequence owns one.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { storedLength } from '../tensor/axis.ts';
import { keyAxis, keyMakers, recurrents, stateSizes } from './decoder.ts';
import type { Model } from './model.ts';

/** Most bytes of the states of all sequences over all layers, unless that of one needs more. */
const stateBytes = 256 * 1024 * 1024;

/** Most sequences whose states are kept. */
const mostStates = 256;

/** The states of a recurrent layer, one behind the other; see `stateSizes`. */
export interface RecurrentState {
  inputs: GpuBuffer;
  /** Only of layers that keep matrices. */
  matrices?: GpuBuffer;
}

/** What a sequence owns. */
export interface CacheRun {
  start: number;
  length: number;
  /** The number of its state; 0 where the model keeps none. */
  state: number;
}

export class KeyValueCache {
  /** Per attention layer with keys of its own [rows, key heads · head width of that layer] f32. */
  readonly keys: GpuBuffer[];
  readonly values: GpuBuffer[];
  /** Per recurrent layer. */
  readonly states: RecurrentState[];
  readonly rows: number;
  /** A row and a state that no sequence owns, for rows of passes that belong to none. */
  readonly spare: CacheRun | undefined;
  /** Numbers of the states that no sequence owns; empty too where the model keeps none. */
  readonly #freeStates: number[];
  /** Free runs of rows, ordered by start. */
  #free: { start: number; length: number }[];

  /** @param hasSpare whether there are a {@link spare} row and state besides */
  constructor(gpu: Gpu, model: Model, rows: number, hasSpare = false) {
    const rowBytes = keyMakers(model.decoder).map((attention) => storedLength(keyAxis(attention)) * 4);
    const limit = Math.floor(gpu.bindingLimit / Math.max(1, ...rowBytes));
    const besides = hasSpare ? 1 : 0;
    this.rows = Math.min(rows, limit - besides);
    const make = (label: string): GpuBuffer[] =>
      rowBytes.map((bytes) => gpu.allocate((this.rows + besides) * bytes, 'cache', label));
    this.keys = make('keys');
    this.values = make('values');
    this.#free = [{ start: 0, length: this.rows }];
    const sizes = recurrents(model.decoder).map(stateSizes);
    const count = mostSequences(gpu, sizes, besides);
    this.states = sizes.map(({ inputs, matrices }) => ({
      inputs: gpu.allocate((count + besides) * inputs * 4, 'cache', 'convolution inputs'),
      ...(matrices > 0 ? { matrices: gpu.allocate((count + besides) * matrices * 4, 'cache', 'state matrices') } : {}),
    }));
    this.#freeStates = Array.from({ length: count }, (_, state) => state);
    this.spare = hasSpare ? { start: this.rows, length: 1, state: count } : undefined;
  }

  /** Reserves a run of rows, and a state; undefined when none is free, or long enough, at present. */
  reserve(length: number): CacheRun | undefined {
    if (length > this.rows) {
      throw new SubzeroError(
        'out_of_memory',
        `a sequence of ${length} tokens does not fit the key-value cache of ${this.rows} rows`,
      );
    }
    const index = this.#free.findIndex((run) => run.length >= length);
    if (index < 0 || (this.states.length > 0 && this.#freeStates.length === 0)) return undefined;
    const run = this.#free[index]!;
    const reserved = { start: run.start, length, state: this.#freeStates.shift() ?? 0 };
    if (run.length === length) this.#free.splice(index, 1);
    else this.#free[index] = { start: run.start + length, length: run.length - length };
    return reserved;
  }

  /** Returns a run with its state; neighbours join. */
  release({ start, length, state }: CacheRun): void {
    if (this.states.length > 0) this.#freeStates.push(state);
    const runs = [...this.#free, { start, length }].sort((a, b) => a.start - b.start);
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
    for (const { inputs, matrices } of this.states) {
      inputs.destroy();
      matrices?.destroy();
    }
  }
}

/** How many sequences may have a state at the same time. */
function mostSequences(gpu: Gpu, sizes: readonly { inputs: number; matrices: number }[], besides: number): number {
  if (sizes.length === 0) return 0;
  const all = sizes.reduce((sum, { inputs, matrices }) => sum + 4 * (inputs + matrices), 0);
  const largest = Math.max(...sizes.flatMap(({ inputs, matrices }) => [4 * inputs, 4 * matrices]));
  return Math.max(
    1,
    Math.min(mostStates, Math.floor(stateBytes / all), Math.floor(gpu.bindingLimit / largest) - besides),
  );
}
