/**
 * Writes a safetensors file as a stream of tensors.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { FileHandle } from '../platform/index.ts';
import { writeFully, writeWhole } from './disk.ts';
import { dtypeBytes, elementCount, isSafetensorsDtype, type SafetensorsDtype } from './dtype.ts';
import { buildHeader, hasLoneSurrogate, type PlacedTensor } from './header.ts';
import { quote } from './json.ts';

/** One tensor to write. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /**
   * Called once, when the tensor's turn comes. The pieces put together are its bytes, little-endian and row-major; a
   * piece may be reused for the next one.
   */
  readonly data: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/**
 * Writes a file and holds no more than one piece of data. The file appears under its name when it is complete and on
 * the disk: until then it is `FILE.partial`, which is removed on a failure. An existing file is replaced.
 *
 * Tensors of wider elements come first (else in the order given), as the reference writer does it, so that every tensor
 * begins at a multiple of its element's size.
 *
 * @throws SubzeroError `invalid_argument` for a bad name, shape or dtype, `invalid_data` if a tensor's pieces do not
 *   have the length that its shape says, `not_found` if the directory does not exist, `io` if the disk is full or
 *   read-only. An error thrown by `data` is passed on.
 */
export async function writeSafetensors(
  file: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const sorted = place(file, tensors);
  checkMetadata(file, metadata);
  const header = buildHeader({ tensors: sorted, metadata }, file);
  await writeWhole(file, async (handle, partial) => {
    await writeFully(handle, partial, 0, header);
    for (const tensor of sorted) await writeTensor(handle, partial, header.byteLength + tensor.dataOffset, tensor);
  });
}

type PlacedTensorToWrite = PlacedTensor & TensorToWrite;

/** Checks names and shapes and gives every tensor its place. */
function place(file: string, tensors: readonly TensorToWrite[]): PlacedTensorToWrite[] {
  const names = new Set<string>();
  for (const { name, dtype, shape } of tensors) {
    const where = `${file}: tensor ${quote(name)}`;
    if (name === '__metadata__' || hasLoneSurrogate(name)) {
      throw new SubzeroError('invalid_argument', `${where}: this name cannot be used`, { parameter: name });
    }
    if (names.has(name)) {
      throw new SubzeroError('invalid_argument', `${where}: expected each name once, got it twice`, {
        parameter: name,
      });
    }
    names.add(name);
    if (!isSafetensorsDtype(dtype)) {
      throw new SubzeroError('invalid_argument', `${where}: unknown dtype ${quote(dtype)}`, { parameter: name });
    }
    const count = elementCount(shape);
    if (count === undefined || !Number.isSafeInteger(count * dtypeBytes[dtype])) {
      throw new SubzeroError(
        'invalid_argument',
        `${where}: expected a shape of whole numbers that is below 2^53 bytes, got ${quote(shape)}`,
        { parameter: name },
      );
    }
  }
  let dataOffset = 0;
  return tensors
    .toSorted((a, b) => dtypeBytes[b.dtype] - dtypeBytes[a.dtype])
    .map(({ name, dtype, shape, data }) => {
      const byteLength = elementCount(shape)! * dtypeBytes[dtype];
      const placed = { name, dtype, shape, data, byteLength, dataOffset };
      dataOffset += byteLength;
      return placed;
    });
}

function checkMetadata(file: string, metadata: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') {
      throw new SubzeroError(
        'invalid_argument',
        `${file}: expected only strings as metadata, got ${quote(value)} for ${quote(key)}`,
        { parameter: key },
      );
    }
  }
}

async function writeTensor(
  handle: FileHandle,
  partial: string,
  position: number,
  { name, dtype, shape, byteLength, data }: PlacedTensorToWrite,
): Promise<void> {
  let written = 0;
  const wrongLength = (got: string) =>
    new SubzeroError(
      'invalid_data',
      `${partial}: tensor ${quote(name)}: expected ${byteLength} bytes for the shape ${quote(shape)} of ${dtype}, ` +
        `got ${got}`,
      { parameter: name },
    );
  for await (const piece of data()) {
    if (written + piece.byteLength > byteLength) {
      throw wrongLength(`at least ${written + piece.byteLength}`);
    }
    await writeFully(handle, partial, position + written, piece);
    written += piece.byteLength;
  }
  if (written !== byteLength) throw wrongLength(String(written));
}
