/**
 * Packed files: the ends of their names, and their content as it was before.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { type Packing, readStream } from '../platform/index.ts';
import type { OnRead } from './read-progress.ts';
import { zstdFrames } from './zstd-frames.ts';

const packings: Readonly<Record<string, Packing>> = { '.gz': 'gzip', '.zst': 'zstd' };

/** What packed files begin with: no text in UTF-8 does. */
const beginnings: Readonly<Record<string, readonly number[]>> = {
  '.gz': [0x1f, 0x8b],
  '.zst': [0x28, 0xb5, 0x2f, 0xfd],
};

/** The ends of the names of packed files. */
export const packedEnds = Object.keys(packings);

/** A file's name without the end that says how it is packed. */
export function withoutPacking(path: string): string {
  const end = packedEnds.find((each) => path.endsWith(each));
  return end === undefined ? path : path.slice(0, -end.length);
}

/**
 * The bytes of a file piece by piece, unpacked on the way where its name ends in `.gz` or `.zst`. Errors are those of
 * {@link asReadError} once they have gone through it.
 */
export async function* readUnpacked(path: string, onRead?: OnRead): AsyncGenerator<Uint8Array> {
  const packing = packings[path.slice(withoutPacking(path).length)];
  if (packing === undefined) {
    yield* withPackingRefused(path, readStream(path, { onRead }));
    return;
  }
  if (packing === 'gzip') {
    yield* readStream(path, { packing, onRead });
    return;
  }
  for await (const range of zstdFrames(path)) {
    yield* readStream(path, { packing, range, onRead: onRead && ((bytes) => onRead(range.start + bytes)) });
  }
}

/** The pieces of a file whose name has no end of a packing, unless they are packed. */
async function* withPackingRefused(path: string, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let isFirst = true;
  for await (const piece of pieces) {
    const end = packedEnds.find((each) => isFirst && beginnings[each]!.every((byte, at) => piece[at] === byte));
    if (end !== undefined) {
      const problem = `${path} is packed as ${packings[end]}; give it a name that ends in ${end}`;
      throw new SubzeroError('invalid_data', problem, { parameter: path });
    }
    isFirst = false;
    yield piece;
  }
}

/** The error of a read as one of ours. */
export function asReadError(path: string, error: unknown): Error {
  if (error instanceof SubzeroError) return error;
  const { code, message } = error as Error & { code?: string };
  const options = { parameter: path, cause: error };
  if (code === 'ENOENT') return new SubzeroError('not_found', `${path} does not exist`, options);
  if (code === 'EISDIR') return new SubzeroError('invalid_argument', `${path} is a directory, not a file`, options);
  if (code === 'ENOSYS') return new SubzeroError('unsupported', `cannot read ${path}: ${message}`, options);
  // Deno's errors of unpacking have no code, those of files have one on all runtimes.
  if (path.endsWith('.zst') && !/^E[A-Z]+$/.test(code ?? ''))
    return new SubzeroError('invalid_data', `${path} is not a valid zstd file`, options);
  if (code === 'Z_BUF_ERROR') {
    return new SubzeroError('invalid_data', `the gzip file ${path} was cut off: it ends within a member`, options);
  }
  if (code?.startsWith('Z_')) return new SubzeroError('invalid_data', `${path} is not a valid gzip file`, options);
  return new SubzeroError('io', `cannot read ${path}: ${message}`, options);
}
