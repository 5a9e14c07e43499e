/**
 * A decoder with its weights on the GPU.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { parseJsonFile } from '../model-file.ts';
import type { MatmulPlans } from '../ops/matmul-plans.ts';
import { completePlans, knownPlans } from '../ops/matmul-tuner.ts';
import type { Probes } from '../ops/probes.ts';
import type { RopeTable } from '../ops/rope.ts';
import { join, readFile } from '../platform/index.ts';
import { gaussian, tensorId } from '../random/philox.ts';
import {
  bytesToF32,
  dtypeBytes,
  f32ToBytes,
  openModelWeights,
  type TensorEntry,
  type TensorSource,
} from '../safetensors/index.ts';
import { allocateState, layOutState, type StateLayout } from '../tensor/state.ts';
import {
  allocateWeight,
  destroyWeight,
  dtypeOfStorage,
  type Storage,
  storageBytes,
  type Weight,
} from '../tensor/weight.ts';
import { warn } from '../warn.ts';
import { refuseAdapterFiles } from './adapter-files.ts';
import { matchTensors } from './checkpoint-tensors.ts';
import { type DecoderConfiguration, parameterShapes, readConfiguration } from './configuration.ts';
import { rehearse } from './rehearse.ts';
import { fixedUpTo } from './rope-rules.ts';
import { ropeTable } from './rope-table.ts';

/** Bytes read from a weight file at a time; loading holds two or three such pieces, never a file. */
const readBytes = 16 * 1024 * 1024;

/** Longest rotary table made at load; longer contexts are cut to it (contextLength says so). */
const maxPositions = 131_072;

const storageOfDtype: Readonly<Record<string, Storage>> = { F64: 'f32', F32: 'f32', F16: 'f16', BF16: 'bf16' };

export interface LoadModelOptions {
  /** `auto`: as in the file on a GPU, f32 where its matrices differ; f32 on a software adapter, where widening at every read costs more than memory. */
  storage?: Storage | 'auto';
  /** Plans of matrix products that a run began with; those that are the fastest on this adapter by default. */
  plans?: MatmulPlans;
  /** Told how far loading has come, in bytes of the files. */
  onProgress?: (done: number, total: number) => void;
}

export class Model {
  readonly gpu: Gpu;
  readonly directory: string;
  readonly configuration: DecoderConfiguration;
  /** The 2-D weights by the checkpoint's names. */
  readonly weights: ReadonlyMap<string, Weight>;
  /** The 1-D parameters as loaded, by the checkpoint's names. */
  readonly vectors: ReadonlyMap<string, Float32Array>;
  readonly ropeTable: RopeTable | undefined;
  /** Identifies the checkpoint's content. */
  readonly fingerprint: string;
  readonly parameterCount: number;
  #plans: MatmulPlans = new Map();
  readonly #names = new Map<string, { weight: string; bias: string }>();
  readonly #layout: StateLayout;
  readonly #state: GpuBuffer;
  #users = 1;

  private constructor(
    gpu: Gpu,
    directory: string,
    configuration: DecoderConfiguration,
    weights: ReadonlyMap<string, Weight>,
    vectors: ReadonlyMap<string, Float32Array>,
    fingerprint: string,
  ) {
    this.gpu = gpu;
    this.directory = directory;
    this.configuration = configuration;
    this.weights = weights;
    this.vectors = vectors;
    this.fingerprint = fingerprint;
    let parameters = 0;
    for (const weight of weights.values()) parameters += weight.rows * weight.columns;
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
    const { position, contextLength } = configuration;
    if (position.kind === 'rope') {
      // Longer sequences than these come with tables of their own, see uploadPositions.
      const positions = Math.ceil(Math.min(contextLength, fixedUpTo(position.scaling)));
      const table = ropeTable(positions, position.rotaryWidth, position.theta, position.scaling);
      const buffer = gpu.allocate(table.byteLength, 'weights', 'rotary table');
      buffer.write(table);
      this.ropeTable = { buffer, rotaryWidth: position.rotaryWidth, interleaved: false };
    }
  }

  /**
   * Loads a Hugging Face style directory: config.json and model.safetensors (or its shards).
   *
   * @throws SubzeroError `not_found`, `invalid_data` or `unsupported` naming file and tensor, `out_of_memory` from the GPU
   */
  static async load(gpu: Gpu, directory: string, options: LoadModelOptions = {}): Promise<Model> {
    const given = await readConfigurationFile(directory);
    if (given.position.kind === 'rope') given.contextLength = Math.min(given.contextLength, maxPositions);
    await refuseAdapterFiles(directory);
    const source = await openModelWeights(directory);
    const weights = new Map<string, Weight>();
    const vectors = new Map<string, Float32Array>();
    let model: Model | undefined;
    try {
      const { configuration, parameters, warnings } = await matchTensors(directory, given, source);
      for (const warning of warnings) warn(warning);
      const total = parameters.reduce((sum, { stored }) => sum + stored.byteLength, 0);
      let done = 0;
      const matrixTypes = parameters.filter(({ shape }) => shape.length > 1).map(({ stored }) => stored.dtype);
      const storage = storageFor(options.storage ?? 'auto', gpu, matrixTypes);
      for (const { name, shape, stored } of parameters) {
        if (shape.length === 1) {
          vectors.set(name, bytesToF32(stored.dtype, await source.read(stored.name)));
        } else {
          weights.set(name, allocateWeight(gpu, name, shape[0]!, shape[1]!, storage));
        }
      }
      model = new Model(gpu, directory, configuration, weights, vectors, await source.fingerprint());
      // Compiles in other threads while the weights are read.
      model.#plans = options.plans ?? (await knownPlans(gpu));
      rehearse(model);
      for (const { name, stored } of parameters) {
        const weight = weights.get(name);
        if (weight) await upload(source, stored, weight);
        done += stored.byteLength;
        options.onProgress?.(done, total);
      }
      await gpu.checkAllocations();
      if (!options.plans) {
        model.#plans = await completePlans(gpu, model.#plans, weights.values());
        rehearse(model);
      }
      await gpu.checkKernels();
      return model;
    } catch (error) {
      if (model) model.destroy();
      else for (const weight of weights.values()) destroyWeight(weight);
      throw error;
    } finally {
      await source.close();
    }
  }

  /**
   * A model of a given shape with random weights, for benchmarks and tests that must not need a download. The same 4 MiB of normal
   * numbers (deviation 0.02) fill every matrix again and again; 1-D gains are 1, biases 0.
   */
  static async random(gpu: Gpu, config: Record<string, unknown>, storage: Storage, seed = 0): Promise<Model> {
    const configuration = readConfiguration(config, 'the given configuration');
    const block = Float32Array.from(
      gaussian(seed, { tensor: 0, step: 0, purpose: 0, query: 0 }, 1 << 20),
      (z) => 0.02 * z,
    );
    const bytes = f32ToBytes(dtypeOfStorage[storage], block);
    const weights = new Map<string, Weight>();
    const vectors = new Map<string, Float32Array>();
    try {
      for (const { name, shape } of parameterShapes(configuration)) {
        if (shape.length === 1) {
          const isBias = name.endsWith('.bias');
          // Biases of 0 are none; only OPT is timed with them.
          if (isBias && configuration.normKind === 'rms') continue;
          vectors.set(name, new Float32Array(shape[0]!).fill(isBias ? 0 : 1));
          continue;
        }
        const weight = allocateWeight(gpu, name, shape[0]!, shape[1]!, storage);
        weights.set(name, weight);
        for (const { buffer } of weight.parts) {
          for (let offset = 0; offset < buffer.size; offset += bytes.byteLength) {
            buffer.write(bytes.subarray(0, Math.min(bytes.byteLength, buffer.size - offset)), offset);
          }
        }
        await gpu.idle();
      }
      await gpu.checkAllocations();
      return new Model(gpu, 'random', configuration, weights, vectors, `random ${seed}`);
    } catch (error) {
      for (const weight of weights.values()) destroyWeight(weight);
      throw error;
    }
  }

  /** Names of the parameters of a layer, norm or table. Kept: text that is made anew is slow to look up, and a pass asks hundreds of times. */
  parameterNames(name: string): { weight: string; bias: string } {
    let names = this.#names.get(name);
    if (!names) {
      names = { weight: `${name}.weight`, bias: `${name}.bias` };
      this.#names.set(name, names);
    }
    return names;
  }

  /** The weight of a layer or table by its name without `.weight`. */
  weight(name: string): Weight {
    const weight = this.weights.get(this.parameterNames(name).weight);
    if (!weight) throw new Error(`the model has no weight "${name}"`);
    return weight;
  }

  /** Plans of matrix products, the same for as long as the model lives. */
  get plans(): MatmulPlans {
    return this.#plans;
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

  /** Type of the stored weights; all have the same. */
  get storage(): Storage {
    return this.weights.values().next().value!.storage;
  }

  /** Bytes of all weights on the GPU. */
  get weightBytes(): number {
    let sum = this.#state.size + (this.ropeTable?.buffer.size ?? 0);
    for (const weight of this.weights.values()) for (const part of weight.parts) sum += part.buffer.size;
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
    this.ropeTable?.buffer.destroy();
    this.#state.destroy();
  }
}

/** Reads and checks config.json of a model directory. */
export async function readConfigurationFile(directory: string): Promise<DecoderConfiguration> {
  const file = join(directory, 'config.json');
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw new SubzeroError(
      'not_found',
      `${directory} is not a model directory: config.json cannot be read (${(error as Error).message})`,
    );
  }
  const config = parseJsonFile(bytes, file);
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new SubzeroError('invalid_data', `${file} must hold a JSON object`);
  }
  return readConfiguration(config as Record<string, unknown>, file);
}

/** One type for all matrices: the files' own, or f32 where they differ, so that none loses bits. */
function storageFor(wish: Storage | 'auto', gpu: Gpu, dtypes: readonly string[]): Storage {
  if (wish !== 'auto') return wish;
  const [first, ...others] = new Set(dtypes);
  return gpu.adapter.software || others.length > 0 ? 'f32' : (storageOfDtype[first!] ?? 'f32');
}

async function upload(source: TensorSource, { name, dtype }: TensorEntry, weight: Weight): Promise<void> {
  const fileBytes = dtypeBytes[dtype];
  const same = dtypeOfStorage[weight.storage] === dtype;
  const rowsAtOnce = Math.max(1, Math.floor(readBytes / (weight.columns * fileBytes)));
  for (const part of weight.parts) {
    for (let row = 0; row < part.rowCount; row += rowsAtOnce) {
      const rows = Math.min(rowsAtOnce, part.rowCount - row);
      const offset = (part.rowStart + row) * weight.columns * fileBytes;
      const bytes = await source.read(name, offset, rows * weight.columns * fileBytes);
      const converted = same ? bytes : f32ToBytes(dtypeOfStorage[weight.storage], bytesToF32(dtype, bytes));
      part.buffer.write(converted, row * weight.columns * storageBytes[weight.storage]);
      // Uploads wait in memory until the queue has run.
      if (converted.byteLength >= readBytes / 2) await weight.parts[0]!.buffer.gpu.idle();
    }
  }
}
