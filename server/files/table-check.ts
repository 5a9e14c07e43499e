/**
 * The check of uploaded files that are no JSON Lines: that they can be read, and how many rows they have. Rows of JSON
 * are of a format; what the columns of tables mean is said by the job that trains on them.
 *
 * @module
 */

import { type Container, containers, knownContainer } from '../../src/data/containers/index.ts';
import { describeParquet } from '../../src/data/containers/parquet.ts';
import { SubzeroError } from '../../src/errors.ts';
import { invalid } from '../errors.ts';
import { checkRow } from './examples.ts';

/** What a file is by the name that it was uploaded under; JSON Lines if that says nothing. */
export function uploadedContainer(filename: string): Container {
  return knownContainer(filename) ?? containers[0]!;
}

/**
 * Counts the rows of a file on the disk.
 * @throws ApiError 400 that names the file as its sender calls it, and the row
 */
export async function countRows(container: Container, path: string, filename: string): Promise<number> {
  try {
    let rows = 0;
    // The pages of a Parquet file are read by the job: unpacked they can be far larger than the file.
    if (container.name === 'Parquet') rows = (await describeParquet(path)).rows;
    else {
      for await (const row of container.rows(path)) {
        rows++;
        if (container.name === 'JSON') await checkRow(row);
      }
    }
    if (rows === 0) throw new SubzeroError('invalid_data', `${path} holds no examples`);
    return rows;
  } catch (error) {
    if (!(error instanceof SubzeroError)) throw error;
    throw invalid(`${error.message.replaceAll(path, filename)}.`, 'file', 'invalid_training_file');
  }
}
