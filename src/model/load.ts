/**
 * Loading a model from its directory.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { parseJsonFile } from '../model-file.ts';
import type { MatmulPlans } from '../ops/matmul-plans.ts';
import { completePlans, knownPlans } from '../ops/matmul-tuner.ts';
import { join, readFile } from '../platform/index.ts';
import { bytesToF32, dtypeBytes, openModelWeights, type TensorEntry, type TensorSource } from '../safetensors/index.ts';
import { elementsBefore, withPads } from '../tensor/axis.ts';
import { transpose } from '../tensor/transpose.ts';
import { allocateMatrix, destroyWeight, shapeOf, type Weight } from '../tensor/weight.ts';
import { warn } from '../warn.ts';
import { repack, rowBytes, type Storage, storageOfDtype } from '../weights/index.ts';
import { refuseAdapterFiles } from './adapter-files.ts';
import { matchTensors } from './checkpoint-tensors.ts';
import { readConfiguration } from './configuration.ts';
import { type Decoder, rotationsOf } from './decoder.ts';
import { Model } from './model.ts';
import { rehearse } from './rehearse.ts';

/** Bytes read from a weight file at a time; loading holds two or three such pieces, never a file. */
const readBytes = 16 * 1024 * 1024;

/** Longest rotary tables made at load; longer contexts are cut to it (contextLength says so). */
const maxPositions = 131_072;

export interface LoadModelOptions {
  /**
   * `auto`: as in the file on a GPU, f32 where its matrices differ; f32 on a software adapter, where widening at every
   * read costs more than memory.
   */
  storage?: Storage | 'auto';
  /** Plans of matrix products that a run began with; those that are the fastest on this adapter by default. */
  plans?: MatmulPlans;
  /** Told how far loading has come, in bytes of the files. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * Loads a Hugging Face style directory: config.json and model.safetensors (or its shards).
 *
 * @throws SubzeroError `not_found`, `invalid_data` or `unsupported` naming file and tensor, `out_of_memory` from the
 *   GPU
 */
export async function loadModel(gpu: Gpu, directory: string, options: LoadModelOptions = {}): Promise<Model> {
  const given = await readConfigurationFile(directory);
  if (rotationsOf(given).length > 0) given.contextLength = Math.min(given.contextLength, maxPositions);
  await refuseAdapterFiles(directory);
  const source = await openModelWeights(directory);
  const weights = new Map<string, Weight>();
  const vectors = new Map<string, Float32Array>();
  let model: Model | undefined;
  try {
    const { decoder, parameters, warnings } = await matchTensors(directory, given, source);
    for (const warning of warnings) warn(warning);
    const total = parameters.reduce((sum, { stored }) => sum + stored.byteLength, 0);
    let done = 0;
    const matrixTypes = parameters.filter(({ shape }) => shape.length > 1).map(({ stored }) => stored.dtype);
    const storage = storageFor(options.storage ?? 'auto', gpu, matrixTypes);
    for (const { name, axes, stored } of parameters) {
      const [rows, columns] = axes;
      if (!columns) {
        vectors.set(name, bytesToF32(stored.dtype, await source.read(stored.name)));
      } else {
        weights.set(name, allocateMatrix(gpu, name, { rows: rows!, columns }, storage));
      }
    }
    const fingerprint = await source.fingerprint();
    model = new Model(gpu, { directory, decoder, weights, vectors, fingerprint });
    // Compiles in other threads while the weights are read.
    model.plans = options.plans ?? (await knownPlans(gpu));
    rehearse(model);
    for (const { name, stored, transposed } of parameters) {
      const weight = weights.get(name);
      if (weight) await upload(transposed ? await transposedTensor(source, stored) : source, stored, weight);
      done += stored.byteLength;
      options.onProgress?.(done, total);
    }
    await gpu.checkAllocations();
    if (!options.plans) {
      model.plans = await completePlans(gpu, model.plans, weights.values());
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

/** Reads and checks config.json of a model directory. */
export async function readConfigurationFile(directory: string): Promise<Decoder> {
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
  return gpu.adapter.software || others.length > 0 ? 'f32' : (storageOfDtype(first!) ?? 'f32');
}

/** A matrix with its sides exchanged, which takes the whole of it. */
async function transposedTensor(
  source: TensorSource,
  { name, dtype, shape }: TensorEntry,
): Promise<Pick<TensorSource, 'read'>> {
  const bytes = transpose(await source.read(name), shape as [number, number], dtypeBytes[dtype]);
  return { read: async (_, offset = 0, length = bytes.byteLength) => bytes.slice(offset, offset + length) };
}

/** Fills a weight, whose pads become zeros. */
async function upload(source: Pick<TensorSource, 'read'>, { name, dtype }: TensorEntry, weight: Weight): Promise<void> {
  const { layout } = weight;
  const fileRowBytes = shapeOf(weight)[1] * dtypeBytes[dtype];
  const rowsAtOnce = Math.max(1, Math.floor(readBytes / fileRowBytes));
  for (const part of weight.parts) {
    for (let row = 0; row < part.rowCount; row += rowsAtOnce) {
      const start = part.rowStart + row;
      const end = start + Math.min(rowsAtOnce, part.rowCount - row);
      const [first, last] = layout ? [start, end].map((at) => elementsBefore(layout.rows, at)) : [start, end];
      const bytes = await source.read(name, first! * fileRowBytes, (last! - first!) * fileRowBytes);
      const plain = repack(weight.storage, dtype, bytes);
      const stored = layout ? withPads(layout, plain, rowBytes(weight.storage, 1), start, end) : plain;
      part.buffer.write(stored, row * rowBytes(weight.storage, weight.columns));
      // Uploads wait in memory until the queue has run.
      if (stored.byteLength >= readBytes / 2) await weight.parts[0]!.buffer.gpu.idle();
    }
  }
}
