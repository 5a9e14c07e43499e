/**
 * Our own layout of quantised weights in safetensors: a matrix NAME [rows, columns] is the U8 tensor `NAME.q8_0` [rows,
 * columns / 32, 34] or `NAME.q4_0` [rows, columns / 32, 18], whose last side is a block of GGUF's type of that name.
 * The file's metadata has `subzero_blocks`, the version of the layout, and config.json says `quantization_config:
 * {"quant_method": "subzero", "version": 1, …}`, so that other programs refuse the folder by name.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { quote } from '../safetensors/json.ts';
import type { ModelSource, StoredTensor } from '../tensor-source.ts';
import { blockFormats } from './block-formats.ts';

type Json = Record<string, unknown>;

const method = 'subzero';
const version = 1;
const versionKey = 'subzero_blocks';

/** The metadata of a file in this layout. */
export const ownMetadata: Readonly<Record<string, string>> = { [versionKey]: String(version) };

/** What config.json says about weights in this layout. */
export function ownQuantization(storage: string): Json {
  return { quant_method: method, version, storage, group_size: 32 };
}

const types = ['Q8_0', 'Q4_0'] as const;

/** Name and shape of the tensor of a matrix in blocks. */
export function ownTensor(
  name: string,
  dtype: (typeof types)[number],
  [rows, columns]: readonly [number, number],
): { name: string; dtype: 'U8'; shape: number[] } {
  const { elements, bytes } = blockFormats[dtype];
  return { name: `${name}.${dtype.toLowerCase()}`, dtype: 'U8', shape: [rows, columns / elements, bytes] };
}

/**
 * A model's config.json without what it says about weights in this layout.
 * @throws SubzeroError `unsupported` for another version of the layout
 */
export function withoutOwnQuantization(config: Json, file: string): Json {
  const { quantization_config: given, ...others } = config;
  const quantization = given as Json | null | undefined;
  if (typeof quantization !== 'object' || quantization?.quant_method !== method) return config;
  checkVersion(quantization.version, `${file}: "quantization_config"`, file);
  return others;
}

/**
 * The tensors of a source with those in this layout under their own names, as blocks; a source without any as it is.
 * @throws SubzeroError `unsupported` for another version, `invalid_data` for tensors that are no blocks
 */
export function withOwnBlocks(source: ModelSource): ModelSource {
  const stated = source.metadata[versionKey];
  if (stated === undefined) return source;
  const file = source.files[0] ?? '';
  checkVersion(Number(stated), `${file}: the metadata "${versionKey}"`, file);
  const names = new Map<string, string>();
  const tensors = new Map<string, StoredTensor>();
  for (const stored of source.tensors.values()) {
    const entry = entryOf(stored, file);
    if (tensors.has(entry.name)) {
      throw invalid(file, `tensor ${quote(entry.name)} is there twice, as it is and in blocks`);
    }
    tensors.set(entry.name, entry);
    names.set(entry.name, stored.name);
  }
  return {
    tensors,
    metadata: source.metadata,
    files: source.files,
    read: (name, ...range) => source.read(names.get(name) ?? name, ...range),
    fingerprint: () => source.fingerprint(),
    close: () => source.close(),
  };
}

function entryOf(stored: StoredTensor, file: string): StoredTensor {
  const dtype = types.find((type) => stored.name.endsWith(`.${type.toLowerCase()}`));
  if (!dtype) return stored;
  const { elements, bytes } = blockFormats[dtype];
  const [rows, blocks, width] = stored.shape;
  if (stored.dtype !== 'U8' || stored.shape.length !== 3 || width !== bytes) {
    throw invalid(
      file,
      `tensor ${quote(stored.name)}: expected U8 [rows, blocks, ${bytes}], got ${stored.dtype} ` +
        `[${stored.shape.join(', ')}]`,
    );
  }
  const name = stored.name.slice(0, -dtype.length - 1);
  return { name, dtype, shape: [rows!, blocks! * elements], byteLength: stored.byteLength };
}

function checkVersion(stated: unknown, where: string, file: string): void {
  if (stated === version) return;
  throw new SubzeroError(
    'unsupported',
    `${where} says version ${quote(stated)} of subzero's blocks; this version reads ${version}. Quantise the model ` +
      `anew`,
    { parameter: file },
  );
}

function invalid(file: string, reason: string): SubzeroError {
  return new SubzeroError('invalid_data', `${file}: ${reason}`, { parameter: file });
}
