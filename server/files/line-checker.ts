/**
 * Checks a training file line by line while its bytes arrive, in the memory of one line.
 *
 * @module
 */

import { checkExample } from './examples.ts';

const lineFeed = 0x0a;

/** So many faulty lines are named; the rest is counted by nobody. */
const reportedProblems = 5;

export class LineChecker {
  readonly #filename: string;
  readonly #lineBytes: number;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  #pieces: Uint8Array[] = [];
  #pendingBytes = 0;
  #number = 0;
  #format: { name: string; line: number } | undefined;

  /** Non-empty lines so far. */
  lines = 0;
  /** Sentences that name the file and the line, at most {@link reportedProblems}. */
  readonly problems: string[] = [];

  constructor(filename: string, lineBytes: number) {
    this.#filename = filename;
    this.#lineBytes = lineBytes;
  }

  /** Enough is wrong; there is no point in reading on. */
  get hopeless(): boolean {
    return this.problems.length >= reportedProblems;
  }

  write(chunk: Uint8Array): void {
    let start = 0;
    while (!this.hopeless) {
      const end = chunk.indexOf(lineFeed, start);
      if (end < 0) break;
      this.#push(chunk.subarray(start, end));
      this.#endLine();
      start = end + 1;
    }
    if (!this.hopeless) this.#push(chunk.subarray(start));
  }

  /** Call after the last byte. */
  finish(): void {
    if (this.#pendingBytes > 0 && !this.hopeless) this.#endLine();
    if (this.lines === 0 && this.problems.length === 0) this.problems.push(`${this.#filename} holds no examples`);
  }

  #push(piece: Uint8Array): void {
    // Beyond the limit only the length matters.
    if (this.#pendingBytes <= this.#lineBytes && piece.length > 0) this.#pieces.push(piece);
    this.#pendingBytes += piece.length;
  }

  #endLine(): void {
    this.#number++;
    const pieces = this.#pieces;
    const bytes = this.#pendingBytes;
    this.#pieces = [];
    this.#pendingBytes = 0;
    if (bytes > this.#lineBytes) {
      this.#report(`is longer than ${this.#lineBytes} bytes`);
      return;
    }
    let line: string;
    try {
      line = this.#decoder.decode(Buffer.concat(pieces));
    } catch {
      this.#report('is not valid UTF-8');
      return;
    }
    if (line.trim() === '') return;
    this.lines++;
    const result = checkExample(line);
    if ('problem' in result) {
      this.#report(result.problem);
    } else if (!this.#format) {
      this.#format = { name: result.format, line: this.#number };
    } else if (this.#format.name !== result.format) {
      const { name, line: first } = this.#format;
      this.#report(`has the fields {${result.format}}, but line ${first} has {${name}}; a file holds one kind only`);
    }
  }

  #report(problem: string): void {
    this.problems.push(`${this.#filename} line ${this.#number} ${problem}`);
  }
}
