/**
 * Adapter tensors under SubZero: each, seen as its most-square matrix or as it is, is T + μ U S Vᵀ within a period, as
 * a weight of the model is. The tensors are small, so they are made in full for every probe, and the forward pass reads
 * them there.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { recordFactoredTensor } from '../ops/factored-tensor.ts';
import type { Probes } from '../ops/probes.ts';
import { allocateState, layOutState } from '../tensor/state.ts';
import { type AdapterTensor, adapterEntries } from '../tuning/adapter.ts';
import type { CarriedBuffer } from './carried-state.ts';
import type { Subspace } from './subspace.ts';

const madeLabel = "adapter tensors of a step's probes";

/** A tensor with the change of the matrix that it is seen as. */
export type FactoredTensor = AdapterTensor & { subspace: Subspace };

/** The S matrices of some probes, in a state that may be perturbed. */
interface ProbeStates {
  state: GpuBuffer;
  count: number;
  /** Elements from one state to the next. */
  stride: number;
}

export class FactoredAdapters {
  readonly #gpu: Gpu;
  readonly #size: number;
  readonly #offsets: ReadonlyMap<string, number>;
  /** T, laid out as the tensors of one probe. */
  readonly #base: GpuBuffer;
  readonly #current: GpuBuffer;
  #made: GpuBuffer;
  readonly #tensors: readonly FactoredTensor[];

  /** @param probesAtOnce most probes of a {@link make} */
  constructor(gpu: Gpu, tensors: readonly FactoredTensor[], probesAtOnce: number) {
    this.#gpu = gpu;
    this.#tensors = tensors;
    const layout = layOutState(adapterEntries(tensors));
    this.#size = layout.size;
    this.#offsets = new Map(layout.entries.map(({ name, offset }) => [name, offset]));
    this.#base = allocateState(gpu, layout, 'adapter tensors');
    for (const { name, values } of tensors) this.#base.write(values, this.#offsets.get(name)! * 4);
    this.#current = allocateState(gpu, layout, 'adapter tensors with their change');
    this.#made = allocateState(gpu, layout, madeLabel, probesAtOnce);
  }

  /** Bytes of the tensors of one probe. */
  get probeBytes(): number {
    return this.#size * 4;
  }

  /** Holds the tensors of so many probes at the same time. */
  reserveProbes(count: number): void {
    if (count * this.probeBytes === this.#made.size) return;
    // What is recorded may mention the old buffer.
    this.#gpu.recorder.submit();
    this.#made.destroy();
    this.#made = this.#gpu.allocate(count * this.probeBytes, 'state', madeLabel);
  }

  /** Bytes of the tensors; U, V and S are the caller's. */
  get bytes(): number {
    return this.#base.size + this.#current.size + this.#made.size;
  }

  /**
   * Records the tensors of some probes.
   * @param baseScale factor on T: the weight decay since the last fold
   */
  make(states: ProbeStates, baseScale: number): NonNullable<Probes['made']> {
    return this.#make(states, baseScale, this.#made);
  }

  /** Records the tensors as they stand; apart from those of {@link make}. */
  makeCurrent(state: GpuBuffer, baseScale: number): NonNullable<Probes['made']> {
    return { ...this.#make({ state, count: 1, stride: 0 }, baseScale, this.#current), stride: 0 };
  }

  /** Records T ← T + μ U S Vᵀ; the caller zeroes S. */
  fold(state: GpuBuffer, baseScale: number): void {
    this.makeCurrent(state, baseScale);
    this.#gpu.recorder.copy(this.#current, 0, this.#base, 0, this.#base.size);
  }

  /** What folds write. */
  carried(): CarriedBuffer[] {
    return [{ name: 'adapter tensors', buffer: this.#base }];
  }

  /** The tensors as they stand, by name. */
  async values(state: GpuBuffer, baseScale: number): Promise<Map<string, Float32Array>> {
    this.makeCurrent(state, baseScale);
    const data = await this.#gpu.recorder.read(
      this.#tensors.map(({ name, values }) => {
        return { buffer: this.#current, offset: this.#offsets.get(name)! * 4, bytes: values.byteLength };
      }),
    );
    return new Map(this.#tensors.map(({ name }, index) => [name, new Float32Array(data[index]!)]));
  }

  #make({ state, count, stride }: ProbeStates, baseScale: number, made: GpuBuffer): NonNullable<Probes['made']> {
    const tensors = { base: this.#base, baseScale, made, madeStride: this.#size };
    for (const { name, subspace } of this.#tensors) {
      const place = { ...subspace, offset: this.#offsets.get(name)! };
      recordFactoredTensor(this.#gpu, place, { state, count, stride }, tensors);
    }
    return { buffer: made, stride: this.#size, offsets: this.#offsets };
  }

  destroy(): void {
    for (const buffer of [this.#base, this.#current, this.#made]) buffer.destroy();
  }
}
