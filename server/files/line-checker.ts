/**
 * Checks an uploaded file line by line while its bytes arrive, in the memory of one line. Rows to train on are checked
 * whole; requests and items are checked by the batch or the evaluation that reads them.
 *
 * @module
 */

import type { Format } from '../../src/data/formats.ts';
import { isRecord, rowError } from '../../src/data/row.ts';
import { utf8Problem } from '../../src/data/utf8.ts';
import { SubzeroError } from '../../src/errors.ts';
import { checkExample } from './examples.ts';
import type { UploadPurpose } from './library.ts';

const lineFeed = 0x0a;

/** The most faulty lines that are named; the file is not read any further after them. */
const reportedProblems = 5;

export class LineChecker {
  readonly #filename: string;
  readonly #lineBytes: number;
  #pieces: Uint8Array[] = [];
  #pendingBytes = 0;
  #number = 0;
  #first: { format: Format; source: string } | undefined;

  /** What the lines are, by the first of them: a file may come before the field that says what it is for. */
  content: UploadPurpose = 'fine-tune';
  /** Lines that are not blank, so far. */
  lines = 0;
  /** Sentences that name the file and the line, at most {@link reportedProblems}. */
  readonly problems: string[] = [];

  constructor(filename: string, lineBytes: number) {
    this.#filename = filename;
    this.#lineBytes = lineBytes;
  }

  /** Whether there is no point in reading on: enough faulty lines are named. */
  get hopeless(): boolean {
    return this.problems.length >= reportedProblems;
  }

  async write(chunk: Uint8Array): Promise<void> {
    let start = 0;
    while (!this.hopeless) {
      const end = chunk.indexOf(lineFeed, start);
      if (end < 0) break;
      this.#push(chunk.subarray(start, end));
      await this.#endLine();
      start = end + 1;
    }
    if (!this.hopeless) this.#push(chunk.subarray(start));
  }

  /** Call after the last byte. */
  async finish(): Promise<void> {
    if (this.#pendingBytes > 0 && !this.hopeless) await this.#endLine();
    if (this.lines === 0 && this.problems.length === 0) this.problems.push(`${this.#filename} holds no examples`);
  }

  #push(piece: Uint8Array): void {
    // Beyond the limit only the length matters.
    if (this.#pendingBytes <= this.#lineBytes && piece.length > 0) this.#pieces.push(piece);
    this.#pendingBytes += piece.length;
  }

  async #endLine(): Promise<void> {
    const source = `${this.#filename}:${++this.#number}`;
    const bytes = Buffer.concat(this.#pieces);
    const tooLong = this.#pendingBytes > this.#lineBytes;
    this.#pieces = [];
    this.#pendingBytes = 0;
    try {
      if (tooLong) throw rowError({ source }, `the line is longer than ${this.#lineBytes} bytes`);
      const text = decode(bytes, source);
      if (text.trim() === '') return;
      if (this.lines++ === 0) this.content = contentOf(text);
      if (this.content !== 'fine-tune') {
        if (parsedRecord(text) === undefined) throw rowError({ source }, 'the line is not a JSON object');
        return;
      }
      const checked = checkExample(text, source);
      // Not every line costs a turn of the event loop: most formats are checked at once.
      this.#compare(checked instanceof Promise ? await checked : checked, source);
    } catch (error) {
      if (!(error instanceof SubzeroError)) throw error;
      this.problems.push(error.message);
    }
  }

  #compare(format: Format, source: string): void {
    this.#first ??= { format, source };
    if (format === this.#first.format) return;
    const { format: expected, source: first } = this.#first;
    throw rowError(
      { source },
      `this row is ${format.shape}, but ${first} is ${expected.shape}; a file must hold one format`,
    );
  }
}

/** What a line is for: a request of a batch has all of its fields, and an item of an evaluation no others. */
function contentOf(text: string): UploadPurpose {
  const record = parsedRecord(text);
  if (record === undefined) return 'fine-tune';
  if (['custom_id', 'method', 'url', 'body'].every((name) => name in record)) return 'batch';
  const names = Object.keys(record);
  return isRecord(record.item) && names.every((name) => name === 'item' || name === 'sample') ? 'evals' : 'fine-tune';
}

function parsedRecord(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function decode(bytes: Uint8Array, source: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw rowError({ source }, utf8Problem(bytes));
  }
}
