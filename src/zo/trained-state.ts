/**
 * The exact part of what trains: the 1-D parameters, and for factored optimisers every S matrix, in one f32 buffer,
 * with the noise of a step's probes on it.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Model } from '../model/model.ts';
import type { DirectionKind, ProbePoint, Probes } from '../ops/probes.ts';
import {
  type AdamRates,
  recordPerturbation,
  recordStateAdam,
  recordStateUpdate,
  type StateOfStep,
  type UpdateCoefficients,
} from '../ops/state.ts';
import { tensorId } from '../random/philox.ts';
import { allocateState, layOutState, type PlacedStateEntry, type StateEntry, stateBlock } from '../tensor/state.ts';
import { type AdapterTensor, adapterEntries } from '../tuning/adapter.ts';
import type { Tuning } from '../tuning/tuning.ts';
import { checkState } from './binding-limits.ts';
import { probeTable } from './probe-points.ts';

/** Most bytes of the states of the probes that are in memory at the same time. */
const perturbedBytes = 256 * 1024 * 1024;

export interface TrainedStateOptions {
  /** 1-D parameters with their values at the start. */
  vectors: ReadonlyMap<string, Float32Array>;
  /** Tensors that a scheme adds, where they train as they are. */
  adapters?: readonly AdapterTensor[];
  /** Bytes that a probe takes in a buffer elsewhere, which has the same limits. */
  otherBytes?: number;
  /** S matrices and the like, after everything else. */
  factors?: readonly { name: string; length: number }[];
  /** All points of a step. */
  points: readonly ProbePoint[];
  seed: readonly [number, number];
  direction: DirectionKind;
  /** Begin with the state of one probe in memory, where {@link TrainedState.reserveProbes} follows. */
  lean?: boolean;
}

export class TrainedState {
  readonly #gpu: Gpu;
  readonly #seed: readonly [number, number];
  readonly #direction: DirectionKind;
  readonly #blocks: GpuBuffer;
  readonly points: readonly ProbePoint[];
  /** (scale, query) per point. */
  readonly pointTable: GpuBuffer;
  readonly entries: readonly PlacedStateEntry[];
  /** Elements of one state. */
  readonly size: number;
  /** Blocks of one state; a workgroup takes one. */
  readonly blockCount: number;
  /** The parameters as they stand. */
  readonly buffer: GpuBuffer;
  #perturbed: GpuBuffer;
  #probesAtOnce: number;
  readonly #otherBytes: number;
  /** Offsets of the 1-D parameters and adapter tensors by name. */
  readonly vectors: ReadonlyMap<string, number>;

  /** Starts with the values of the 1-D parameters and adapter tensors, and zeros elsewhere. */
  constructor(gpu: Gpu, options: TrainedStateOptions) {
    const {
      vectors: plain,
      adapters = [],
      factors = [],
      otherBytes = 0,
      points,
      seed,
      direction,
      lean = false,
    } = options;
    this.#otherBytes = otherBytes;
    this.#gpu = gpu;
    this.#seed = seed;
    this.#direction = direction;
    this.points = points;
    const layout = layOutState([
      ...[...plain].map(([name, { length }]): StateEntry => {
        return { name, kind: 'vector', length, tensor: tensorId(name), trains: true };
      }),
      ...adapterEntries(adapters),
      ...factors.map(({ name, length }): StateEntry => {
        return { name, kind: 'factor', length, tensor: tensorId(name), trains: true };
      }),
    ]);
    checkState(gpu, Math.max(layout.size * 4, otherBytes));
    this.entries = layout.entries;
    this.size = layout.size;
    this.blockCount = layout.size / stateBlock;
    const vectors = layout.entries.filter(({ kind }) => kind !== 'factor');
    this.vectors = new Map(vectors.map(({ name, offset }) => [name, offset]));
    this.#probesAtOnce = lean ? 1 : this.#mostProbes;
    this.buffer = allocateState(gpu, layout, 'S and vectors');
    const start = new Map([...plain, ...adapters.map(({ name, values }) => [name, values] as const)]);
    for (const { name, offset } of vectors) this.buffer.write(start.get(name)!, offset * 4);
    this.#perturbed = allocateState(gpu, layout, 'perturbed state', this.#probesAtOnce);
    this.#blocks = gpu.allocate(layout.blocks.byteLength, 'state', 'state blocks');
    this.#blocks.write(layout.blocks);
    const table = probeTable(points);
    this.pointTable = gpu.allocate(table.byteLength, 'state', 'probe table');
    this.pointTable.write(table);
  }

  /** The parameters as the probes of the last {@link perturb} see them. */
  get perturbed(): GpuBuffer {
    return this.#perturbed;
  }

  /** Most probes of one {@link perturb}. */
  get probesAtOnce(): number {
    return this.#probesAtOnce;
  }

  get #mostProbes(): number {
    const bytes = Math.max(this.probeBytes, this.#otherBytes);
    const most = Math.floor(Math.min(perturbedBytes, this.#gpu.bindingLimit) / bytes);
    return Math.max(1, Math.min(this.points.length, most));
  }

  /** Holds the states of so many probes at the same time, or as many as there are or fit. */
  reserveProbes(count: number): void {
    const probes = Math.min(count, this.#mostProbes);
    if (probes === this.#probesAtOnce) return;
    // What is recorded may mention the old buffer.
    this.#gpu.recorder.submit();
    this.#perturbed.destroy();
    this.#probesAtOnce = probes;
    this.#perturbed = this.#gpu.allocate(probes * this.probeBytes, 'state', 'perturbed state');
  }

  /** Bytes of the state of one probe. */
  get probeBytes(): number {
    return this.size * 4;
  }

  /** Bytes held by states. */
  get bytes(): number {
    return this.buffer.size + this.perturbed.size;
  }

  /** Bytes of the tables beside them. */
  get tableBytes(): number {
    return this.#blocks.size + this.pointTable.size;
  }

  /** Records zeros for all factors, here or in a buffer laid out alike; they lie behind everything else. */
  clearFactors(buffer = this.buffer, copy = 0): void {
    const start = this.entries.find(({ kind }) => kind === 'factor')?.offset ?? this.size;
    if (start === this.size) return;
    this.#gpu.recorder.clear(buffer, (copy * this.size + start) * 4, (this.size - start) * 4);
  }

  /**
   * Records the state as some points of a step see it.
   * @param shape what the direction depends on, see kernels/zo/perturb.wgsl
   */
  perturb(step: number, first: number, count: number, shape: GpuBuffer = this.#gpu.unused): void {
    if (count > this.probesAtOnce) throw new Error(`at most ${this.probesAtOnce} probes at once; ${count} asked`);
    recordPerturbation(this.#gpu, this.#atStep(step), {
      direction: this.#direction,
      shape,
      table: this.pointTable,
      perturbed: this.perturbed,
      first,
      count,
    });
  }

  /** Records state ← decay · state − Σ coefficient · direction; decay acts on factors only. */
  update(step: number, coefficients: UpdateCoefficients, shape: GpuBuffer = this.#gpu.unused): void {
    recordStateUpdate(this.#gpu, this.#atStep(step), coefficients, this.#direction, shape);
  }

  /** Records a step along running means of the gradient, see {@link recordStateAdam}. */
  updateByMeans(
    step: number,
    coefficients: UpdateCoefficients,
    rates: AdamRates,
    means: { units: GpuBuffer; moments: GpuBuffer; adaptive: boolean },
  ): void {
    recordStateAdam(this.#gpu, this.#atStep(step), coefficients, rates, means);
  }

  /** A buffer with one vector per block, of which kernels read the first number. */
  perBlock(label: string, numberOf: (entry: PlacedStateEntry) => number): GpuBuffer {
    const values = new Float32Array(this.blockCount * 4);
    for (const entry of this.entries) {
      const end = entry.offset + Math.ceil(entry.length / stateBlock) * stateBlock;
      const number = numberOf(entry);
      for (let block = entry.offset / stateBlock; block < end / stateBlock; block++) values[block * 4] = number;
    }
    const buffer = this.#gpu.allocate(values.byteLength, 'state', label);
    buffer.write(values);
    return buffer;
  }

  /** The 1-D parameters, or the adapter tensors, as they stand, by name. */
  async values(wanted: 'vector' | 'adapter'): Promise<Map<string, Float32Array>> {
    const vectors = this.entries.filter(({ kind }) => kind === wanted);
    const data = await this.#gpu.recorder.read(
      vectors.map(({ offset, length }) => ({ buffer: this.buffer, offset: offset * 4, bytes: length * 4 })),
    );
    return new Map(vectors.map(({ name }, index) => [name, new Float32Array(data[index]!)]));
  }

  destroy(): void {
    for (const buffer of [this.buffer, this.perturbed, this.#blocks, this.pointTable]) buffer.destroy();
  }

  #atStep(step: number): StateOfStep {
    return { state: this.buffer, blocks: this.#blocks, blockCount: this.blockCount, seed: this.#seed, step };
  }
}

/** The model's own copy of its 1-D parameters, where some of them do not train. */
export function frozenVectors(model: Model, { vectors }: Pick<Tuning, 'vectors'>): Probes['frozen'] {
  if ([...model.vectors.keys()].every((name) => vectors.has(name))) return undefined;
  const { state, vectors: places } = model.plainProbes;
  return { state, vectors: places };
}

/** Two tensors with the same identity would draw the same noise. */
export function checkIdentities(names: Iterable<string>): void {
  const seen = new Map<number, string>();
  for (const name of names) {
    const tensor = tensorId(name);
    const other = seen.get(tensor);
    if (other !== undefined) throw new Error(`the names "${other}" and "${name}" hash to the same tensor identity`);
    seen.set(tensor, name);
  }
}
