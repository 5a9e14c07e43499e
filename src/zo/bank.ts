/**
 * The changes of past periods beside weights that stay as they are: ΔW = A B of a limited rank. A lies in the columns
 * of a weight's U behind those of the period, B in the rows of its V below, so that the forward pass reads them in the
 * launches that it has.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { factorBytes, factorValues, packFactors } from '../ops/factors.ts';
import { factorWidth, type LowRankFactors, paddedRank } from '../ops/probes.ts';
import { shapeOf, type Weight } from '../tensor/weight.ts';
import { balanced, type LowRank, nearestOfRank, squaredNorm } from './low-rank.ts';

/** A weight with its factors, among whose columns the bank's are. */
export interface BankedWeight {
  weight: Weight;
  factors: LowRankFactors;
}

/** What a bank has lost by its limit. */
export interface BankLoss {
  /** ‖dropped‖ / ‖kept‖ over all weights and periods. */
  droppedShare: number;
}

export class Bank {
  readonly #gpu: Gpu;
  readonly #rank: number;
  readonly #weights: readonly BankedWeight[];
  /** Terms of each weight's bank. */
  readonly #used: Map<string, number>;
  /** Squared norm of each weight's change. */
  readonly #kept = new Map<string, number>();
  #dropped = 0;

  /** @param rank most terms of a weight's bank */
  constructor(gpu: Gpu, rank: number, weights: readonly BankedWeight[]) {
    this.#gpu = gpu;
    this.#rank = rank;
    this.#weights = weights;
    this.#used = new Map(weights.map(({ weight }) => [weight.name, 0]));
  }

  /** What has been dropped so far; `undefined` before a period has ended. */
  get loss(): BankLoss | undefined {
    if (this.#kept.size === 0) return undefined;
    const kept = [...this.#kept.values()].reduce((sum, square) => sum + square, 0);
    return { droppedShare: this.#dropped === 0 ? 0 : Math.sqrt(this.#dropped / kept) };
  }

  /** What the bank knows beside the factors: what was dropped, then terms and squared norm (−1: none yet) of each. */
  get numbers(): number[] {
    const each = this.#weights.flatMap(({ weight: { name } }) => [this.#used.get(name)!, this.#kept.get(name) ?? -1]);
    return [this.#dropped, ...each];
  }

  set numbers([dropped, ...each]: readonly number[]) {
    this.#dropped = dropped!;
    for (const [index, { weight }] of this.#weights.entries()) {
      const [used, kept] = [each[2 * index]!, each[2 * index + 1]!];
      this.#used.set(weight.name, used);
      if (kept < 0) this.#kept.delete(weight.name);
      else this.#kept.set(weight.name, kept);
    }
  }

  /**
   * Takes the change of a period in, and leaves zeros where its U was. Terms are added while there is room; then the
   * nearest product of the highest rank stays.
   * @param state holds S, which the caller clears
   * @param bankScale factor on the bank's terms
   */
  async take(state: GpuBuffer, bankScale = 1): Promise<void> {
    for (const { weight, factors } of this.#weights) {
      const change = await this.change({ weight, factors }, state, bankScale);
      const most = Math.min(this.#rank, ...shapeOf(weight));
      if (change.left.length <= most) {
        this.#kept.set(weight.name, squaredNorm(change));
        this.#write({ weight, factors }, change);
        continue;
      }
      const { kept, dropped, ...nearest } = nearestOfRank(change, most);
      this.#kept.set(weight.name, kept);
      this.#dropped += dropped;
      this.#write({ weight, factors }, nearest);
    }
  }

  /**
   * The bank's terms of a weight times `bankScale`, and behind them those of the period, U S Vᵀ times their scale; over
   * rows and columns as they are stored.
   */
  async change({ weight, factors }: BankedWeight, state: GpuBuffer, bankScale = 1): Promise<LowRank> {
    const { rank, scale, vRow, storage = 'f32' } = factors;
    const unit = factorBytes[storage];
    const { rows, columns } = weight;
    const width = factorWidth(factors);
    const [u, s, v] = await this.#gpu.recorder.read([
      { buffer: factors.u, bytes: rows * width * unit },
      { buffer: state, offset: factors.stateOffset * 4, bytes: rank * rank * 4 },
      { buffer: factors.vTransposed, offset: vRow * columns * unit, bytes: columns * width * unit },
    ]);
    const [left, core, right] = [
      factorValues(storage, new Uint8Array(u!)),
      new Float32Array(s!),
      factorValues(storage, new Uint8Array(v!)),
    ];
    const rowOf = (row: number): Float64Array => Float64Array.from(right.subarray(row * columns, (row + 1) * columns));
    const start = paddedRank(rank);
    const banked = Array.from({ length: this.#used.get(weight.name)! }, (_, index) => start + index);
    return {
      left: [
        ...banked.map((column) =>
          Float64Array.from({ length: rows }, (_, row) => bankScale * left[row * width + column]!),
        ),
        ...Array.from({ length: rank }, (_, b) =>
          Float64Array.from({ length: rows }, (__, row) => {
            let sum = 0;
            for (let a = 0; a < rank; a++) sum += left[row * width + a]! * core[a * rank + b]!;
            return scale * sum;
          }),
        ),
      ],
      right: [...banked.map(rowOf), ...Array.from({ length: rank }, (_, b) => rowOf(b))],
    };
  }

  /**
   * Uploads the terms of a weight, in f16 with both sides of each equally large; the columns of U before them are zeros
   * then.
   */
  #write({ weight, factors }: BankedWeight, terms: LowRank): void {
    const { rows, columns } = weight;
    const { storage = 'f32' } = factors;
    const { left, right } = storage === 'f32' ? terms : balanced(terms);
    const width = factorWidth(factors);
    const start = paddedRank(factors.rank);
    const a = new Float32Array(rows * width);
    const b = new Float32Array((width - start) * columns);
    for (const [index, column] of left.entries()) {
      for (let row = 0; row < rows; row++) a[row * width + start + index] = column[row]!;
      b.set(right[index]!, index * columns);
    }
    factors.u.write(packFactors(storage, a));
    factors.vTransposed.write(packFactors(storage, b), (factors.vRow + start) * columns * factorBytes[storage]);
    this.#used.set(weight.name, left.length);
  }
}
