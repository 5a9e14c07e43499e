/**
 * Writes a GGUF file (version 3, little-endian) as a stream of tensors.
 *
 * @see https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { FileHandle } from '../platform/index.ts';
import { writeFully, writeWhole } from '../safetensors/disk.ts';
import { quote } from '../safetensors/json.ts';
import type { MetadataValue } from './header.ts';
import { tensorTypes } from './tensor-types.ts';

/** A value with its kind. */
export type TypedValue =
  | { kind: 'u32' | 'i32' | 'f32'; value: number }
  | { kind: 'flag'; value: boolean }
  | { kind: 'text'; value: string }
  | { kind: 'texts'; value: readonly string[] }
  | { kind: 'i32s' | 'f32s'; value: readonly number[] }
  | { kind: 'flags'; value: readonly boolean[] };

export type TypedMetadata = ReadonlyMap<string, TypedValue>;

/** One tensor to write. */
export interface GgufTensorToWrite {
  readonly name: string;
  /** As ggml calls the type. */
  readonly type: string;
  /** Outermost first. */
  readonly shape: readonly number[];
  /** The pieces put together are its bytes. */
  readonly data: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

const alignment = 32;

const numbers = { u32: 4, i32: 5, f32: 6, flag: 7, text: 8, list: 9 } as const;

type SingleKind = Exclude<keyof typeof numbers, 'list'>;

/** The values as a reader sees them. */
export function readBack(keys: TypedMetadata): Map<string, MetadataValue> {
  return new Map(
    [...keys].map(([key, { kind, value }]) => {
      if (kind === 'f32') return [key, Math.fround(value)];
      return [key, kind === 'f32s' ? value.map(Math.fround) : value];
    }),
  );
}

/**
 * Writes a file and holds no more than one piece of data. The file appears under its name when it is complete and on
 * the disk: until then it is `FILE.partial`, which is removed on a failure. An existing file is replaced.
 *
 * @throws SubzeroError `invalid_data` if a tensor's pieces do not have the length that its shape says, `not_found` if
 *   the directory does not exist, `io` if the disk is full or read-only. An error thrown by `data` is passed on.
 */
export async function writeGguf(
  file: string,
  keys: TypedMetadata,
  tensors: readonly GgufTensorToWrite[],
): Promise<void> {
  const placed = place(tensors);
  const header = headerOf(keys, placed);
  await writeWhole(file, async (handle, partial) => {
    await writeFully(handle, partial, 0, header);
    for (const tensor of placed) await writeTensor(handle, partial, header.byteLength, tensor);
  });
}

type Placed = GgufTensorToWrite & { typeNumber: number; byteLength: number; offset: number };

function place(tensors: readonly GgufTensorToWrite[]): Placed[] {
  const byName = new Map([...tensorTypes].map(([id, type]) => [type.name, { id, type }]));
  let offset = 0;
  return tensors.map((tensor) => {
    const { id, type } = byName.get(tensor.type)!;
    const count = tensor.shape.reduce((product, size) => product * size, 1);
    if ((tensor.shape.at(-1) ?? 1) % type.values !== 0) throw new Error(`rows of ${tensor.name} are no whole blocks`);
    const byteLength = (count / type.values) * type.bytes;
    const result = { ...tensor, typeNumber: id, byteLength, offset };
    offset += aligned(byteLength);
    return result;
  });
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

function headerOf(keys: TypedMetadata, tensors: readonly Placed[]): Uint8Array {
  const bytes = new Bytes();
  bytes.raw(new TextEncoder().encode('GGUF'));
  bytes.u32(3);
  bytes.u64(tensors.length);
  bytes.u64(keys.size);
  for (const [key, value] of keys) {
    bytes.text(key);
    bytes.value(value);
  }
  for (const { name, shape, typeNumber, offset } of tensors) {
    bytes.text(name);
    bytes.u32(shape.length);
    for (const size of shape.toReversed()) bytes.u64(size);
    bytes.u32(typeNumber);
    bytes.u64(offset);
  }
  const header = bytes.joined();
  const whole = new Uint8Array(aligned(header.byteLength));
  whole.set(header);
  return whole;
}

/** Bytes that grow. */
class Bytes {
  #bytes = new Uint8Array(1024 * 1024);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Room for so many more. @returns where they begin */
  #take(count: number): number {
    const start = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#length);
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return start;
  }

  raw(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#take(bytes.length));
  }

  u32(value: number): void {
    this.#view.setUint32(this.#take(4), value, true);
  }

  i32(value: number): void {
    this.#view.setInt32(this.#take(4), value, true);
  }

  f32(value: number): void {
    this.#view.setFloat32(this.#take(4), value, true);
  }

  u64(value: number): void {
    this.#view.setBigUint64(this.#take(8), BigInt(value), true);
  }

  text(value: string): void {
    const bytes = new TextEncoder().encode(value);
    this.u64(bytes.length);
    this.raw(bytes);
  }

  value({ kind, value }: TypedValue): void {
    if (kind === 'texts' || kind === 'i32s' || kind === 'f32s' || kind === 'flags') {
      const one = kind.slice(0, -1) as SingleKind;
      this.u32(numbers.list);
      this.u32(numbers[one]);
      this.u64(value.length);
      for (const entry of value as readonly (number | boolean | string)[]) this.#single(one, entry);
      return;
    }
    this.u32(numbers[kind]);
    this.#single(kind, value as number | boolean | string);
  }

  #single(kind: SingleKind, value: number | boolean | string): void {
    if (kind === 'flag') this.#bytes[this.#take(1)] = value ? 1 : 0;
    else if (kind === 'text') this.text(value as string);
    else this[kind](value as number);
  }

  joined(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

async function writeTensor(
  handle: FileHandle,
  partial: string,
  dataStart: number,
  { name, byteLength, offset, data }: Placed,
): Promise<void> {
  let written = 0;
  const wrong = (got: string) =>
    new SubzeroError('invalid_data', `${partial}: tensor ${quote(name)}: expected ${byteLength} bytes, got ${got}`, {
      parameter: name,
    });
  for await (const piece of data()) {
    if (written + piece.byteLength > byteLength) throw wrong(`at least ${written + piece.byteLength}`);
    await writeFully(handle, partial, dataStart + offset + written, piece);
    written += piece.byteLength;
  }
  if (written !== byteLength) throw wrong(String(written));
  const padding = aligned(byteLength) - byteLength;
  if (padding > 0) await writeFully(handle, partial, dataStart + offset + written, new Uint8Array(padding));
}
