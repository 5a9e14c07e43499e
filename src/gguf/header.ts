/**
 * The header of a GGUF file: metadata of all value types, and the places of the tensors.
 *
 * Layout (little-endian): "GGUF", u32 version, u64 number of tensors, u64 number of keys, the keys with their values,
 * the tensors' infos, padding to the alignment, the data.
 *
 * @see https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { elementCount } from '../safetensors/dtype.ts';
import { quote } from '../safetensors/json.ts';
import { type TensorType, tensorTypes } from './tensor-types.ts';

/** A value of the metadata. Integers that a number cannot hold exactly are a bigint. */
export type MetadataValue = number | bigint | boolean | string | readonly MetadataValue[];

export type Metadata = ReadonlyMap<string, MetadataValue>;

/** One tensor, under the name that the file gives it. */
export interface GgufTensor {
  readonly name: string;
  readonly type: TensorType;
  /** Dimensions, outermost first; a file has them the other way round. */
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** Where its data begins, counted from the start of the file. */
  readonly position: number;
}

export interface GgufHeader {
  readonly metadata: Metadata;
  /** In the order of the file. */
  readonly tensors: readonly GgufTensor[];
  /** Bytes in front of the data. */
  readonly headerBytes: number;
}

/** The file's beginning does not reach to the end of the header; {@link parseHeader} needs so many bytes. */
export class HeaderContinues extends Error {
  readonly bytes: number;

  constructor(bytes: number) {
    super(`the header goes on to byte ${bytes} at least`);
    this.bytes = bytes;
  }
}

/** Headers above this are refused: the largest published ones, with 260 thousand tokens, take some 20 MiB. */
export const maxHeaderBytes = 256 * 1024 * 1024;

/** As in the definition of the format. */
const maxKeyBytes = 65_535;

/** ggml's. */
const maxDimensions = 4;

/** Arrays of arrays are part of the format; no deeper ones are in use. */
const maxNesting = 4;

const defaultAlignment = 32;

/** Bytes of the least that a key and a tensor can take, by which counts are checked before anything is made. */
const leastKeyBytes = 8 + 4 + 1;
const leastTensorBytes = 8 + 4 + 4 + 8;

/** Kinds of values by their numbers: the least bytes that one takes, and how it is read. */
const kinds: readonly { least: number; read: (cursor: Cursor, nesting: number) => MetadataValue }[] = [
  { least: 1, read: (cursor) => cursor.view(1).getUint8(0) },
  { least: 1, read: (cursor) => cursor.view(1).getInt8(0) },
  { least: 2, read: (cursor) => cursor.view(2).getUint16(0, true) },
  { least: 2, read: (cursor) => cursor.view(2).getInt16(0, true) },
  { least: 4, read: (cursor) => cursor.view(4).getUint32(0, true) },
  { least: 4, read: (cursor) => cursor.view(4).getInt32(0, true) },
  { least: 4, read: (cursor) => cursor.view(4).getFloat32(0, true) },
  { least: 1, read: readFlag },
  { least: 8, read: (cursor) => cursor.text('a text') },
  { least: 12, read: readArray },
  { least: 8, read: (cursor) => exact(cursor.view(8).getBigUint64(0, true)) },
  { least: 8, read: (cursor) => exact(cursor.view(8).getBigInt64(0, true)) },
  { least: 8, read: (cursor) => cursor.view(8).getFloat64(0, true) },
];

/**
 * Parses and checks a header.
 *
 * @param bytes the beginning of the file
 * @param fileBytes the size of the file
 * @param keep the keys whose values are wanted; others are checked and passed over
 * @throws HeaderContinues if `bytes` ends before the header does; SubzeroError `invalid_data` for a broken rule, with
 *   the key or the tensor, `unsupported` for another version or byte order
 */
export function parseHeader(
  bytes: Uint8Array,
  fileBytes: number,
  file: string,
  keep: (key: string) => boolean = () => true,
): GgufHeader {
  const cursor = new Cursor(bytes, fileBytes, file);
  checkBeginning(cursor, file);
  const tensorCount = cursor.count('the number of tensors', leastTensorBytes);
  const keyCount = cursor.count('the number of keys', leastKeyBytes);
  const metadata = new Map<string, MetadataValue>();
  const seen = new Set<string>();
  for (let index = 0; index < keyCount; index++) {
    cursor.where = `key ${index + 1} of ${keyCount}`;
    const key = cursor.text('a name', maxKeyBytes);
    cursor.where = `the key ${quote(key)}`;
    if (seen.has(key)) throw cursor.invalid('expected each key once, got it twice');
    seen.add(key);
    cursor.discards = key !== 'general.alignment' && !keep(key);
    const value = readValue(cursor, cursor.view(4).getUint32(0, true), 0);
    if (!cursor.discards) metadata.set(key, value);
    cursor.discards = false;
  }
  const infos: TensorInfo[] = [];
  const names = new Set<string>();
  for (let index = 0; index < tensorCount; index++) {
    cursor.where = `tensor ${index + 1} of ${tensorCount}`;
    const info = readTensor(cursor);
    if (names.has(info.name)) throw cursor.invalid('expected each name once, got it twice');
    names.add(info.name);
    infos.push(info);
  }
  cursor.where = 'the data';
  const alignment = alignmentOf(metadata, file);
  const headerBytes = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = infos.map((info) => place(info, { headerBytes, alignment, fileBytes, file }));
  checkOverlaps(tensors, file);
  return { metadata, tensors, headerBytes: Math.min(headerBytes, fileBytes) };
}

interface TensorInfo extends Pick<GgufTensor, 'name' | 'type' | 'shape' | 'byteLength'> {
  /** Counted from the first byte of the data. */
  offset: bigint;
}

/** Reads one value after the other. What lies beyond the file is an error, what lies beyond `bytes` needs more of it. */
class Cursor {
  position = 0;
  /** What is read, for errors. */
  where = 'the beginning';
  /** Values are passed over: texts are not decoded, and lists stay empty. */
  discards = false;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #fileBytes: number;
  readonly #file: string;

  constructor(bytes: Uint8Array, fileBytes: number, file: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fileBytes = fileBytes;
    this.#file = file;
  }

  invalid(reason: string): SubzeroError {
    return new SubzeroError('invalid_data', `${this.#file}: ${this.where}: ${reason}`, { parameter: this.#file });
  }

  /** Takes so many bytes and returns where they begin. */
  take(bytes: number, what: string): number {
    const end = this.position + bytes;
    if (end > this.#fileBytes) {
      throw this.invalid(
        `expected ${what} of ${bytes} bytes at byte ${this.position}, but the file has ${this.#fileBytes} bytes; ` +
          'it was cut short or is damaged, download or copy it again',
      );
    }
    if (end > maxHeaderBytes) throw this.invalid(`expected a header of at most ${maxHeaderBytes} bytes, got more`);
    if (end > this.#bytes.byteLength) throw new HeaderContinues(end);
    const start = this.position;
    this.position = end;
    return start;
  }

  view(bytes: number): DataView {
    const start = this.take(bytes, 'a value');
    return new DataView(this.#view.buffer, this.#view.byteOffset + start, bytes);
  }

  /** A number of things, each of which takes at least so many bytes of what is left of the file. */
  count(what: string, leastBytes: number): number {
    const count = this.view(8).getBigUint64(0, true);
    const room = Math.floor((this.#fileBytes - this.position) / leastBytes);
    if (count > BigInt(room)) {
      throw this.invalid(`expected ${what} to fit into the file's ${this.#fileBytes} bytes, got ${count}`);
    }
    return Number(count);
  }

  text(what: string, mostBytes = maxHeaderBytes): string {
    const length = this.view(8).getBigUint64(0, true);
    if (length > BigInt(mostBytes)) throw this.invalid(`expected ${what} of at most ${mostBytes} bytes, got ${length}`);
    const start = this.take(Number(length), what);
    if (this.discards) return '';
    try {
      return decoder.decode(this.#bytes.subarray(start, start + Number(length)));
    } catch {
      throw this.invalid(`${what} is not UTF-8`);
    }
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function checkBeginning(cursor: Cursor, file: string): void {
  const magic = cursor.view(4);
  if (magic.getUint32(0) !== 0x47475546) throw cursor.invalid('expected a GGUF file, which begins with "GGUF"');
  const version = cursor.view(4);
  const number = version.getUint32(0, true);
  if (number === 2 || number === 3) return;
  const isBigEndian = [2, 3].includes(version.getUint32(0));
  throw new SubzeroError(
    'unsupported',
    `${file}: expected version 2 or 3 of GGUF, got ` +
      (isBigEndian ? 'a file for big-endian machines; convert it anew without --bigendian' : String(number)),
    { parameter: file },
  );
}

function readValue(cursor: Cursor, kind: number, nesting: number): MetadataValue {
  const known = kinds[kind];
  if (known === undefined) throw cursor.invalid(`expected a type of value from 0 to ${kinds.length - 1}, got ${kind}`);
  return known.read(cursor, nesting);
}

function readFlag(cursor: Cursor): boolean {
  const value = cursor.view(1).getUint8(0);
  if (value > 1) throw cursor.invalid(`expected 0 or 1 as a truth value, got ${value}`);
  return value === 1;
}

function readArray(cursor: Cursor, nesting: number): MetadataValue {
  if (nesting === maxNesting) throw cursor.invalid(`expected lists to be nested at most ${maxNesting} deep`);
  const kind = cursor.view(4).getUint32(0, true);
  // An unknown kind is refused here even where the list is empty.
  const known = kinds[kind];
  if (known === undefined) throw cursor.invalid(`expected a type of value from 0 to ${kinds.length - 1}, got ${kind}`);
  const count = cursor.count('the length of a list', known.least);
  const values: MetadataValue[] = [];
  for (let index = 0; index < count; index++) {
    const value = known.read(cursor, nesting + 1);
    if (!cursor.discards) values.push(value);
  }
  return values;
}

/** An integer as a number where that holds it. */
function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function readTensor(cursor: Cursor): TensorInfo {
  const name = cursor.text('a name', maxKeyBytes);
  cursor.where = `tensor ${quote(name)}`;
  const dimensions = cursor.view(4).getUint32(0, true);
  if (dimensions > maxDimensions) {
    throw cursor.invalid(`expected at most ${maxDimensions} dimensions, got ${dimensions}`);
  }
  const stored = Array.from({ length: dimensions }, () => cursor.view(8).getBigUint64(0, true));
  const id = cursor.view(4).getUint32(0, true);
  const offset = cursor.view(8).getBigUint64(0, true);
  const type = tensorTypes.get(id);
  if (type === undefined) throw cursor.invalid(`the type of its data has the number ${id}, which is not known`);
  const shape = stored.map(Number).reverse();
  const count = elementCount(shape);
  if (count === undefined) {
    throw cursor.invalid(`expected a shape whose product is below 2^53, got [${stored.toReversed().join(', ')}]`);
  }
  const columns = shape.at(-1) ?? 1;
  if (columns % type.values !== 0) {
    throw cursor.invalid(
      `expected rows of whole blocks of ${type.values} values for ${type.name}, got rows of ${columns} values`,
    );
  }
  const byteLength = (count / type.values) * type.bytes;
  if (!Number.isSafeInteger(byteLength)) throw cursor.invalid('expected fewer than 2^53 bytes');
  return { name, type, shape, byteLength, offset };
}

function alignmentOf(metadata: Metadata, file: string): number {
  const alignment = metadata.get('general.alignment') ?? defaultAlignment;
  if (
    typeof alignment === 'number' &&
    alignment > 0 &&
    Number.isInteger(Math.log2(alignment)) &&
    alignment <= 2 ** 30
  ) {
    return alignment;
  }
  throw new SubzeroError(
    'invalid_data',
    `${file}: expected "general.alignment" to be a power of two, got ${quoteValue(alignment)}`,
    { parameter: file },
  );
}

/** A value in a few words, for errors. */
export function quoteValue(value: MetadataValue | undefined): string {
  if (Array.isArray(value) && value.length > 8) return `a list of ${value.length} values`;
  return quote(
    JSON.parse(JSON.stringify(value ?? null, (_, part) => (typeof part === 'bigint' ? String(part) : part))),
  );
}

function place(
  { name, type, shape, byteLength, offset }: TensorInfo,
  {
    headerBytes,
    alignment,
    fileBytes,
    file,
  }: Record<'headerBytes' | 'alignment' | 'fileBytes', number> & {
    file: string;
  },
): GgufTensor {
  const invalid = (reason: string) =>
    new SubzeroError('invalid_data', `${file}: tensor ${quote(name)}: ${reason}`, { parameter: file });
  if (offset % BigInt(alignment) !== 0n) {
    throw invalid(`expected its data at a multiple of ${alignment} bytes, got ${offset}`);
  }
  const end = BigInt(headerBytes) + offset + BigInt(byteLength);
  if (end > BigInt(fileBytes)) {
    throw invalid(
      `expected ${byteLength} bytes of data for the shape ${quote(shape)} of ${type.name} at byte ` +
        `${BigInt(headerBytes) + offset}, but the file has ${fileBytes} bytes; it was cut short or is damaged, ` +
        'download or copy it again',
    );
  }
  return { name, type, shape, byteLength, position: headerBytes + Number(offset) };
}

function checkOverlaps(tensors: readonly GgufTensor[], file: string): void {
  let before: GgufTensor | undefined;
  for (const tensor of tensors.toSorted((a, b) => a.position - b.position || a.byteLength - b.byteLength)) {
    const end = before === undefined ? 0 : before.position + before.byteLength;
    if (before && tensor.position < end) {
      throw new SubzeroError(
        'invalid_data',
        `${file}: tensor ${quote(tensor.name)}: expected its data behind that of ${quote(before.name)}, which ends at ` +
          `byte ${end}, got ${tensor.position} (an overlap)`,
        { parameter: file },
      );
    }
    before = tensor;
  }
}
