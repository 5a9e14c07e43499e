/**
 * Rows of a file in two files: to train on, and to compare on.
 *
 * @module
 */

import { readRows } from '../data/containers/index.ts';
import { samplePermutation } from '../data/sampling.ts';
import { SubzeroError } from '../errors.ts';
import { rename, writeFile } from '../platform/index.ts';

/** How many rows went where. */
export interface SplitFigures {
  train: number;
  test: number;
}

/**
 * Writes the rows of a file as JSON Lines into two, drawn by a seed, each in the order that the rows had.
 * @param share of the rows that are compared on; at least one row, and never all
 * @throws SubzeroError `invalid_data` for fewer than two rows
 */
export async function splitRows(
  file: string,
  to: { train: string; test: string },
  share: number,
  seed: number,
): Promise<SplitFigures> {
  const lines: string[] = [];
  for await (const { value } of readRows(file)) lines.push(`${JSON.stringify(value)}\n`);
  if (lines.length < 2) {
    throw new SubzeroError('invalid_data', `${file} has ${lines.length} row; at least two are needed`, {
      parameter: file,
    });
  }
  const count = Math.min(lines.length - 1, Math.max(1, Math.round(share * lines.length)));
  const held = new Set(samplePermutation(seed, lines.length).slice(0, count));
  const part = (isTest: boolean): string => lines.filter((_, index) => held.has(index) === isTest).join('');
  await replace(to.test, part(true));
  // The training rows last: where they are, both are.
  await replace(to.train, part(false));
  return { train: lines.length - count, test: count };
}

async function replace(file: string, content: string): Promise<void> {
  await writeFile(`${file}.part`, content);
  await rename(`${file}.part`, file);
}
