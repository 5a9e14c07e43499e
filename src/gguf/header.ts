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
import { shortText } from './short-text.ts';
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
  /** The data, and each tensor in it, begin at multiples of so many bytes. */
  readonly alignment: number;
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

/**
 * Entries of all lists together: what they take in memory is far more than in the file. A vocabulary has under 2^20.
 */
const maxEntries = 2 ** 24;

const defaultAlignment = 32;

/** Bytes of the least that a key and a tensor can take, by which counts are checked before anything is made. */
const leastKeyBytes = 8 + 4 + 1;
const leastTensorBytes = 8 + 4 + 4 + 8;

/** Kinds of values by their numbers: the least bytes that one takes, and how it is read. */
const kinds: readonly { least: number; read: (cursor: Cursor, nesting: number) => MetadataValue }[] = [
  { least: 1, read: (cursor) => cursor.view.getUint8(cursor.take(1)) },
  { least: 1, read: (cursor) => cursor.view.getInt8(cursor.take(1)) },
  { least: 2, read: (cursor) => cursor.view.getUint16(cursor.take(2), true) },
  { least: 2, read: (cursor) => cursor.view.getInt16(cursor.take(2), true) },
  { least: 4, read: (cursor) => cursor.view.getUint32(cursor.take(4), true) },
  { least: 4, read: (cursor) => cursor.view.getInt32(cursor.take(4), true) },
  { least: 4, read: (cursor) => cursor.view.getFloat32(cursor.take(4), true) },
  { least: 1, read: readFlag },
  { least: 8, read: (cursor) => cursor.text('a text') },
  { least: 12, read: readArray },
  { least: 8, read: (cursor) => exact(cursor.view.getBigUint64(cursor.take(8), true)) },
  { least: 8, read: (cursor) => exact(cursor.view.getBigInt64(cursor.take(8), true)) },
  { least: 8, read: (cursor) => cursor.view.getFloat64(cursor.take(8), true) },
];

/**
 * Parses and checks a header.
 *
 * @param bytes the beginning of the file
 * @param fileBytes the size of the file
 * @param keep the keys whose values are wanted; others are checked and passed over
 * @param ofFirstShard the alignment of the model's first shard, for a shard that states none
 * @throws HeaderContinues if `bytes` ends before the header does; SubzeroError `invalid_data` for a broken rule, with
 *   the key or the tensor, `unsupported` for another version or byte order
 */
export function parseHeader(
  bytes: Uint8Array,
  fileBytes: number,
  file: string,
  keep: (key: string) => boolean = () => true,
  ofFirstShard = defaultAlignment,
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
    const value = readValue(cursor, cursor.view.getUint32(cursor.take(4), true), 0);
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
  const alignment =
    alignmentOf(metadata, file) ?? unstatedAlignment(infos, { headerEnd: cursor.position, fileBytes, ofFirstShard });
  const headerBytes = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = infos.map((info) => place(info, { headerBytes, alignment, fileBytes, file }));
  checkOverlaps(tensors, file);
  return { metadata, tensors, headerBytes: Math.min(headerBytes, fileBytes), alignment };
}

interface TensorInfo extends Pick<GgufTensor, 'name' | 'type' | 'shape' | 'byteLength'> {
  /** Counted from the first byte of the data. */
  offset: bigint;
}

/**
 * Reads one value after the other. What lies beyond the file is an error, what lies beyond `bytes` needs more of it.
 */
class Cursor {
  position = 0;
  /** What is read, for errors. */
  where = 'the beginning';
  /** Values are passed over: texts are not decoded, and lists stay empty. */
  discards = false;
  /** Entries of lists so far. */
  entries = 0;
  readonly view: DataView;
  readonly #bytes: Uint8Array;
  readonly #fileBytes: number;
  readonly #file: string;

  constructor(bytes: Uint8Array, fileBytes: number, file: string) {
    this.#bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fileBytes = fileBytes;
    this.#file = file;
  }

  invalid(reason: string): SubzeroError {
    return new SubzeroError('invalid_data', `${this.#file}: ${this.where}: ${reason}`, { parameter: this.#file });
  }

  /** Takes so many bytes and returns where they begin. */
  take(bytes: number, what = 'a value'): number {
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

  /** A number of things, each of which takes at least so many bytes of what is left of the file. */
  count(what: string, leastBytes: number): number {
    const count = this.view.getBigUint64(this.take(8), true);
    const room = Math.floor((this.#fileBytes - this.position) / leastBytes);
    if (count > BigInt(room)) {
      throw this.invalid(`expected ${what} to fit into the file's ${this.#fileBytes} bytes, got ${count}`);
    }
    return Number(count);
  }

  text(what: string, mostBytes = maxHeaderBytes): string {
    const at = this.take(8);
    // Two halves, of which the upper one is 0 but in damaged files, are much faster than a bigint.
    const length = this.view.getUint32(at, true) + this.view.getUint32(at + 4, true) * 2 ** 32;
    if (length > mostBytes) {
      const given = this.view.getBigUint64(at, true);
      throw this.invalid(`expected ${what} of at most ${mostBytes} bytes, got ${given}`);
    }
    const start = this.take(length, what);
    if (this.discards) return '';
    try {
      const end = start + length;
      return shortText(this.#bytes, start, end) ?? decoder.decode(this.#bytes.subarray(start, end));
    } catch {
      throw this.invalid(`${what} is not UTF-8`);
    }
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function checkBeginning(cursor: Cursor, file: string): void {
  if (cursor.view.getUint32(cursor.take(4)) !== 0x47475546)
    throw cursor.invalid('expected a GGUF file, which begins with "GGUF"');
  const at = cursor.take(4);
  const number = cursor.view.getUint32(at, true);
  if (number === 2 || number === 3) return;
  const isBigEndian = [2, 3].includes(cursor.view.getUint32(at));
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
  const value = cursor.view.getUint8(cursor.take(1));
  if (value > 1) throw cursor.invalid(`expected 0 or 1 as a truth value, got ${value}`);
  return value === 1;
}

function readArray(cursor: Cursor, nesting: number): MetadataValue {
  if (nesting === maxNesting) throw cursor.invalid(`expected lists to be nested at most ${maxNesting} deep`);
  const kind = cursor.view.getUint32(cursor.take(4), true);
  // An unknown kind is refused here even where the list is empty.
  const known = kinds[kind];
  if (known === undefined) throw cursor.invalid(`expected a type of value from 0 to ${kinds.length - 1}, got ${kind}`);
  const count = cursor.count('the length of a list', known.least);
  if (!cursor.discards) cursor.entries += count;
  if (cursor.entries > maxEntries) {
    throw cursor.invalid(`expected lists of ${maxEntries} entries together at most, got ${cursor.entries}`);
  }
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
  const dimensions = cursor.view.getUint32(cursor.take(4), true);
  if (dimensions > maxDimensions) {
    throw cursor.invalid(`expected at most ${maxDimensions} dimensions, got ${dimensions}`);
  }
  const stored = Array.from({ length: dimensions }, () => cursor.view.getBigUint64(cursor.take(8), true));
  const id = cursor.view.getUint32(cursor.take(4), true);
  const offset = cursor.view.getBigUint64(cursor.take(8), true);
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

function alignmentOf(metadata: Metadata, file: string): number | undefined {
  const alignment = metadata.get('general.alignment');
  if (alignment === undefined) return undefined;
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

/**
 * The alignment of a file that states none: the format's default, or that of the first shard. Python's `gguf` states
 * the alignment of all shards in the first alone, and llama.cpp's splitter lays out the others by the default. The size
 * of the file tells which: behind the data there is less padding than the default.
 */
function unstatedAlignment(
  infos: readonly TensorInfo[],
  { headerEnd, fileBytes, ofFirstShard }: Record<'headerEnd' | 'fileBytes' | 'ofFirstShard', number>,
): number {
  let dataBytes = 0n;
  for (const { offset, byteLength } of infos) {
    if (offset % BigInt(defaultAlignment) !== 0n) return ofFirstShard;
    const end = offset + BigInt(byteLength);
    if (end > dataBytes) dataBytes = end;
  }
  const headerBytes = Math.ceil(headerEnd / defaultAlignment) * defaultAlignment;
  const behind = BigInt(fileBytes) - BigInt(headerBytes) - dataBytes;
  return behind >= 0n && behind < BigInt(defaultAlignment) ? defaultAlignment : ofFirstShard;
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
        `${file}: tensor ${quote(tensor.name)}: expected its data behind that of ${quote(before.name)}, which ends ` +
          `at byte ${end}, got ${tensor.position} (an overlap)`,
        { parameter: file },
      );
    }
    before = tensor;
  }
}
