/**
 * metrics.jsonl: one JSON object a line for everything that a run reports. It is for people and plots; what a run needs
 * to go on is in its journal, so here a line may be lost and nothing is flushed step by step.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { type FileHandle, open } from '../platform/index.ts';
import { diskError, readFully, writeFully } from '../safetensors/disk.ts';

/** One line: the step it belongs to and any other fields. */
export interface MetricsRecord {
  step: number;
  [name: string]: unknown;
}

/** Appends to a metrics file. */
export interface MetricsWriter {
  readonly file: string;
  /**
   * Appends one line; numbers that JSON does not have (NaN, infinities) become `null`. Calls may overlap and keep their
   * order.
   * @throws SubzeroError `io` if it cannot be written, for instance on a full disk.
   */
  append(record: MetricsRecord): Promise<void>;
  /** Flushes to the device and closes the file. Calling it again does nothing. */
  close(): Promise<void>;
}

/**
 * Opens a metrics file to append to it; it is made if it does not exist. Before a run goes on, {@link truncateMetrics}.
 * @throws SubzeroError `not_found` if the directory does not exist, `io` if it cannot be written.
 */
export async function openMetrics(file: string): Promise<MetricsWriter> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'a');
  } catch (error) {
    throw diskError(error, file, 'open');
  }
  let closed = false;
  let last: Promise<unknown> = Promise.resolve();
  return {
    file,
    append(record) {
      const line = new TextEncoder().encode(`${JSON.stringify(record)}\n`);
      // A file opened for appending is written at its end, whatever the position says.
      const written = last.then(() => writeFully(handle, file, 0, line));
      last = written.catch(() => {});
      return written;
    },
    async close() {
      if (closed) return;
      closed = true;
      await last;
      try {
        await handle.sync();
      } catch (error) {
        throw diskError(error, file, 'write');
      } finally {
        await handle.close();
      }
    },
  };
}

/**
 * Reads a metrics file. A last line that was cut off is left out.
 * @throws SubzeroError `not_found`, `io`, or `invalid_data` that names the line.
 */
export async function readMetrics(file: string): Promise<MetricsRecord[]> {
  const records: MetricsRecord[] = [];
  for await (const { record } of lines(file)) if (record !== undefined) records.push(record);
  return records;
}

/**
 * Prepares a metrics file for a run that goes on behind `lastStep`: removes the lines of later steps, which the journal
 * does not hold, and a last line that was cut off. A missing file is left missing.
 * @returns how many lines stay and how many were removed
 * @throws SubzeroError `io`, or `invalid_data` that names the line.
 */
export async function truncateMetrics(file: string, lastStep: number): Promise<{ kept: number; removed: number }> {
  let kept = 0;
  let removed = 0;
  let keptBytes = 0;
  let terminated = true;
  try {
    for await (const line of lines(file)) {
      // Steps ascend, so everything behind the first line of a later step is later too.
      if (removed > 0 || line.record === undefined || line.record.step > lastStep) {
        removed++;
        continue;
      }
      kept++;
      keptBytes = line.endByte;
      terminated = line.terminated;
    }
  } catch (error) {
    if (error instanceof SubzeroError && error.code === 'not_found') return { kept, removed };
    throw error;
  }
  try {
    const handle = await open(file, 'r+');
    try {
      await handle.truncate(keptBytes);
      if (!terminated) await writeFully(handle, file, keptBytes, Uint8Array.of(newline));
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw diskError(error, file, 'write');
  }
  return { kept, removed };
}

const newline = 0x0a;

/** Files are read in pieces of this size, for a long run's metrics are larger than the longest string. */
const pieceBytes = 1024 * 1024;

/** No line that a run writes comes near this. */
const maxLineBytes = 16 * 1024 * 1024;

interface Line {
  /** `undefined` for a last line that was cut off. */
  record: MetricsRecord | undefined;
  /** Where the next line begins. */
  endByte: number;
  /** False if the newline is missing, as only the last line's can be. */
  terminated: boolean;
}

async function* lines(file: string): AsyncGenerator<Line> {
  let number = 0;
  let endByte = 0;
  const toLine = (bytes: Uint8Array, terminated: boolean): Line => {
    number++;
    endByte += bytes.length + (terminated ? 1 : 0);
    const record = parse(new TextDecoder().decode(bytes));
    if (record === undefined && terminated) {
      throw new SubzeroError(
        'invalid_data',
        `${file}, line ${number}: expected a JSON object with a step; delete or repair the line`,
        { parameter: file },
      );
    }
    return { record, endByte, terminated };
  };
  let rest = new Uint8Array(0);
  for await (const piece of pieces(file)) {
    const bytes = new Uint8Array(rest.length + piece.length);
    bytes.set(rest);
    bytes.set(piece, rest.length);
    let start = 0;
    for (let end = bytes.indexOf(newline, rest.length); end >= 0; end = bytes.indexOf(newline, start)) {
      yield toLine(bytes.subarray(start, end), true);
      start = end + 1;
    }
    rest = bytes.slice(start);
    if (rest.length > maxLineBytes) {
      throw new SubzeroError('invalid_data', `${file}, line ${number + 1}: longer than ${maxLineBytes} bytes`, {
        parameter: file,
      });
    }
  }
  if (rest.length > 0) yield toLine(rest, false);
}

async function* pieces(file: string): AsyncGenerator<Uint8Array> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    throw diskError(error, file, 'open');
  }
  try {
    const { size } = await handle.stat();
    for (let position = 0; position < size; position += pieceBytes) {
      const piece = new Uint8Array(Math.min(pieceBytes, size - position));
      await readFully(handle, file, position, piece);
      yield piece;
    }
  } finally {
    await handle.close();
  }
}

function parse(line: string): MetricsRecord | undefined {
  try {
    const value: unknown = JSON.parse(line);
    const step = (value as { step?: unknown } | null)?.step;
    return Number.isSafeInteger(step) ? (value as MetricsRecord) : undefined;
  } catch {
    return undefined;
  }
}
