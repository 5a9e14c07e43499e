/**
 * The pages of files that the system keeps in memory.
 *
 * @module
 */

import { spawnSync } from 'node:child_process';

/**
 * Drops the pages of a file, which must be on the disk, from the system's memory; those of other files stay.
 * @returns why that was not possible, if it was not
 */
export function dropPages(file: string): string | undefined {
  // GNU's dd gives this advice for the whole file when it copies nothing.
  const { error, status, stderr } = spawnSync('dd', [`if=${file}`, 'iflag=nocache', 'count=0'], { encoding: 'utf8' });
  if (error || status !== 0) return `dd cannot drop ${file} from memory: ${error?.message ?? stderr.trim()}`;
  const left = pagesLeft(file);
  if (left === undefined) return `fincore (util-linux) is not here to confirm that ${file} is not in memory`;
  return left === 0 ? undefined : `${left} bytes of ${file} stayed in memory`;
}

/** Bytes of a file that are in memory; `undefined` where there is no program that tells. */
function pagesLeft(file: string): number | undefined {
  const arguments_ = ['--bytes', '--noheadings', '--output', 'RES', file];
  const { error, status, stdout } = spawnSync('fincore', arguments_, { encoding: 'utf8' });
  return error || status !== 0 ? undefined : Number(stdout);
}
