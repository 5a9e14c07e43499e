/**
 * Tables as text. CSV is as RFC 4180 has it: cells may be quoted, and have commas, line ends and doubled quotes then.
 * TSV is as IANA has it: tabs and line ends part cells and rows, and a quote is a character like others (GLUE's files
 * are full of them). The first row names the columns. All cells are texts.
 *
 * @module
 */

import type { Info, InfoDataSet } from 'csv-parse';
import { SubzeroError } from '../../errors.ts';
import { maxLineBytes, utf8Error } from '../lines.ts';
import { asReadError, readUnpacked } from '../packing.ts';
import type { OnRead } from '../read-progress.ts';
import { type Row, rowError, show } from '../row.ts';

/** What the parser says of a record: the last line that it takes up. */
interface ParsedRecord {
  record: string[];
  info: { lines: number };
}

/**
 * The rows of a table.
 * @param options.columns names of the columns where the first row does not have them; a first row with one of these
 *   is a header
 * @throws SubzeroError `invalid_data` with file and line for broken quoting or another number of cells than the header
 */
export async function* readDelimited(
  path: string,
  kind: 'csv' | 'tsv',
  { columns: names, onRead }: { columns?: readonly string[] | undefined; onRead?: OnRead | undefined } = {},
): AsyncGenerator<Row> {
  let columns: readonly string[] | undefined;
  for await (const { record, info } of parse(path, kind, onRead)) {
    const source = `${path}:${info.lines - lineEnds(record)}`;
    if (columns === undefined) {
      const isHeader = names === undefined || record.some((cell) => names.includes(cell));
      columns = isHeader ? checkHeader(record, source) : names;
      if (isHeader) continue;
    }
    if (record.length !== columns.length) {
      throw rowError({ source }, `expected ${columns.length} columns (${columns.join(', ')}); got ${record.length}`);
    }
    yield { value: Object.fromEntries(columns.map((column, index) => [column, record[index]])), source };
  }
}

function checkHeader(record: readonly string[], source: string): readonly string[] {
  const twice = record.find((name, index) => record.indexOf(name) !== index);
  if (twice !== undefined) throw rowError({ source }, `two columns have the name ${show(twice)}`);
  return record;
}

function lineEnds(record: readonly string[]): number {
  return record.reduce((count, cell) => count + (cell.includes('\n') ? cell.split('\n').length - 1 : 0), 0);
}

async function* parse(path: string, kind: 'csv' | 'tsv', onRead: OnRead | undefined): AsyncGenerator<ParsedRecord> {
  const { parse: createParser } = await import('csv-parse');
  /** The last line of the last whole row, and the blank lines up to it. */
  let last = { lines: 0, empty_lines: 0 };
  const parser = createParser({
    ...(kind === 'csv' ? { delimiter: ',' } : { delimiter: '\t', quote: false, escape: false }),
    record_delimiter: ['\r\n', '\n'],
    relax_column_count: true,
    skip_empty_lines: true,
    info: true,
    max_record_size: maxLineBytes,
    on_record: (record, info) => {
      last = info;
      return record;
    },
  });
  // A row that is being written waits for one of these; listeners of its own would pile up.
  let proceed = (): void => {};
  for (const event of ['drain', 'close']) parser.on(event, () => proceed());
  const fed = feed(path, (text) => {
    if (parser.destroyed || parser.write(text)) return undefined;
    return new Promise<void>((resolve) => {
      proceed = resolve;
    });
  }).then(
    () => parser.end(),
    (error) => parser.destroy(error),
  );
  try {
    for await (const record of parser) yield record as ParsedRecord;
  } catch (error) {
    throw asTableError(path, error, last);
  } finally {
    // A reader that stops early ends the parser, and that the reading of the file.
    await fed;
  }

  async function feed(file: string, write: (text: string) => Promise<void> | undefined): Promise<void> {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    try {
      for await (const chunk of readUnpacked(file, onRead)) {
        await write(decoder.decode(chunk, { stream: true }));
        if (parser.destroyed) return;
      }
      await write(decoder.decode());
    } catch (error) {
      throw error instanceof TypeError ? await utf8Error(file) : error;
    }
  }
}

/** What is wrong with the text of a table, by the parser's codes. */
const problems: Readonly<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: 'a quote is opened and not closed before the end of the file',
  INVALID_OPENING_QUOTE: 'a quote stands within a cell that does not begin with one; double it and quote the cell',
  CSV_INVALID_CLOSING_QUOTE: 'something follows the closing quote of a cell; quotes within a cell are doubled',
  CSV_MAX_RECORD_SIZE: `the row is longer than ${maxLineBytes} bytes; is a quote not closed?`,
};

/** The problems that show far behind the quote that makes them. */
const lateProblems = ['CSV_QUOTE_NOT_CLOSED', 'CSV_INVALID_CLOSING_QUOTE', 'CSV_MAX_RECORD_SIZE'];

/** Lines so far, and those of them that are blank and part rows. */
type LineCounts = Pick<Info, 'lines' | 'empty_lines'>;

/** @param last what the last whole row ends with */
function asTableError(path: string, error: unknown, last: LineCounts): Error {
  if (error instanceof SubzeroError) return error;
  const { code = '', lines, empty_lines: blank, column } = error as { code?: string } & Partial<InfoDataSet>;
  const problem = problems[code];
  if (problem === undefined || lines === undefined || blank === undefined) return asReadError(path, error);
  const cell = typeof column === 'number' ? ` (cell ${column + 1})` : '';
  const start = last.lines + 1 + blank - last.empty_lines;
  const line = lateProblems.includes(code) ? start : lines;
  const end =
    code === 'CSV_INVALID_CLOSING_QUOTE' && lines > start
      ? `; it is in line ${lines}: is the quote that opens the cell a character of its text?`
      : '';
  return rowError({ source: `${path}:${line}` }, `${problem}${cell}${end}`);
}
