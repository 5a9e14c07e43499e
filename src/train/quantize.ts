/**
 * Quantising a model of any files: what rounding does to its tensors, and files of the result.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { isGgufPath } from '../gguf/path.ts';
import { makeFolders } from '../make-folders.ts';
import { leftOutTensors, type MatchedTensor, matchTensors } from '../model/checkpoint-tensors.ts';
import type { Decoder } from '../model/decoder.ts';
import { openWeights, readConfigurationFile } from '../model/load.ts';
import { inOrder, memberOf } from '../model/matrix-source.ts';
import { dirname, join, readdir, readFile, stat, writeFile } from '../platform/index.ts';
import { type FloatDtype, type SafetensorsDtype, type TensorToWrite, writeSafetensors } from '../safetensors/index.ts';
import type { ModelSource, StoredTensor } from '../tensor-source.ts';
import { isBlocks, valuesOfBytes } from '../weights/index.ts';
import { ownMetadata, ownQuantization, ownTensor } from '../weights/own-blocks.ts';
import { isBlockWritten } from '../weights/write-blocks.ts';
import { writeCompanions } from './export-companions.ts';
import { parseKept, writeKept } from './json-floats.ts';
import { writeGgufModel } from './write-gguf.ts';
import {
  type ModelTensor,
  type TensorError,
  type WrittenStorage,
  writtenBytes,
  writtenType,
} from './written-tensor.ts';

export type { TensorError } from './written-tensor.ts';

/** Bytes of a file that are read at a time. */
const readBytes = 16 * 1024 * 1024;

/** What becomes of a model. */
export interface QuantizeRequest {
  /** Model folder or GGUF file. */
  model: string;
  /** Folder, or for `gguf` also the path of a file. */
  out: string;
  format: 'safetensors' | 'gguf';
  storage: WrittenStorage;
}

/**
 * Writes a model anew with its matrices in a type of fewer bits; those whose rows are no whole blocks have 16.
 * @returns the files written, and the error of each tensor
 * @throws SubzeroError `conflict` if there is a model already, as loading a model does, and `unsupported` where the
 *   format cannot hold it
 */
export async function quantizeModel({ model, out, format, storage }: QuantizeRequest): Promise<{
  files: string[];
  tensors: TensorError[];
}> {
  return await withCheckpoint(model, async ({ decoder, parameters, source }) => {
    const tensors: TensorError[] = [];
    const told = (error: TensorError) => tensors.push(error);
    const described = { directory: model, decoder };
    if (format === 'gguf') {
      const file = await ggufTarget(out);
      const values = parameters.map((parameter) => tensorOf(source, parameter));
      await makeFolders(dirname(file));
      await writeGgufModel(described, values, storage, file, told);
      return { files: [file], tensors };
    }
    await refuseWeights(out);
    await makeFolders(out);
    const file = join(out, 'model.safetensors');
    const written = parameters.map((parameter) => ownTensorOf(source, parameter, storage, told));
    const others = leftOutTensors(decoder, source).map((stored) => copyOf(source, stored));
    await writeSafetensors(file, [...written, ...others], { format: 'pt', ...ownMetadata });
    const companions = await writeCompanions(described, 'F16', out);
    const config = companions.find((name) => name.endsWith('config.json') && !name.endsWith('_config.json'))!;
    await addQuantization(config, storage);
    return { files: [file, ...companions], tensors };
  });
}

/** What rounding does to each tensor of a model, which reads all of them. */
export async function quantizationErrors(model: string, storage: WrittenStorage): Promise<TensorError[]> {
  return await withCheckpoint(model, async ({ parameters, source }) => {
    const tensors: TensorError[] = [];
    for (const parameter of parameters) {
      if (parameter.shape.length < 2) continue;
      const tensor = tensorOf(source, parameter);
      const type = writtenType(tensor, storage, 'F32');
      for await (const _ of writtenBytes(tensor, type, (error) => tensors.push(error))) {
        // Only the error is wanted.
      }
    }
    return tensors;
  });
}

/** The file that a GGUF model is written to. @throws SubzeroError `conflict` if it is there */
export async function ggufTarget(out: string, name = 'model.gguf'): Promise<string> {
  const file = isGgufPath(out) ? out : join(out, name);
  const exists = await stat(file).then(
    () => true,
    () => false,
  );
  if (!exists) return file;
  throw new SubzeroError('conflict', `${file} is there already; choose another path`, { parameter: 'out' });
}

/** @throws SubzeroError `conflict` if a folder holds weights */
export async function refuseWeights(out: string): Promise<void> {
  if (isGgufPath(out)) {
    const message = `${out} is the name of a GGUF file, and safetensors go to a folder; did you mean format gguf?`;
    throw new SubzeroError('invalid_argument', message, { parameter: 'out' });
  }
  const existing = await readdir(out).catch(() => [] as string[]);
  if (!existing.some((name) => name.endsWith('.safetensors'))) return;
  throw new SubzeroError('conflict', `${out} already holds weights; choose another folder`, { parameter: 'out' });
}

interface Checkpoint {
  decoder: Decoder;
  parameters: readonly MatchedTensor[];
  source: ModelSource;
}

async function withCheckpoint<T>(model: string, use: (checkpoint: Checkpoint) => Promise<T>): Promise<T> {
  const given = await readConfigurationFile(model);
  const source = await openWeights(model);
  try {
    const { decoder, parameters } = await matchTensors(model, given, source);
    return await use({ decoder, parameters, source });
  } finally {
    await source.close();
  }
}

/** A parameter as values [rows, columns], of checkpoints that have it the other way round too. */
function tensorOf(source: ModelSource, { name, shape, transposed, ...place }: MatchedTensor): ModelTensor {
  const matrix = memberOf(source, place);
  const { dtype, byteLength } = matrix.stored;
  return {
    name,
    shape,
    async *values() {
      const ordered = await inOrder(matrix, transposed);
      const width = byteLength / (shape.length < 2 ? 1 : shape[0]!);
      const piece = Math.max(1, Math.floor(readBytes / width)) * width;
      for (let at = 0; at < byteLength; at += piece) {
        yield valuesOfBytes(dtype, await ordered.read(matrix.stored.name, at, Math.min(piece, byteLength - at)));
      }
    },
  };
}

/** A parameter in our own layout. What is no matrix of whole blocks keeps its type where that is a plain one. */
function ownTensorOf(
  source: ModelSource,
  parameter: MatchedTensor,
  storage: WrittenStorage,
  told: (error: TensorError) => void,
): TensorToWrite {
  const { stored, shape, transposed, within } = parameter;
  if (within) throw stackRefused(stored.name);
  const own = isBlocks(stored.dtype) ? 'F16' : (stored.dtype as FloatDtype);
  const tensor = tensorOf(source, parameter);
  const type = writtenType(tensor, storage, own);
  if (type === 'Q8_0' || type === 'Q4_0') {
    // Blocks lie along the rows of what is multiplied with; a checkpoint that has a matrix transposed loses that.
    if (transposed) throw transposedRefused(stored.name);
    const place = ownTensor(stored.name, type, shape as [number, number]);
    return { ...place, data: () => writtenBytes(tensor, type, told) };
  }
  if (transposed) return copyOf(source, stored);
  return { name: stored.name, dtype: type as FloatDtype, shape, data: () => writtenBytes(tensor, type, told) };
}

function transposedRefused(name: string): SubzeroError {
  return new SubzeroError(
    'unsupported',
    `"${name}" is stored with its sides exchanged, which blocks cannot be; quantise such models at load (--storage)`,
    { parameter: 'model' },
  );
}

function stackRefused(name: string): SubzeroError {
  return new SubzeroError(
    'unsupported',
    `"${name}" holds the matrices of all experts, which our own layout has no blocks for; quantise such models at ` +
      'load (--storage), or write GGUF (--format gguf)',
    { parameter: 'model' },
  );
}

/** A tensor as it is. */
export function copyOf(source: ModelSource, { name, dtype, shape, byteLength }: StoredTensor): TensorToWrite {
  return {
    name,
    dtype: dtype as SafetensorsDtype,
    shape,
    async *data() {
      for (let at = 0; at < byteLength; at += readBytes) {
        yield await source.read(name, at, Math.min(readBytes, byteLength - at));
      }
    },
  };
}

async function addQuantization(file: string, storage: WrittenStorage): Promise<void> {
  const config = parseKept(await readFile(file, 'utf8')) as Record<string, unknown>;
  const quantized = isBlockWritten(storage) ? { quantization_config: ownQuantization(storage) } : {};
  await writeFile(file, `${writeKept({ ...config, ...quantized })}\n`);
}
