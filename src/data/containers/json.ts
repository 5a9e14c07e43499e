/**
 * JSON documents: a list of rows, or an object with such a list in `data`. Files of JSON Lines are often named `.json`
 * too; they are told by their first line and read as what they are.
 *
 * @module
 */

import { readJsonLines, readLines, utf8Error } from '../lines.ts';
import { asReadError, readUnpacked } from '../packing.ts';
import type { OnRead } from '../read-progress.ts';
import { isRecord, makeRow, type Row, rowError, show } from '../row.ts';

/** Most bytes of a file that is one JSON document, since the whole of it is in memory; SQuAD's have 30 to 100 MB. */
const maxDocumentBytes = 512 * 1024 * 1024;

export async function* readJson(path: string, onRead?: OnRead): AsyncGenerator<Row> {
  if (await isJsonLines(path)) {
    yield* readJsonLines(path, undefined, onRead);
    return;
  }
  const rowsOf = (document: unknown): unknown[] => {
    const rows = isRecord(document) ? document.data : document;
    if (Array.isArray(rows)) return rows;
    throw rowError({ source: path }, `expected a list of rows or {"data": [...]}; got ${show(document)}`);
  };
  let number = 0;
  for await (const value of readDocumentRows(path, rowsOf, onRead)) {
    const source = `${path} (row ${++number})`;
    if (!isRecord(value)) throw rowError({ source }, `expected an object; got ${show(value)}`);
    yield makeRow(value, source);
  }
}

/** Whether the first line that is not blank is an object by itself, and no document with rows in `data`. */
async function isJsonLines(path: string): Promise<boolean> {
  for await (const { text } of readLines(path, maxDocumentBytes)) {
    if (!text.trimStart().startsWith('{')) return false;
    try {
      return !Array.isArray(JSON.parse(text).data);
    } catch {
      return false;
    }
  }
  return false;
}

/**
 * The rows of a file that is one JSON document. Each counts as its share of the file, since reading that takes far less
 * time than what becomes of them.
 * @throws SubzeroError `invalid_data`
 */
export async function* readDocumentRows<T>(
  path: string,
  rowsOf: (document: unknown) => readonly T[],
  onRead?: OnRead,
): AsyncGenerator<T> {
  let fileBytes = 0;
  const document = await readWhole(path, (bytes) => {
    fileBytes = bytes;
  });
  const rows = rowsOf(document);
  for (const [index, row] of rows.entries()) {
    onRead?.((fileBytes * index) / rows.length);
    yield row;
  }
}

async function readWhole(path: string, onRead: OnRead): Promise<unknown> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const parts: string[] = [];
  let bytes = 0;
  try {
    for await (const chunk of readUnpacked(path, onRead)) {
      bytes += chunk.length;
      if (bytes > maxDocumentBytes) {
        throw rowError(
          { source: path },
          `a JSON document of more than ${maxDocumentBytes} bytes is not read, for all of it would be in memory; ` +
            'write JSON Lines, one row a line',
        );
      }
      parts.push(decoder.decode(chunk, { stream: true }));
    }
    parts.push(decoder.decode());
  } catch (error) {
    if (error instanceof TypeError) throw await utf8Error(path, maxDocumentBytes);
    throw asReadError(path, error);
  }
  try {
    return JSON.parse(parts.join(''));
  } catch (error) {
    throw rowError({ source: path }, `not valid JSON: ${(error as Error).message}`);
  }
}
