/**
 * The weights of a quantised checkpoint as those of a plain one.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import type { ModelSource, StoredTensor } from '../tensor-source.ts';
import { fileBytes, isBlocks } from '../weights/index.ts';
import type { QuantizedFormat, QuantizedMatrix } from './matrix.ts';
import { Parts } from './parts.ts';

/**
 * Shows quantised matrices as one tensor each, under the name that it has unquantised and in blocks of a storage type.
 * What was not quantised stays as it is.
 * @param where the model's folder, for errors
 * @throws SubzeroError `invalid_data` or `unsupported` naming tensor and rule
 */
export async function openQuantizedWeights(
  source: ModelSource,
  format: QuantizedFormat,
  where: string,
): Promise<ModelSource> {
  const matrices = await format.matrices(new Parts(source, where));
  if (matrices.size === 0) {
    throw new SubzeroError(
      'invalid_data',
      `${where}: config.json says that it has quantized weights (${format.description}), but no tensor is one; ` +
        'take "quantization_config" out of it if they are plain',
      { parameter: where },
    );
  }
  return new QuantizedWeights(source, format, matrices, where);
}

class QuantizedWeights implements ModelSource {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly files: readonly string[];
  readonly quantization: string;
  readonly notes: readonly string[];
  readonly #source: ModelSource;
  readonly #matrices: ReadonlyMap<string, QuantizedMatrix>;

  constructor(
    source: ModelSource,
    format: QuantizedFormat,
    matrices: ReadonlyMap<string, QuantizedMatrix>,
    where: string,
  ) {
    const parts = new Set([...matrices.values()].flatMap((matrix) => matrix.parts));
    const tensors = new Map([...source.tensors].filter(([name]) => !parts.has(name)));
    const widened: StoredTensor[] = [];
    for (const [name, { dtype, shape, outFirst }] of matrices) {
      const byteLength = rowsOf(shape) * fileBytes(dtype, shape.at(-1)!);
      const entry = { name, dtype, shape, byteLength, ...(outFirst ? { outFirst } : {}) };
      if (tensors.has(name)) {
        throw new SubzeroError('invalid_data', `${where}: tensor "${name}" is there both plain and quantised`, {
          parameter: name,
        });
      }
      tensors.set(name, entry);
      if (!isBlocks(dtype)) widened.push(entry);
    }
    this.tensors = tensors;
    this.metadata = source.metadata;
    this.files = source.files;
    this.quantization = format.description;
    this.notes = [...format.notes.map((note) => `${where}: ${note}`), ...widenedNote(widened, matrices.size, where)];
    this.#source = source;
    this.#matrices = matrices;
  }

  async read(name: string, byteOffset = 0, byteLength?: number): Promise<Uint8Array<ArrayBuffer>> {
    const matrix = this.#matrices.get(name);
    if (!matrix) {
      if (this.tensors.has(name)) return await this.#source.read(name, byteOffset, byteLength);
      throw new SubzeroError('not_found', `the weights have no tensor "${name}"`, { parameter: name });
    }
    const total = this.tensors.get(name)!.byteLength;
    const length = byteLength ?? total - byteOffset;
    const isInside =
      Number.isSafeInteger(byteOffset) &&
      Number.isSafeInteger(length) &&
      byteOffset >= 0 &&
      length >= 0 &&
      byteOffset + length <= total;
    if (!isInside) {
      throw new SubzeroError(
        'invalid_argument',
        `tensor "${name}" has ${total} bytes; a read of ${length} bytes at ${byteOffset} is outside of it`,
        { parameter: name },
      );
    }
    if (length === 0) return new Uint8Array();
    const width = total / rowsOf(matrix.shape);
    const first = Math.floor(byteOffset / width);
    const rows = await matrix.rows(first, Math.ceil((byteOffset + length) / width));
    const start = byteOffset - first * width;
    return start === 0 && length === rows.length ? rows : rows.slice(start, start + length);
  }

  async fingerprint(): Promise<string> {
    return await this.#source.fingerprint();
  }

  async close(): Promise<void> {
    await this.#source.close();
  }
}

/** The rows of all matrices. */
function rowsOf(shape: readonly number[]): number {
  return shape.slice(0, -1).reduce((product, size) => product * size, 1);
}

function widenedNote(widened: readonly StoredTensor[], all: number, where: string): string[] {
  if (widened.length === 0) return [];
  const bytes = widened.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return [
    `${where}: ${widened.length} of ${all} quantised matrices (as "${widened[0]!.name}") are no whole blocks of 32, ` +
      `64 or 128 along the row, or have an order of columns of their own; they are widened to ${widened[0]!.dtype}, ` +
      formatBytes(bytes),
  ];
}
