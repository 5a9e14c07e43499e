/**
 * Loading a model from its directory. Readers of formats that few models have are imported where one has it.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { isGgufPath } from '../gguf/path.ts';
import { compilesAtLaunch } from '../gpu/device.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { parseJsonFile } from '../model-file.ts';
import type { MatmulPlans } from '../ops/matmul-plans.ts';
import { completePlans, knownPlans } from '../ops/matmul-tuner.ts';
import { join, readFile } from '../platform/index.ts';
import { quantizationKey } from '../quantized/key.ts';
import type { QuantizedFormat } from '../quantized/matrix.ts';
import { openModelWeights } from '../safetensors/index.ts';
import { elementsBefore, isPadded, type Layout, storedLength, withPads } from '../tensor/axis.ts';
import {
  allocateMatrices,
  destroyWeight,
  type MatrixToAllocate,
  shapeOf,
  type Weight,
  type WeightPart,
} from '../tensor/weight.ts';
import type { ModelSource, TensorSource } from '../tensor-source.ts';
import { warn } from '../warn.ts';
import {
  fileBytes,
  fitsRows,
  isBlocks,
  isPlain,
  repack,
  rowBytes,
  type Storage,
  type StorageWish,
  storageOfDtype,
  valuesOfBytes,
} from '../weights/index.ts';
import { withOwnBlocks, withoutOwnQuantization } from '../weights/own-blocks.ts';
import { refuseAdapterFiles } from './adapter-files.ts';
import { type MatchedTensor, matchTensors } from './checkpoint-tensors.ts';
import { readConfiguration } from './configuration.ts';
import { type Decoder, rotationsOf } from './decoder.ts';
import { inOrder, memberOf } from './matrix-source.ts';
import { Model } from './model.ts';
import { rehearse } from './rehearse.ts';

/** Bytes read from a weight file at a time; loading holds a few such pieces, never a file. */
const pieceBytes = 8 * 1024 * 1024;

/** Longest rotary tables made at load; longer contexts are cut to it (contextLength says so). */
const maxPositions = 131_072;

export interface LoadModelOptions {
  /**
   * `auto`: as in the file on a GPU, f32 where its matrices differ; f32 on a software adapter, where widening at every
   * read costs more than memory. Matrices that a quantised type does not fit are stored as by `auto`.
   */
  storage?: StorageWish;
  /** Whether a run on these weights has begun, where it was said what does not fit a quantised type. */
  begun?: boolean;
  /** Plans of matrix products that a run began with; those that are the fastest on this adapter by default. */
  plans?: MatmulPlans;
  /** Told how far loading has come, in bytes of the files. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * Loads a Hugging Face style directory, with config.json and model.safetensors (or its shards), or a GGUF file.
 *
 * @throws SubzeroError `not_found`, `invalid_data` or `unsupported` naming file and tensor, `out_of_memory` from the
 *   GPU
 */
export async function loadModel(gpu: Gpu, directory: string, options: LoadModelOptions = {}): Promise<Model> {
  const given = await readConfigurationFile(directory);
  if (rotationsOf(given).length > 0) given.contextLength = Math.min(given.contextLength, maxPositions);
  const source = await openWeights(directory);
  const weights = new Map<string, Weight>();
  const vectors = new Map<string, Float32Array>();
  let model: Model | undefined;
  let fingerprint: Promise<string> | undefined;
  try {
    const { decoder, parameters, warnings } = await matchTensors(directory, given, source);
    const notes = (decoder.notes ?? []).map((note) => `${directory}: ${note}`);
    for (const warning of [...warnings, ...(source.notes ?? []), ...notes]) warn(warning);
    const total = parameters.reduce((sum, { stored, within }) => sum + stored.byteLength / (within?.count ?? 1), 0);
    let done = 0;
    const matrixTypes = parameters.filter(({ axes }) => axes.length > 1).map(({ stored }) => stored.dtype);
    const { storage, storageOf } = chooseStorage(options.storage ?? 'auto', gpu.adapter, matrixTypes);
    let unfit = 0;
    const matrices: MatrixToAllocate[] = [];
    for (const { name, axes, stored, stack, within } of parameters) {
      const [rows, columns] = axes;
      if (!columns) {
        vectors.set(name, valuesOfBytes(stored.dtype, await source.read(stored.name)));
        done += stored.byteLength / (within?.count ?? 1);
      } else {
        const layout = { rows: rows!, columns };
        const own = storageOf(layout, stored.dtype);
        if (storage !== 'auto' && own !== storage) unfit++;
        matrices.push({ name, layout, storage: own, ...(stack ? { stack } : {}) });
      }
    }
    for (const [name, weight] of allocateMatrices(gpu, matrices)) weights.set(name, weight);
    if (unfit > 0 && !options.begun) warn(unfitWarning(unfit, weights.size, storage));
    // Hashed beside the loading. A failure is thrown where the fingerprint is waited for.
    fingerprint = source.fingerprint();
    fingerprint.catch(() => {});
    model = new Model(gpu, { directory, decoder, weights, vectors, fingerprint: '', storage });
    model.plans = options.plans ?? (await knownPlans(gpu));
    // Compiles in other threads while the weights are read. Where kernels are compiled when they are launched, nothing
    // is gained by asking for all of them: a run has no use for those of generation.
    if (!compilesAtLaunch(gpu.adapter)) rehearse(model);
    const largest = parameters.reduce((most, { stored }) => Math.max(most, stored.byteLength), 0);
    const uploads = new Uploads(gpu, largest);
    const pieces = readPieces(source, parameters, weights, Math.min(pieceBytes, largest));
    for await (const piece of ahead(pieces)) {
      await uploads.write(piece);
      done += piece.bytes.byteLength;
      options.onProgress?.(done, total);
    }
    await uploads.end();
    model.fingerprint = await fingerprint;
    await gpu.checkAllocations();
    if (!options.plans) {
      model.plans = await completePlans(gpu, model.plans, weights.values());
      if (!compilesAtLaunch(gpu.adapter)) rehearse(model);
    }
    await gpu.checkKernels();
    return model;
  } catch (error) {
    if (model) model.destroy();
    else for (const weight of weights.values()) destroyWeight(weight);
    throw error;
  } finally {
    await fingerprint?.catch(() => {});
    await source.close();
  }
}

/** Opens the weights of a model, which no adapter may change. Quantised ones are shown as blocks of storage types. */
export async function openWeights(directory: string): Promise<ModelSource> {
  if (isGgufPath(directory)) return await (await import('../gguf/index.ts')).openGgufWeights(directory);
  await refuseAdapterFiles(directory);
  const source = await openModelWeights(directory);
  try {
    const format = await quantizedFormat(await readConfigJson(directory), join(directory, 'config.json'));
    if (!format) return withOwnBlocks(source);
    const { openQuantizedWeights } = await import('../quantized/index.ts');
    return await openQuantizedWeights(source, format, directory);
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** The storage types of a model's matrices. */
export interface StorageChoice {
  /** The choice that gives the same again. */
  storage: StorageWish;
  /** The type of a matrix that has such elements in its file. */
  storageOf: (layout: Layout, dtype: string) => Storage;
}

/** Reads and checks config.json of a model directory, or what stands for it in a GGUF file. */
export async function readConfigurationFile(directory: string): Promise<Decoder> {
  if (isGgufPath(directory)) {
    const { openGgufConfiguration } = await import('../gguf/index.ts');
    return readConfiguration(await openGgufConfiguration(directory), directory);
  }
  const { [quantizationKey]: quantization, ...config } = await readConfigJson(directory);
  const file = join(directory, 'config.json');
  await quantizedFormat({ [quantizationKey]: quantization }, file);
  return readConfiguration(config, file);
}

/** How weights are quantised, if they are. @throws SubzeroError `unsupported` or `invalid_data` naming the key */
async function quantizedFormat(
  config: Readonly<Record<string, unknown>>,
  file: string,
): Promise<QuantizedFormat | undefined> {
  if ((config[quantizationKey] ?? null) === null) return undefined;
  return (await import('../quantized/index.ts')).quantizedFormat(config, file);
}

async function readConfigJson(directory: string): Promise<Record<string, unknown>> {
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
  return withoutOwnQuantization(config as Record<string, unknown>, file);
}

/**
 * Finds the types of all matrices. Quantised ones of a file stay what they are; the others have one type: the files'
 * own, or f32 where they differ, so that none loses bits.
 */
export function chooseStorage(
  wish: StorageWish,
  { software }: { software: boolean },
  dtypes: readonly string[],
): StorageChoice {
  const own = new Map(dtypes.map((dtype) => [dtype, storageOfDtype(dtype)]));
  const [first, ...others] = [...own.values()].filter((storage) => storage === undefined || isPlain(storage));
  const plain = software || others.length > 0 || !first ? 'f32' : first;
  const quantised = [...own.values()].some((storage) => storage && !isPlain(storage));
  const storageOf = (layout: Layout, dtype: string): Storage => {
    const wanted = wish === 'auto' ? (own.get(dtype) ?? plain) : wish;
    if (isPlain(wanted)) return wish === 'auto' ? plain : wanted;
    const whole = !isPadded(layout.rows) && !isPadded(layout.columns);
    if (whole && fitsRows(wanted, storedLength(layout.columns))) return wanted;
    // Values of blocks are products of f32, which 16 bits would round.
    return isBlocks(dtype) && wish === 'auto' ? 'f32' : plain;
  };
  return { storage: wish === 'auto' && !quantised ? (plain as StorageWish) : wish, storageOf };
}

/** What is said where rows do not fit the type that was asked for. */
export function unfitWarning(count: number, all: number, storage: StorageWish): string {
  return (
    `${count} of ${all} matrices have rows that are no whole blocks of ${storage}; they keep 16 or 32 bits a ` +
    `weight`
  );
}

/** Rows of a weight as their file has them. */
interface Piece {
  weight: Weight;
  part: WeightPart;
  /** Rows of the part, pads included. */
  start: number;
  end: number;
  dtype: string;
  /** Good until the piece after the next one is asked for. */
  bytes: Uint8Array;
}

/**
 * Reads the matrices of a model piece by piece. Pieces pass through two arrays in turns, since the pages of fresh ones
 * cost several times what reading does.
 * @param memoryBytes of each of them; what is larger gets an array of its own
 */
async function* readPieces(
  source: TensorSource,
  parameters: readonly MatchedTensor[],
  weights: ReadonlyMap<string, Weight>,
  memoryBytes: number,
): AsyncGenerator<Piece> {
  let [memory, other] = [new ArrayBuffer(memoryBytes), new ArrayBuffer(memoryBytes)];
  for (const { name, stored, transposed, within } of parameters) {
    const weight = weights.get(name);
    if (!weight) continue;
    const matrix = memberOf(source, { stored, ...(within ? { within } : {}) });
    const ordered = await inOrder(matrix, transposed);
    const { dtype } = stored;
    const { layout } = weight;
    const fileRowBytes = fileBytes(dtype, shapeOf(weight)[1]);
    const rowsAtOnce = Math.max(1, Math.floor(pieceBytes / fileRowBytes));
    for (const part of weight.parts) {
      for (let start = 0; start < part.rowCount; start += rowsAtOnce) {
        const end = Math.min(start + rowsAtOnce, part.rowCount);
        const rows = [start, end].map((row) => part.rowStart + row);
        const [first, last] = layout ? rows.map((row) => elementsBefore(layout.rows, row)) : rows;
        const at = first! * fileRowBytes;
        const bytes = await ordered.read(stored.name, at, last! * fileRowBytes - at, memory);
        [memory, other] = [other, memory];
        yield { weight, part, start, end, dtype, bytes };
      }
    }
  }
}

/** The items of a sequence; while one is in use the next is being made. */
async function* ahead<T>(items: AsyncGenerator<T>): AsyncGenerator<T> {
  let next = items.next();
  try {
    for (;;) {
      const { value, done } = await next;
      if (done) return;
      next = items.next();
      // A failure is thrown when its turn comes.
      next.catch(() => {});
      yield value;
    }
  } finally {
    // Whoever leaves early may close what the items are made from.
    await next.catch(() => {});
  }
}

/** Brings pieces of weights to the GPU, which takes one while the next is prepared. */
class Uploads {
  readonly #gpu: Gpu;
  readonly #values: Float32Array;
  /** Bytes that the GPU was given since it was last waited for: they wait in memory until its queue has run. */
  #waiting = 0;
  #taken: Promise<void> = Promise.resolve();

  /** @param largest bytes of the largest tensor: where it is small, so is the memory, whose pages cost time as well */
  constructor(gpu: Gpu, largest: number) {
    this.#gpu = gpu;
    this.#values = new Float32Array(Math.floor(Math.min(pieceBytes, largest) / 2));
  }

  /** Writes rows of a weight, whose pads become zeros. */
  async write({ weight, part, start, end, dtype, bytes }: Piece): Promise<void> {
    const { layout, storage, columns } = weight;
    const plain = repack(storage, dtype, bytes, this.#values);
    const [first, last] = [part.rowStart + start, part.rowStart + end];
    const stored = layout ? withPads(layout, plain, rowBytes(storage, 1), first, last) : plain;
    part.buffer.write(stored, start * rowBytes(storage, columns));
    await this.#given(stored.byteLength);
  }

  /** Lets the GPU take what it was given while more is prepared, but not much more. */
  async #given(bytes: number): Promise<void> {
    this.#waiting += bytes;
    if (this.#waiting < pieceBytes) return;
    this.#waiting = 0;
    await this.#taken;
    this.#taken = this.#gpu.idle();
    // Whoever waits for it next is told of an error; without this it would end the process meanwhile.
    this.#taken.catch(() => {});
  }

  /** Waits until the GPU has taken everything. */
  async end(): Promise<void> {
    await this.#taken;
  }
}
