/**
 * The weights of a GGUF file as the tensors of a Hugging Face checkpoint: their names, their shapes, and rows of
 * queries and keys in the order of transformers.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { isSafetensorsDtype } from '../safetensors/dtype.ts';
import { fingerprintFiles } from '../safetensors/fingerprint.ts';
import { quote } from '../safetensors/json.ts';
import { tensorRange } from '../safetensors/tensor-range.ts';
import type { ModelSource } from '../tensor-source.ts';
import { blockFormat, blockFormats } from '../weights/block-formats.ts';
import type { Architecture } from './architecture.ts';
import { outerTensors } from './architectures.ts';
import { isConfigurationKey, type KnownGguf, readGgufConfiguration } from './configuration.ts';
import { ExpertReader, type ReadableTensor, singleRows } from './experts.ts';
import { GgufModel } from './file.ts';
import type { GgufTensor } from './header.ts';
import { headsInOrder, lessOne, type ReadRange } from './ranges.ts';
import { ropeTensors } from './rope.ts';

/**
 * Opens the weights of a GGUF file. Types of blocks are called as ggml calls them.
 * @throws SubzeroError `not_found`, `io`, `invalid_data`, `unsupported`; the message names the file and the tensor
 */
export async function openGgufWeights(path: string): Promise<ModelSource> {
  const model = await GgufModel.open(path, isConfigurationKey);
  try {
    return new GgufWeights(model, await readGgufConfiguration(model));
  } catch (error) {
    await model.close();
    throw error;
  }
}

/** The config.json that a GGUF file stands for. */
export async function openGgufConfiguration(path: string): Promise<Record<string, unknown>> {
  const model = await GgufModel.open(path, isConfigurationKey);
  try {
    return (await readGgufConfiguration(model)).config;
  } finally {
    await model.close();
  }
}

class GgufWeights implements ModelSource {
  readonly tensors: ReadonlyMap<string, ReadableTensor>;
  readonly metadata = {};
  readonly files: readonly string[];
  readonly #model: GgufModel;
  #fingerprint: Promise<string> | undefined;

  constructor(model: GgufModel, known: KnownGguf) {
    this.#model = model;
    this.files = model.files.map(({ file }) => file);
    const rangeOf = ({ name }: GgufTensor): ReadRange => {
      return (byteOffset, byteLength) => model.read(name, byteOffset, byteLength);
    };
    const experts = new ExpertReader(model.path, known.architecture, model.tensors, rangeOf);
    const tensors = new Map<string, ReadableTensor>();
    for (const stored of model.tensors.values()) {
      if ((ropeTensors as readonly string[]).includes(stored.name)) continue;
      checkType(model.path, stored);
      for (const tensor of experts.tensorsOf(stored) ?? [tensorOf(model.path, stored, known, rangeOf(stored))]) {
        if (tensors.has(tensor.name)) {
          throw new SubzeroError(
            'invalid_data',
            `${model.path}: tensor ${quote(stored.name)}: another one is called ${quote(tensor.name)} already`,
            { parameter: model.path },
          );
        }
        tensors.set(tensor.name, tensor);
      }
    }
    this.tensors = tensors;
  }

  async read(name: string, byteOffset = 0, byteLength?: number): Promise<Uint8Array<ArrayBuffer>> {
    const { tensor, length } = tensorRange(this.#model.path, this.tensors, name, byteOffset, byteLength);
    return await tensor.range(byteOffset, length);
  }

  fingerprint(): Promise<string> {
    this.#fingerprint ??= fingerprintFiles(this.#model.files);
    return this.#fingerprint;
  }

  async close(): Promise<void> {
    await this.#model.close();
  }
}

/** The name in transformers; a tensor that is not known keeps its own, under which it is refused. */
function nameOf(name: string, { layer, unsuffixed = {} }: Architecture): string {
  const [, block, whole = '', module = '', suffix] = /^(?:blk\.(\d+)\.)?((.+)\.(weight|bias))$/.exec(name) ?? [];
  const prefix = block === undefined ? '' : `model.layers.${block}.`;
  if (block !== undefined && Object.hasOwn(unsuffixed, whole)) return prefix + unsuffixed[whole];
  const table = block === undefined ? outerTensors : layer;
  return Object.hasOwn(table, module) ? `${prefix}${table[module]}.${suffix}` : name;
}

function checkType(path: string, { name, type }: GgufTensor): void {
  if (isSafetensorsDtype(type.name) || blockFormat(type.name)) return;
  throw new SubzeroError(
    'unsupported',
    `${path}: tensor ${quote(name)} is stored as ${type.name}; supported are F32, F16, BF16, ` +
      `${Object.keys(blockFormats).join(', ')}. Quantize the model to one of them`,
    { parameter: path },
  );
}

function tensorOf(
  path: string,
  stored: GgufTensor,
  { architecture, heads }: KnownGguf,
  range: ReadRange,
): ReadableTensor {
  const { type, byteLength } = stored;
  const name = nameOf(stored.name, architecture);
  // A matrix of one row is a vector there.
  const shape = singleRows.test(stored.name) && stored.shape.length === 1 ? [1, ...stored.shape] : stored.shape;
  const entry = { name, dtype: type.name, shape, byteLength, range };
  if (architecture.gainsFromZero && name.endsWith('norm.weight')) {
    if (type.name === 'F32') return { ...entry, range: lessOne(range) };
    throw new SubzeroError(
      'unsupported',
      `${path}: tensor ${quote(stored.name)}: expected gains of norms in F32, got ${type.name}`,
      { parameter: path },
    );
  }
  const count = architecture.permuted && headsOf(name, heads);
  if (!count) return entry;
  const rows = shape[0] ?? 0;
  if (rows % (2 * count) !== 0) {
    throw new SubzeroError(
      'invalid_data',
      `${path}: tensor ${quote(stored.name)}: expected rows for ${count} heads of an even width, got ${rows}`,
      { parameter: path },
    );
  }
  return { ...entry, range: headsInOrder(range, byteLength / rows, rows / count) };
}

/** How many heads a tensor of queries or keys has; none for other tensors. */
function headsOf(name: string, { count, keyCount }: KnownGguf['heads']): number {
  if (/\.q_proj\.(weight|bias)$/.test(name)) return count;
  return /\.k_proj\.(weight|bias)$/.test(name) ? keyCount : 0;
}
