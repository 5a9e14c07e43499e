/**
 * The header of a safetensors file: parsing with every rule of the reference parser, and building.
 *
 * Layout of a file: 8 bytes little-endian header length N, N bytes of JSON, then the data of all tensors back to back.
 *
 * @see https://github.com/huggingface/safetensors#format
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { StoredTensor } from '../tensor-source.ts';
import {
  dtypeBytes,
  elementCount,
  isSafetensorsDtype,
  isUnsupportedDtype,
  isWholeNumber,
  type SafetensorsDtype,
} from './dtype.ts';
import { parseJsonWithUniqueKeys, quote } from './json.ts';

/** Bytes of the length field in front of the header. */
export const lengthFieldBytes = 8;

/** The reference parser's limit; a header above it is an attack or a damaged length field. */
export const maxHeaderBytes = 100_000_000;

/** One tensor of a file. */
export interface TensorEntry extends StoredTensor {
  readonly dtype: SafetensorsDtype;
}

/** A tensor and the place of its first byte, counted from the end of the header. */
export interface PlacedTensor extends TensorEntry {
  readonly dataOffset: number;
}

export interface Header {
  /** In the order of the data. */
  readonly tensors: readonly PlacedTensor[];
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads the length field and checks it against the file.
 * @param field the first 8 bytes of the file
 * @throws SubzeroError `invalid_data`
 */
export function parseHeaderLength(field: Uint8Array, fileBytes: number, file: string): number {
  const length = new DataView(field.buffer, field.byteOffset, lengthFieldBytes).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) {
    throw invalid(file, `expected a header of at most ${maxHeaderBytes} bytes, got a length field of ${length}`);
  }
  if (length > BigInt(fileBytes - lengthFieldBytes)) {
    throw invalid(
      file,
      `expected a header that fits into the file's ${fileBytes} bytes, got a length field of ${length}; ` +
        'the file was cut short or is damaged, download or copy it again',
    );
  }
  return Number(length);
}

/**
 * Parses and checks the JSON of a header.
 * @param dataBytes bytes of the file behind the header
 * @throws SubzeroError `invalid_data` for a broken rule, `unsupported` for a valid element type that cannot be opened.
 */
export function parseHeader(bytes: Uint8Array, dataBytes: number, file: string): Header {
  if (bytes[0] !== 0x7b) {
    throw invalid(
      file,
      bytes.length === 0
        ? 'expected a header that starts with "{", got an empty header'
        : `expected a header that starts with "{", got byte 0x${bytes[0]!.toString(16).padStart(2, '0')}`,
    );
  }
  let parsed: Record<string, unknown>;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    parsed = parseJsonWithUniqueKeys(text) as Record<string, unknown>;
  } catch (error) {
    throw invalid(file, `the header is not valid JSON: ${(error as Error).message.slice(0, 300)}`, error);
  }
  const tensors: PlacedTensor[] = [];
  let metadata: Readonly<Record<string, string>> = {};
  for (const [key, value] of Object.entries(parsed)) {
    if (key === '__metadata__') metadata = checkMetadata(value, file);
    else tensors.push(checkTensor(key, value, file));
  }
  checkPlacement(tensors, dataBytes, file);
  return { tensors, metadata };
}

/**
 * Builds the length field and the header, padded with spaces so that the data begins at a multiple of 8.
 * @throws SubzeroError `invalid_argument` if the header would be longer than the format allows.
 */
export function buildHeader(header: Header, file: string): Uint8Array {
  // Object.fromEntries and not assignment: a tensor may be called "__proto__".
  const entries: [string, unknown][] = header.tensors.map(({ name, dtype, shape, dataOffset, byteLength }) => [
    name,
    { dtype, shape, data_offsets: [dataOffset, dataOffset + byteLength] },
  ]);
  if (Object.keys(header.metadata).length > 0) entries.unshift(['__metadata__', header.metadata]);
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const length = Math.ceil(json.byteLength / 8) * 8;
  if (length > maxHeaderBytes) {
    throw new SubzeroError(
      'invalid_argument',
      `${file}: names and metadata need a header of ${length} bytes; the format allows ${maxHeaderBytes}`,
      { parameter: file },
    );
  }
  const bytes = new Uint8Array(lengthFieldBytes + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, lengthFieldBytes);
  return bytes;
}

/** True if `text` cannot be written as UTF-8; JSON can hold such text as an escape of half a surrogate pair. */
export function hasLoneSurrogate(text: string): boolean {
  return /\p{Surrogate}/u.test(text);
}

function invalid(file: string, reason: string, cause?: unknown): SubzeroError {
  return new SubzeroError('invalid_data', `${file}: ${reason}`, { parameter: file, cause });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkMetadata(value: unknown, file: string): Readonly<Record<string, string>> {
  if (!isObject(value)) throw invalid(file, `expected __metadata__ to be an object, got ${quote(value)}`);
  for (const [key, entry] of Object.entries(value)) {
    if (typeof entry !== 'string') {
      throw invalid(file, `expected only strings in __metadata__, got ${quote(entry)} for ${quote(key)}`);
    }
  }
  return value as Record<string, string>;
}

function checkTensor(name: string, value: unknown, file: string): PlacedTensor {
  const where = `tensor ${quote(name)}`;
  if (hasLoneSurrogate(name)) throw invalid(file, `${where}: expected a name of valid Unicode`);
  if (!isObject(value)) {
    throw invalid(file, `${where}: expected an object with dtype, shape and data_offsets, got ${quote(value)}`);
  }
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isSafetensorsDtype(dtype)) {
    const known = Object.keys(dtypeBytes).join(', ');
    if (isUnsupportedDtype(dtype)) {
      throw new SubzeroError('unsupported', `${file}: ${where} has the element type ${dtype}; supported are ${known}`, {
        parameter: file,
      });
    }
    throw invalid(file, `${where}: expected a dtype out of ${known}, got ${quote(dtype)}`);
  }
  const count = Array.isArray(shape) ? elementCount(shape) : undefined;
  if (count === undefined) {
    throw invalid(file, `${where}: expected a shape of whole numbers whose product is below 2^53, got ${quote(shape)}`);
  }
  const size = count * dtypeBytes[dtype];
  if (!Number.isSafeInteger(size)) {
    throw invalid(file, `${where}: expected fewer than 2^53 bytes, got the shape ${quote(shape)} of ${dtype}`);
  }
  if (!isOffsetPair(offsets)) {
    throw invalid(file, `${where}: expected data_offsets of two whole numbers [start, end], got ${quote(offsets)}`);
  }
  const [start, end] = offsets;
  if (end - start !== size) {
    throw invalid(
      file,
      `${where}: expected ${size} bytes for the shape ${quote(shape)} of ${dtype}, ` +
        `got data_offsets [${start}, ${end}], ${end - start} bytes`,
    );
  }
  return { name, dtype, shape: shape as number[], byteLength: size, dataOffset: start };
}

function isOffsetPair(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every(isWholeNumber) && value[0] <= value[1];
}

/** Sorts by place and checks that the data is covered exactly once, from its first byte to its last. */
function checkPlacement(tensors: PlacedTensor[], dataBytes: number, file: string): void {
  tensors.sort((a, b) => a.dataOffset - b.dataOffset || a.byteLength - b.byteLength);
  let end = 0;
  for (const { name, dataOffset, byteLength } of tensors) {
    if (dataOffset !== end) {
      throw invalid(
        file,
        `tensor ${quote(name)}: expected its data to start at ${end}, where the data before it ends, got ` +
          `${dataOffset} ` +
          `(${dataOffset > end ? 'a hole' : 'an overlap'})`,
      );
    }
    end += byteLength;
  }
  if (end !== dataBytes) {
    throw invalid(
      file,
      `expected ${end} bytes of data after the header, got ${dataBytes}; ` +
        (dataBytes < end
          ? 'the file was cut short, download or copy it again'
          : 'the header does not cover all of them'),
    );
  }
}
