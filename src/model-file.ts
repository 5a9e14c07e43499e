/**
 * Reading the files of a model, with errors that say what stands there instead.
 *
 * @module
 */

import { SubzeroError } from './errors.ts';
import { tellCutJson, tellForeignFile, tellingBytes } from './file-contents.ts';

/**
 * Refuses a file that is known to be something else.
 *
 * @param bytes its beginning, or all of it
 * @throws SubzeroError `invalid_data` naming the file, what it is and what to do
 */
export function refuseForeignFile(bytes: Uint8Array, file: string): void {
  const foreign = tellForeignFile(bytes.subarray(0, tellingBytes));
  if (foreign !== undefined) throw new SubzeroError('invalid_data', `${file} ${foreign}`, { parameter: file });
}

/** The text of a file. @throws SubzeroError `invalid_data` if it is not UTF-8 */
export function decodeText(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new SubzeroError('invalid_data', `${file} is not UTF-8 text`, { parameter: file, cause: error });
  }
}

/**
 * The value of a JSON file.
 *
 * @param bytes all of the file, in UTF-8
 * @param parse the parser; `JSON.parse` by default
 * @throws SubzeroError `invalid_data` naming the file, what it is and what to do
 */
export function parseJsonFile(bytes: Uint8Array, file: string, parse: (text: string) => unknown = JSON.parse): unknown {
  refuseForeignFile(bytes, file);
  const text = decodeText(bytes, file);
  try {
    return parse(text);
  } catch (error) {
    const why = tellCutJson(text) ?? (error as Error).message.slice(0, 300);
    throw new SubzeroError('invalid_data', `${file} is not valid JSON: ${why}`, { parameter: file, cause: error });
  }
}
