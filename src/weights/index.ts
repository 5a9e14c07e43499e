/**
 * The storage types of weights.
 *
 * @module
 */

import { bytesToF32, otherHalf } from '../safetensors/convert.ts';
import { dtypeBytes, isSafetensorsDtype } from '../safetensors/dtype.ts';
import { bf16 } from './bf16.ts';
import { blockFormat } from './block-formats.ts';
import type { WeightCodec } from './codec.ts';
import { f16 } from './f16.ts';
import { f32 } from './f32.ts';
import { fp4 } from './fp4.ts';
import { fp8 } from './fp8.ts';
import { mxfp4 } from './mxfp4.ts';
import { nf4 } from './nf4.ts';
import { q4 } from './q4.ts';
import { q4k } from './q4k.ts';
import { q4m } from './q4m.ts';
import { q4z } from './q4z.ts';
import { q6k } from './q6k.ts';
import { q8 } from './q8.ts';
import { q8m } from './q8m.ts';
import { q8z } from './q8z.ts';

const table = { f32, f16, bf16, q8, q4, q8m, q4m, q6k, q4k, q4z, q8z, nf4, fp4, fp8, mxfp4 } as const;

/** The name of a storage type. */
export type Storage = keyof typeof table;

/** The name of a storage type that values of any file can be brought into. */
export type PackableStorage = {
  [S in Storage]: (typeof table)[S] extends { pack: unknown } ? S : never;
}[Storage];

/** The name of a storage type that can be changed where it lies. */
export type WritableStorage = {
  [S in Storage]: (typeof table)[S]['writing'] extends 'never' ? never : S;
}[Storage];

/** A choice of storage types: one for all weights where it fits them, or what suits files and adapter. */
export type StorageWish = PackableStorage | 'auto';

/** The codecs by their names. */
export const codecs: Readonly<Record<Storage, WeightCodec> & Record<PackableStorage, Required<WeightCodec>>> = table;

/** All names. */
export const storages = Object.keys(table) as Storage[];

/** The names of those that values of any file can be brought into. */
export const packableStorages: PackableStorage[] = storages.filter(
  (storage): storage is PackableStorage => 'pack' in table[storage],
);

/** Whether an element is stored by itself, as weight files have it. */
export function isPlain(storage: Storage): boolean {
  return codecs[storage].block.elements === 1;
}

/** Whether a weight of this type can be changed where it lies. */
export function isWritable(storage: Storage): storage is WritableStorage {
  return codecs[storage].writing !== 'never';
}

/** Whether rows of so many elements are whole blocks. */
export function fitsRows(storage: Storage, columns: number): boolean {
  return columns % codecs[storage].block.elements === 0;
}

/** Bytes of a row of so many elements. */
export function rowBytes(storage: Storage, columns: number): number {
  const { elements, bytes } = codecs[storage].block;
  return (columns / elements) * bytes;
}

/**
 * Whether tensors of this type consist of blocks: of a file format, or as a storage type itself lays them out, which
 * readers of some formats do.
 */
export function isBlocks(dtype: string): boolean {
  return blockFormat(dtype) !== undefined || laidOut(dtype) !== undefined;
}

/** The storage type whose own blocks a tensor of this type has. */
function laidOut(dtype: string): Storage | undefined {
  return storages.find((name) => name === dtype && !isPlain(name));
}

/** The storage type that keeps the values of a file as they are, if there is one. @param dtype or a type of blocks */
export function storageOfDtype(dtype: string): Storage | undefined {
  return (
    blockFormat(dtype)?.layout ??
    laidOut(dtype) ??
    storages.find((name) => isPlain(name) && codecs[name].dtype === dtype)
  );
}

/** Bytes of so many elements of a row in a file. @param dtype or a type of blocks */
export function fileBytes(dtype: string, elements: number): number {
  const format = blockFormat(dtype);
  if (format) return (elements / format.elements) * format.bytes;
  const own = laidOut(dtype);
  if (own) return rowBytes(own, elements);
  if (!isSafetensorsDtype(dtype)) throw new Error(`${dtype} is no type of elements`);
  return elements * dtypeBytes[dtype];
}

/**
 * Bytes of a file as they are stored.
 * @param dtype or a type of blocks
 * @param bytes whole rows
 * @param memory may hold what they become, or values on the way there, if it is long enough
 */
export function repack(storage: Storage, dtype: string, bytes: Uint8Array, memory?: Float32Array): Uint8Array {
  const codec = codecs[storage];
  const format = blockFormat(dtype);
  if (format?.layout === storage) return format.toLayout(bytes);
  if (isPlain(storage) && codec.dtype === dtype) return bytes;
  const own = laidOut(dtype);
  if (own === storage) return bytes;
  if ((storage === 'f16' && dtype === 'BF16') || (storage === 'bf16' && dtype === 'F16'))
    return otherHalf(dtype, bytes, memory);
  if (!codec.pack) throw new Error(`${storage} holds values of its own formats only, not of ${dtype}`);
  return codec.pack(valuesOfBytes(dtype, bytes, memory));
}

/** The values of whole rows of a file. @param dtype or a type of blocks @param memory may hold them */
export function valuesOfBytes(dtype: string, bytes: Uint8Array, memory?: Float32Array): Float32Array {
  const own = laidOut(dtype);
  return own ? codecs[own].unpack(bytes) : (blockFormat(dtype)?.toF32(bytes) ?? bytesToF32(dtype, bytes, memory));
}

/** The kernel file of a storage type. */
export function codecFile(storage: Storage): string {
  return `weights/${storage}.wgsl`;
}
