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
import type { ModelSource, StoredTensor } from '../tensor-source.ts';
import { blockFormat, blockFormats } from '../weights/block-formats.ts';
import { type Architecture, outerTensors } from './architectures.ts';
import { isConfigurationKey, type KnownGguf, readGgufConfiguration } from './configuration.ts';
import { GgufModel } from './file.ts';
import type { GgufTensor } from './header.ts';
import { ropeTensors } from './rope.ts';

/** A tensor under its name in transformers. */
interface Source extends StoredTensor {
  readonly stored: GgufTensor;
  /** Rows of a head whose halves are interleaved in the file. */
  readonly interleaved?: number;
  /** Whether 1 was added to its values in the file. */
  readonly shifted?: boolean;
}

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
  readonly tensors: ReadonlyMap<string, Source>;
  readonly metadata = {};
  readonly files: readonly string[];
  readonly #model: GgufModel;
  #fingerprint: Promise<string> | undefined;

  constructor(model: GgufModel, known: KnownGguf) {
    this.#model = model;
    this.files = model.files.map(({ file }) => file);
    const tensors = new Map<string, Source>();
    for (const stored of model.tensors.values()) {
      if ((ropeTensors as readonly string[]).includes(stored.name)) continue;
      const name = nameOf(stored.name, known.architecture);
      if (tensors.has(name)) {
        throw new SubzeroError(
          'invalid_data',
          `${model.path}: tensor ${quote(stored.name)}: another one is called ${quote(name)} already`,
          { parameter: model.path },
        );
      }
      tensors.set(name, sourceOf(model.path, name, stored, known));
    }
    this.tensors = tensors;
  }

  async read(name: string, byteOffset = 0, byteLength?: number): Promise<Uint8Array<ArrayBuffer>> {
    const source = this.tensors.get(name);
    if (source === undefined) {
      throw new SubzeroError('not_found', `${this.#model.path} has no tensor ${quote(name)}`, { parameter: name });
    }
    const length = byteLength ?? source.byteLength - byteOffset;
    const inside =
      Number.isSafeInteger(byteOffset) &&
      Number.isSafeInteger(length) &&
      byteOffset >= 0 &&
      length >= 0 &&
      byteOffset + length <= source.byteLength;
    if (!inside) {
      throw new SubzeroError(
        'invalid_argument',
        `${this.#model.path}: tensor ${quote(name)} has ${source.byteLength} bytes; ` +
          `a read of ${length} bytes at ${byteOffset} is outside of it`,
        { parameter: name },
      );
    }
    if (source.interleaved !== undefined) return await this.#rows(source, source.interleaved, byteOffset, length);
    if (source.shifted) return await this.#shifted(source, byteOffset, length);
    return await this.#model.read(source.stored.name, byteOffset, length);
  }

  /** A range of a tensor whose heads are interleaved: reads the heads that it touches and puts their rows in order. */
  async #rows(source: Source, head: number, byteOffset: number, byteLength: number): Promise<Uint8Array<ArrayBuffer>> {
    const width = source.byteLength / source.shape[0]!;
    const firstHead = Math.floor(byteOffset / (width * head));
    const endHead = Math.ceil((byteOffset + byteLength) / (width * head));
    const heads = await this.#model.read(
      source.stored.name,
      firstHead * head * width,
      (endHead - firstHead) * head * width,
    );
    const ordered = new Uint8Array(heads.byteLength);
    for (let row = 0; row * width < heads.byteLength; row++) {
      const place = row % head;
      const half = head / 2;
      // Row i of the first half lies at 2i, of the second at 2i + 1.
      const from = row - place + (place < half ? 2 * place : 2 * (place - half) + 1);
      ordered.set(heads.subarray(from * width, (from + 1) * width), row * width);
    }
    const start = byteOffset - firstHead * head * width;
    return ordered.slice(start, start + byteLength);
  }

  /** A range of f32 values from which 1 is taken. */
  async #shifted({ stored }: Source, byteOffset: number, byteLength: number): Promise<Uint8Array<ArrayBuffer>> {
    const first = Math.floor(byteOffset / 4) * 4;
    const last = Math.ceil((byteOffset + byteLength) / 4) * 4;
    const values = new Float32Array((await this.#model.read(stored.name, first, last - first)).buffer);
    const bytes = new Uint8Array(values.map((value) => value - 1).buffer);
    return bytes.slice(byteOffset - first, byteOffset - first + byteLength);
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
function nameOf(name: string, { layer }: Architecture): string {
  const [, block, module = '', suffix] = /^(?:blk\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(name) ?? [];
  const table = block === undefined ? outerTensors : layer;
  if (!Object.hasOwn(table, module)) return name;
  return `${block === undefined ? '' : `model.layers.${block}.`}${table[module]}.${suffix}`;
}

function sourceOf(path: string, name: string, stored: GgufTensor, { architecture, heads }: KnownGguf): Source {
  const { type, shape, byteLength } = stored;
  if (!isSafetensorsDtype(type.name) && !blockFormat(type.name)) {
    throw new SubzeroError(
      'unsupported',
      `${path}: tensor ${quote(stored.name)} is stored as ${type.name}; supported are F32, F16, BF16, ` +
        `${Object.keys(blockFormats).join(', ')}. Quantize the model to one of them`,
      { parameter: path },
    );
  }
  const entry = { name, dtype: type.name, shape, byteLength, stored };
  if (architecture.gainsFromZero && name.endsWith('norm.weight')) {
    if (type.name === 'F32') return { ...entry, shifted: true };
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
  return { ...entry, interleaved: rows / count };
}

/** How many heads a tensor of queries or keys has; none for other tensors. */
function headsOf(name: string, { count, keyCount }: KnownGguf['heads']): number {
  if (/\.q_proj\.(weight|bias)$/.test(name)) return count;
  return /\.k_proj\.(weight|bias)$/.test(name) ? keyCount : 0;
}
