/**
 * The storage types of weights.
 *
 * @module
 */

import { bytesToF32 } from '../safetensors/convert.ts';
import type { SafetensorsDtype } from '../safetensors/dtype.ts';
import { bf16 } from './bf16.ts';
import type { WeightCodec } from './codec.ts';
import { f16 } from './f16.ts';
import { f32 } from './f32.ts';

const table = { f32, f16, bf16 } as const;

/** The name of a storage type. */
export type Storage = keyof typeof table;

/** The codecs by their names. */
export const codecs: Readonly<Record<Storage, WeightCodec>> = table;

/** All names. */
export const storages = Object.keys(table) as Storage[];

/** Bytes of a row of so many elements. */
export function rowBytes(storage: Storage, columns: number): number {
  const { elements, bytes } = codecs[storage].block;
  return (columns / elements) * bytes;
}

/** The storage type that keeps the elements of a file as they are, if there is one. */
export function storageOfDtype(dtype: string): Storage | undefined {
  return storages.find((storage) => codecs[storage].dtype === dtype);
}

/** Bytes of a file as they are stored. @param bytes whole rows */
export function repack(storage: Storage, dtype: SafetensorsDtype, bytes: Uint8Array): Uint8Array {
  const codec = codecs[storage];
  return codec.dtype === dtype ? bytes : codec.pack(bytesToF32(dtype, bytes));
}

/** The kernel file of a storage type. */
export function codecFile(storage: Storage): string {
  return `weights/${storage}.wgsl`;
}
