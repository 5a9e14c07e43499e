/**
 * Reading the files of a tokenizer: JSON and text with errors that name the file.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { decodeText, parseJsonFile, refuseForeignFile } from '../model-file.ts';
import { readFile, stat } from '../platform/index.ts';

/** The largest published tokenizer.json is about 35 MB (Gemma); anything far above it is not a tokenizer. */
const maxFileBytes = 256 * 1024 * 1024;

/** The bytes of a file, or `undefined` if there is no such file. */
async function readOptionalBytes(path: string): Promise<Uint8Array | undefined> {
  try {
    const { size } = await stat(path);
    if (size > maxFileBytes) {
      throw new SubzeroError('invalid_data', `${path} has ${size} bytes; at most ${maxFileBytes} are read`, {
        parameter: path,
      });
    }
    return await readFile(path);
  } catch (error) {
    if (error instanceof SubzeroError) throw error;
    const { code } = error as { code?: unknown };
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new SubzeroError('io', `cannot read ${path}: ${(error as Error).message}`, { parameter: path, cause: error });
  }
}

/** The text of a file, or `undefined` if there is no such file. */
export async function readOptionalText(path: string): Promise<string | undefined> {
  const bytes = await readOptionalBytes(path);
  if (bytes === undefined) return undefined;
  // A chat template may be empty, and so may the merges of a vocabulary of bytes.
  if (bytes.length > 0) refuseForeignFile(bytes, path);
  return decodeText(bytes, path);
}

/** A JSON object from a file, or `undefined` if there is no such file. */
export async function readOptionalJson(path: string): Promise<Record<string, unknown> | undefined> {
  const bytes = await readOptionalBytes(path);
  if (bytes === undefined) return undefined;
  const value = parseJsonFile(bytes, path);
  if (!isRecord(value)) {
    throw new SubzeroError('invalid_data', `${path} must hold a JSON object`, { parameter: path });
  }
  return value;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
