/**
 * Reading the files of a tokenizer: JSON and text with errors that name the file.
 *
 * @module
 */

import { readFile, stat } from 'node:fs/promises';
import { SubzeroError } from '../errors.ts';

/** The largest published tokenizer.json is about 35 MB (Gemma); anything far above it is not a tokenizer. */
const maxFileBytes = 256 * 1024 * 1024;

/** The text of a file, or `undefined` if there is no such file. */
export async function readOptionalText(path: string): Promise<string | undefined> {
  let bytes: Uint8Array;
  try {
    const { size } = await stat(path);
    if (size > maxFileBytes) {
      throw new SubzeroError('invalid_data', `${path} has ${size} bytes; at most ${maxFileBytes} are read`, {
        parameter: path,
      });
    }
    bytes = await readFile(path);
  } catch (error) {
    if (error instanceof SubzeroError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new SubzeroError('io', `cannot read ${path}: ${(error as Error).message}`, { parameter: path, cause: error });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new SubzeroError('invalid_data', `${path} is not UTF-8 text`, { parameter: path, cause: error });
  }
}

/** A JSON object from a file, or `undefined` if there is no such file. */
export async function readOptionalJson(path: string): Promise<Record<string, unknown> | undefined> {
  const text = await readOptionalText(path);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SubzeroError('invalid_data', `${path} is not valid JSON: ${(error as Error).message}`, {
      parameter: path,
      cause: error,
    });
  }
  if (!isRecord(value)) {
    throw new SubzeroError('invalid_data', `${path} must hold a JSON object`, { parameter: path });
  }
  return value;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
