/**
 * A workspace without memory, which finds out how much of it passes take: record them under `Recorder.rehearse` with
 * this one.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import { type Activation, Workspace } from './workspace.ts';

export class SizingWorkspace extends Workspace {
  readonly #rows: number;
  readonly #columns = new Map<Activation, number>();
  /** Columns of the buffers that are free. */
  readonly #unused: number[] = [];
  /** Columns of all buffers. */
  #all = 0;

  /** @param rows what the workspace would be reserved for */
  constructor(gpu: Gpu, rows: number) {
    super(gpu);
    this.#rows = rows;
    this.reserve(rows);
  }

  override take(rows: number, columns: number): Activation {
    // The same choice as in a workspace: the smallest buffer that is free and large enough.
    const fitting = this.#unused.filter((size) => size >= columns);
    const size = fitting.length > 0 ? Math.min(...fitting) : columns;
    if (fitting.length > 0) this.#unused.splice(this.#unused.indexOf(size), 1);
    else this.#all += columns;
    const activation = { buffer: this.gpu.unused, rows, columns };
    this.#columns.set(activation, size);
    return activation;
  }

  override give(...activations: Activation[]): void {
    for (const activation of activations) {
      this.#unused.push(this.#columns.get(activation)!);
      this.#columns.delete(activation);
    }
  }

  /** Bytes that a workspace would hold now. */
  override get bytes(): number {
    return this.#rows * this.#all * 4;
  }
}
