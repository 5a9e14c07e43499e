/**
 * How far the reading of files is.
 *
 * @module
 */

import { stat } from '../platform/index.ts';
import { asReadError } from './packing.ts';

/** Told how many bytes of a file are read, as it lies there: packed, if it is. */
export type OnRead = (bytes: number) => void;

/** Told how many bytes of all files are read, and how many there are. */
export type OnReadAll = (bytes: number, total: number) => void;

/**
 * What to tell for each of several files that are read one after the other; nothing without somebody to tell.
 * @throws SubzeroError `not_found`, `io`
 */
export async function readProgress(
  files: readonly string[],
  tell: OnReadAll | undefined,
): Promise<(file: string) => OnRead | undefined> {
  if (tell === undefined) return () => undefined;
  const starts = new Map<string, number>();
  let total = 0;
  for (const file of files) {
    starts.set(file, total);
    const { size } = await stat(file).catch((error: unknown) => Promise.reject(asReadError(file, error)));
    total += size;
  }
  return (file) => (bytes) => tell(starts.get(file)! + bytes, total);
}
