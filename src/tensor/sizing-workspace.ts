/**
 * A workspace without memory, which finds out how much of it a pass takes: record the pass under `Recorder.rehearse` with this one.
 *
 * @module
 */

import { type Activation, Workspace } from './workspace.ts';

export class SizingWorkspace extends Workspace {
  readonly #columns = new Map<Activation, number>();
  /** Columns of the buffers that are free. */
  readonly #unused: number[] = [];
  /** Columns of all buffers: the bytes of a {@link Workspace} are four times this for each reserved row. */
  columns = 0;

  override take(rows: number, columns: number): Activation {
    // The same choice as in a workspace: the smallest buffer that is free and large enough.
    const fitting = this.#unused.filter((size) => size >= columns);
    const size = fitting.length > 0 ? Math.min(...fitting) : columns;
    if (fitting.length > 0) this.#unused.splice(this.#unused.indexOf(size), 1);
    else this.columns += columns;
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
}
