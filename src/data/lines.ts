/**
 * Text files line by line, in bounded memory.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { asReadError, readUnpacked } from './packing.ts';
import type { OnRead } from './read-progress.ts';
import { isRecord, makeRow, type Row, rowError, show } from './row.ts';
import { decodeUtf8, utf8Advice, utf8Problem } from './utf8.ts';

/** Longest line, in bytes: far above any example that fits a model's context. */
export const maxLineBytes = 16 * 1024 * 1024;

const byteOrderMark = '\uFEFF';

export interface Line {
  text: string;
  /** From 1. */
  number: number;
}

/**
 * The lines of a UTF-8 file that are not blank. A byte order mark, CRLF line ends and a missing last line end are
 * understood; a name that ends in `.gz` or `.zst` is unpacked on the way.
 *
 * @throws SubzeroError `not_found`, `io`, or `invalid_data` for a line that is too long or not UTF-8
 */
export async function* readLines(path: string, limit = maxLineBytes, onRead?: OnRead): AsyncGenerator<Line> {
  let number = 0;
  for await (const bytes of splitLines(path, { limit, onRead, currentLine: () => number + 1 })) {
    number++;
    let text: string;
    try {
      text = decodeUtf8(bytes);
    } catch (error) {
      throw new SubzeroError('invalid_data', `${path}:${number}: ${utf8Problem(bytes)}`, {
        parameter: path,
        cause: error,
      });
    }
    if (number === 1 && text.startsWith(byteOrderMark)) text = text.slice(1);
    if (text.endsWith('\r')) text = text.slice(0, -1);
    if (text.trim() !== '') yield { text, number };
  }
}

/**
 * The error about a file that is not UTF-8. It is read once more to name the line.
 * @param limit bytes of the longest line that is looked at
 */
export async function utf8Error(path: string, limit = maxLineBytes): Promise<SubzeroError> {
  try {
    for await (const _ of readLines(path, limit));
  } catch (error) {
    if (error instanceof SubzeroError && error.cause instanceof TypeError) return error;
  }
  // A pipe cannot be read twice.
  return rowError({ source: path }, `the file is not valid UTF-8; ${utf8Advice}`);
}

/** The rows of a JSON Lines file. */
export async function* readJsonLines(path: string, limit?: number, onRead?: OnRead): AsyncGenerator<Row> {
  for await (const { text, number } of readLines(path, limit, onRead)) {
    const source = `${path}:${number}`;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw rowError({ source }, `the line is not valid JSON: ${(error as Error).message}`);
    }
    if (!isRecord(value)) throw rowError({ source }, `expected a JSON object on each line; got ${show(value)}`);
    yield makeRow(value, source);
  }
}

const lineFeed = 0x0a;

async function* splitLines(
  path: string,
  { limit, onRead, currentLine }: { limit: number; onRead: OnRead | undefined; currentLine: () => number },
): AsyncGenerator<Uint8Array> {
  const parts: Uint8Array[] = [];
  let pending = 0;
  const take = (part: Uint8Array) => {
    pending += part.length;
    if (pending > limit) {
      throw new SubzeroError('invalid_data', `${path}:${currentLine()}: the line is longer than ${limit} bytes`, {
        parameter: path,
      });
    }
    parts.push(part);
  };
  const release = () => {
    const line = parts.length === 1 ? parts[0]! : concatenate(parts, pending);
    parts.length = 0;
    pending = 0;
    return line;
  };
  try {
    for await (const chunk of readUnpacked(path, onRead)) {
      let start = 0;
      for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
        take(chunk.subarray(start, end));
        start = end + 1;
        yield release();
      }
      if (start < chunk.length) take(chunk.subarray(start));
    }
  } catch (error) {
    throw asReadError(path, error);
  }
  if (pending > 0) yield release();
}

/** The parts one behind the other. */
function concatenate(parts: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let end = 0;
  for (const part of parts) {
    whole.set(part, end);
    end += part.length;
  }
  return whole;
}
