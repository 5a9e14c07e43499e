/**
 * A decoder with its weights on the GPU.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { MatmulPlans } from '../ops/matmul-plans.ts';
import type { Probes } from '../ops/probes.ts';
import type { RopeTable } from '../ops/rope.ts';
import { tensorId } from '../random/philox.ts';
import { allocateState, layOutState, type StateLayout } from '../tensor/state.ts';
import { destroyWeight, shapeOf, type Weight } from '../tensor/weight.ts';
import type { StorageWish } from '../weights/index.ts';
import { alibiSlopes } from './alibi.ts';
import { type Alibi, alibisOf, type Decoder, rotationsOf } from './decoder.ts';
import { fixedUpTo } from './rope-rules.ts';
import { type RopePosition, ropeTable } from './rope-table.ts';

/** What a model is made of. */
export interface ModelParts {
  /** Where its files lie. */
  directory: string;
  decoder: Decoder;
  /** The 2-D weights by the checkpoint's names. */
  weights: ReadonlyMap<string, Weight>;
  /** The 1-D parameters as loaded, by the checkpoint's names. */
  vectors: ReadonlyMap<string, Float32Array>;
  /** Identifies the checkpoint's content. */
  fingerprint: string;
  /** The choice of a storage type that gives these weights, on any adapter where it is not `auto`. */
  storage: StorageWish;
  /** Plans of matrix products. */
  plans?: MatmulPlans;
}

export class Model {
  readonly gpu: Gpu;
  readonly directory: string;
  readonly decoder: Decoder;
  readonly weights: ReadonlyMap<string, Weight>;
  readonly vectors: ReadonlyMap<string, Float32Array>;
  readonly ropeTables: ReadonlyMap<RopePosition, RopeTable>;
  readonly alibiSlopes: ReadonlyMap<Alibi, GpuBuffer>;
  /** Set by who loads the model, with the last of its weights, and the same from then on. */
  fingerprint: string;
  readonly storage: StorageWish;
  readonly parameterCount: number;
  /** Plans of matrix products: set by who loads the model, and the same from then on. */
  plans: MatmulPlans;
  readonly #layout: StateLayout;
  readonly #state: GpuBuffer;
  #users = 1;

  /** Takes over the weights, which are destroyed with the model. */
  constructor(gpu: Gpu, { directory, decoder, weights, vectors, fingerprint, storage, plans = new Map() }: ModelParts) {
    this.gpu = gpu;
    this.directory = directory;
    this.decoder = decoder;
    this.weights = weights;
    this.vectors = vectors;
    this.fingerprint = fingerprint;
    this.storage = storage;
    this.plans = plans;
    let parameters = 0;
    for (const weight of weights.values()) {
      const [rows, columns] = shapeOf(weight);
      parameters += rows * columns;
    }
    for (const vector of vectors.values()) parameters += vector.length;
    this.parameterCount = parameters;
    this.#layout = layOutState(
      [...vectors].map(([name, values]) => ({
        name,
        kind: 'vector',
        length: values.length,
        tensor: tensorId(name),
        trains: false,
      })),
    );
    this.#state = allocateState(gpu, this.#layout, 'vectors');
    for (const entry of this.#layout.entries) this.#state.write(vectors.get(entry.name)!, entry.offset * 4);
    this.ropeTables = new Map(rotationsOf(decoder).map((rotation) => [rotation, this.#uploadTable(rotation)]));
    this.alibiSlopes = new Map(alibisOf(decoder).map((alibi) => [alibi, this.#uploadSlopes(alibi)]));
  }

  #uploadTable(rotation: RopePosition): RopeTable {
    const { rotaryWidth, interleaved = false } = rotation;
    // Longer sequences than these come with tables of their own, see uploadPositions.
    const positions = Math.ceil(Math.min(this.decoder.contextLength, fixedUpTo(rotation.scaling)));
    const table = ropeTable(positions, rotation);
    const buffer = this.gpu.allocate(table.byteLength, 'weights', 'rotary table');
    buffer.write(table);
    return { buffer, rotaryWidth, interleaved };
  }

  #uploadSlopes(alibi: Alibi): GpuBuffer {
    const slopes = alibiSlopes(alibi);
    const buffer = this.gpu.allocate(slopes.byteLength, 'weights', 'slopes of attention');
    buffer.write(slopes);
    return buffer;
  }

  /** A weight by its tensor's name. */
  weight(name: string): Weight {
    const weight = this.weights.get(name);
    if (!weight) throw new Error(`the model has no weight "${name}"`);
    return weight;
  }

  /** Plain inference: one probe, no change. */
  get plainProbes(): Probes {
    return {
      count: 1,
      state: this.#state,
      stateStride: 0,
      factors: new Map(),
      weightScale: 1,
      vectors: new Map(this.#layout.entries.map((entry) => [entry.name, entry.offset])),
    };
  }

  /** Bytes of all weights on the GPU. */
  get weightBytes(): number {
    let sum = this.#state.size;
    for (const { buffer } of this.ropeTables.values()) sum += buffer.size;
    for (const { size } of this.alibiSlopes.values()) sum += size;
    const parts = [...this.weights.values()].flatMap((weight) => weight.parts);
    for (const { size } of new Set(parts.map(({ buffer }) => buffer.whole))) sum += size;
    return sum;
  }

  /** One more user of the same memory, who calls {@link destroy} too; none of them may write the weights. */
  share(): Model {
    this.#users++;
    return this;
  }

  /** Frees the memory when its last user is done with it. */
  destroy(): void {
    if (--this.#users > 0) return;
    for (const weight of this.weights.values()) destroyWeight(weight);
    for (const { buffer } of this.ropeTables.values()) buffer.destroy();
    for (const buffer of this.alibiSlopes.values()) buffer.destroy();
    this.#state.destroy();
  }
}
