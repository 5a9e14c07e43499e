/**
 * The setting of one kernel case: buffers with random inputs, outputs poisoned with NaN, and probes.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { OperationContext } from '../ops/context.ts';
import { type FactorStorage, factorValues, packFactors } from '../ops/factors.ts';
import { factorWidth, type LowRankFactors, type Probes, paddedRank } from '../ops/probes.ts';
import { allocateWeight, type Weight } from '../tensor/weight.ts';
import { type Activation, Workspace } from '../tensor/workspace.ts';
import { rowBytes } from '../weights/index.ts';
import type { Random } from './random.ts';
import type { StoredMatrix } from './storage.ts';

/** Rows after the end of every activation, which nothing may write. */
const guardRows = 3;

/** A quiet NaN with a payload, which tells a NaN that a kernel made from one that a kernel left untouched. */
export const poisonBits = 0x7fc0_dead;

/** A workspace whose buffers are filled with NaN at every take. */
class PoisonedWorkspace extends Workspace {
  readonly #poison: (buffer: GpuBuffer) => void;

  constructor(gpu: Gpu, poison: (buffer: GpuBuffer) => void) {
    super(gpu);
    this.#poison = poison;
  }

  override take(rows: number, columns: number): Activation {
    const activation = super.take(rows, columns);
    this.#poison(activation.buffer);
    return activation;
  }
}

/** The low-rank change of a weight as the reference sees it; all matrices are row-major. */
export interface ReferenceFactors {
  /** How all of them are stored. */
  storage: FactorStorage;
  rank: number;
  scale: number;
  /** [weight rows, rank] */
  u: Float32Array;
  /** [rank, weight columns] */
  vTransposed: Float32Array;
  /** S [rank, rank] of each probe. */
  s: Float32Array[];
  /** A [weight rows, rank] and B [rank, weight columns] of a bank, whose rank is a multiple of 4. */
  bank?: { rank: number; a: Float32Array; b: Float32Array };
}

/** The probes of a case before their upload. */
export interface ProbePlan {
  count: number;
  /** 1-D parameters: one array per probe. */
  vectors?: Readonly<Record<string, readonly Float32Array[]>>;
  /** Adapter tensors, which start at whole quads: one array per probe. */
  aligned?: Readonly<Record<string, readonly Float32Array[]>>;
  factors?: Readonly<Record<string, ReferenceFactors>>;
  weightScale?: number;
}

export class Bed {
  readonly gpu: Gpu;
  readonly random: Random;
  readonly workspace: Workspace;
  readonly #buffers: GpuBuffer[] = [];
  #poisonSource: GpuBuffer | undefined;

  /**
   * Whether activations are filled with NaN when they are taken; a benchmark turns this off once the case is checked.
   */
  poisoning = true;

  constructor(gpu: Gpu, random: Random) {
    this.gpu = gpu;
    this.random = random;
    this.workspace = new PoisonedWorkspace(gpu, (buffer) => {
      if (this.poisoning) this.poison(buffer);
    });
  }

  /** Allocates a buffer of this case. */
  allocate(bytes: number, label: string): GpuBuffer {
    const buffer = this.gpu.allocate(bytes, 'scratch', label);
    this.#buffers.push(buffer);
    return buffer;
  }

  /** Allocates a buffer with this content. */
  upload(data: ArrayBufferView, label = 'input'): GpuBuffer {
    const buffer = this.allocate(data.byteLength, label);
    write(buffer, data);
    return buffer;
  }

  /** Uploads an f32 matrix as an activation. */
  activation(data: Float32Array, rows: number, columns: number): Activation {
    return { buffer: this.upload(data), rows, columns };
  }

  /** Fills a buffer with NaN, in order with the recorded work. */
  poison(buffer: GpuBuffer): void {
    if (!this.#poisonSource || this.#poisonSource.size < buffer.size) {
      this.#poisonSource = this.upload(new Uint32Array(buffer.size / 4).fill(poisonBits), 'poison');
    }
    this.gpu.recorder.copy(this.#poisonSource, 0, buffer, 0, buffer.size);
  }

  /** Reserves room for activations of at most `rows` rows. */
  reserve(rows: number): void {
    this.workspace.reserve(rows + guardRows);
  }

  /** Uploads a stored matrix as a weight of `parts` buffers; by default as many as the device's bindings require. */
  weight(name: string, matrix: StoredMatrix, parts?: number): Weight {
    const { rows, columns, storage, bits } = matrix;
    const bytes = new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
    const width = rowBytes(storage, columns);
    let weight: Weight;
    if (parts === undefined) {
      weight = allocateWeight(this.gpu, name, rows, columns, storage);
      for (const { buffer } of weight.parts) this.#buffers.push(buffer);
    } else {
      weight = { name, rows, columns, storage, parts: [] };
      const perPart = Math.ceil(rows / parts);
      for (let rowStart = 0; rowStart < rows; rowStart += perPart) {
        const rowCount = Math.min(perPart, rows - rowStart);
        const buffer = this.allocate(rowCount * rowBytes(storage, columns), name);
        weight.parts.push({ buffer, rowStart, rowCount });
      }
    }
    for (const { buffer, rowStart, rowCount } of weight.parts) {
      write(buffer, bytes.subarray(rowStart * width, (rowStart + rowCount) * width));
    }
    return weight;
  }

  /** Random factors for the change of a weight of this shape, which the storage holds exactly. */
  referenceFactors(
    rows: number,
    columns: number,
    rank: number,
    probes: number,
    bank = 0,
    storage: FactorStorage = 'f32',
  ): ReferenceFactors {
    const normals = (count: number, scale: number): Float32Array =>
      factorValues(storage, packFactors(storage, this.random.normals(count, scale)));
    const a = normals(rows * bank, 1 / Math.sqrt(Math.max(1, bank)));
    const b = normals(bank * columns, 1 / Math.sqrt(columns));
    return {
      ...(bank > 0 ? { bank: { rank: bank, a, b } } : {}),
      storage,
      rank,
      scale: 0.5 + this.random.uniform(),
      u: normals(rows * rank, 1 / Math.sqrt(rank)),
      vTransposed: normals(rank * columns, 1 / Math.sqrt(columns)),
      s: Array.from({ length: probes }, () => this.random.normals(rank * rank, 1 / Math.sqrt(rank))),
    };
  }

  /** Makes a context with the probes of a plan. The gaps between parameters in the state are NaN. */
  context(plan: ProbePlan): OperationContext {
    const pieces: { offset: number; data: readonly Float32Array[] }[] = [];
    let length = 0;
    // The gaps are odd, because nothing may rely on where a parameter starts.
    const place = (data: readonly Float32Array[], unit = 1): number => {
      const offset = Math.ceil((length + this.random.integer(0, 5)) / unit) * unit;
      pieces.push({ offset, data });
      length = offset + data[0]!.length;
      return offset;
    };
    const vectors = new Map<string, number>();
    for (const [name, data] of Object.entries(plan.vectors ?? {})) vectors.set(name, place(data));
    for (const [name, data] of Object.entries(plan.aligned ?? {})) vectors.set(name, place(data, 4));
    const factors = new Map<string, LowRankFactors>();
    const v = this.#uploadV(plan.factors ?? {});
    for (const [name, { rank, scale, u, s, bank, storage }] of Object.entries(plan.factors ?? {})) {
      const banked = bank ? { bank: bank.rank } : {};
      const width = factorWidth({ rank, ...banked });
      const rows = u.length / rank;
      const paddedU = new Float32Array(rows * width);
      for (let row = 0; row < rows; row++) {
        paddedU.set(u.subarray(row * rank, (row + 1) * rank), row * width);
        if (bank) paddedU.set(bank.a.subarray(row * bank.rank, (row + 1) * bank.rank), row * width + paddedRank(rank));
      }
      const places = { u: this.upload(packFactors(storage, paddedU), 'U'), ...v.get(name)!, stateOffset: place(s) };
      factors.set(name, { rank, scale, ...banked, storage, ...places });
    }
    const slack = length + this.random.integer(0, 7);
    const stateStride = plan.aligned ? Math.ceil(slack / 4) * 4 : slack;
    const state = new Float32Array(Math.max(1, plan.count * stateStride)).fill(Number.NaN);
    for (const { offset, data } of pieces) {
      for (let probe = 0; probe < plan.count; probe++) state.set(data[probe]!, probe * stateStride + offset);
    }
    const probes: Probes = {
      count: plan.count,
      state: this.upload(state, 'state'),
      stateStride,
      factors,
      weightScale: plan.weightScale ?? 1,
      vectors,
    };
    return { gpu: this.gpu, workspace: this.workspace, probes };
  }

  /**
   * Stacks the Vᵀ of weights with the same number of columns, as for weights that read the same input; the rows above
   * are NaN.
   */
  #uploadV(
    factors: Readonly<Record<string, ReferenceFactors>>,
  ): Map<string, Pick<LowRankFactors, 'vTransposed' | 'vRow'>> {
    const stacks = new Map<
      number,
      { name: string; row: number; data: Float32Array; bank: Float32Array | undefined }[]
    >();
    const ends = new Map<number, number>();
    for (const [name, { rank, vTransposed: data, bank }] of Object.entries(factors)) {
      const columns = data.length / rank;
      const row = ends.get(columns) ?? 4 * this.random.integer(0, 2);
      stacks.set(columns, [...(stacks.get(columns) ?? []), { name, row, data, bank: bank?.b }]);
      ends.set(columns, row + factorWidth({ rank, bank: bank?.rank ?? 0 }));
    }
    const places = new Map<string, Pick<LowRankFactors, 'vTransposed' | 'vRow'>>();
    for (const [columns, members] of stacks) {
      const all = new Float32Array(ends.get(columns)! * columns);
      all.fill(Number.NaN, 0, members[0]!.row * columns);
      for (const { row, data, bank } of members) {
        all.set(data, row * columns);
        if (bank) all.set(bank, (row + paddedRank(data.length / columns)) * columns);
      }
      // Factors of one input are stored alike.
      const storage = factors[members[0]!.name]!.storage;
      const vTransposed = this.upload(packFactors(storage, all), 'V');
      for (const { name, row } of members) places.set(name, { vTransposed, vRow: row });
    }
    return places;
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
    this.#buffers.length = 0;
    this.#poisonSource = undefined;
    this.workspace.destroy();
  }
}

/** Uploads any array; a 16-bit array of odd length is padded to whole words. */
function write(buffer: GpuBuffer, data: ArrayBufferView): void {
  if (data.byteLength % 4 === 0) {
    buffer.write(data);
    return;
  }
  const padded = new Uint8Array(Math.ceil(data.byteLength / 4) * 4);
  padded.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  buffer.write(padded);
}
