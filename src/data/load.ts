/**
 * Data sets from files: a named task over a directory in the layout it is published in, or one JSON Lines file.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { join, readdir, readFile, stat } from '../platform/index.ts';
import type { ChatRenderer } from './conversation.ts';
import type { Example, Learn } from './example.ts';
import { checkMasked, detectFormat, type Format, unreadColumns } from './formats.ts';
import { asReadError, readJsonLines, readLines } from './lines.ts';
import { isRecord, makeRow, type Row, rowError } from './row.ts';
import type { DataSource } from './source.ts';
import { readerOf, type Split, type Task, taskByName } from './tasks/index.ts';

export interface Dataset {
  /** The task's name, or the name of the file's row format. */
  name: string;
  /** `options`: an example has options and a label; `completion`: it has a completion. */
  kind: 'options' | 'completion';
  /** How a model is scored on it; the loss alone for files without options. */
  metric: 'accuracy' | 'f1' | 'loss';
  /** The file that was read. */
  file: string;
  /** At least one. */
  examples: Example[];
  /** Columns of the file's rows that its format knows nothing of. */
  unread: string[];
}

/** Most bytes of a file that is one JSON document; SQuAD's and DROP's have 30 to 100 MB. */
const maxDocumentBytes = 512 * 1024 * 1024;

/**
 * Loads one split of a data set.
 *
 * @param source a task with its directory (or one file of it), or a JSON Lines file, which has no splits
 * @param options.split which file of the task's directory; default `train`
 * @param options.chat renders conversations; needed for files with `messages` or `conversations`
 * @param options.learn which assistant turns of a conversation are learnt; all by default
 * @param options.limit read only the first so many examples, at least one
 * @param options.masked for a masked language model: a task's prompts with masks, rows that can have one
 * @throws SubzeroError `not_found` with the names that were looked for; `invalid_data` with file, line and field
 */
export async function loadDataset(
  source: DataSource,
  options: { split?: Split; chat?: ChatRenderer; learn?: Learn; limit?: number; masked?: boolean } = {},
): Promise<Dataset> {
  const { limit = Number.POSITIVE_INFINITY, masked = false } = options;
  const dataset =
    'task' in source
      ? await loadTask(taskByName(source.task), source.directory, options.split ?? 'train', limit, masked)
      : await loadFile(source.file, { chat: options.chat, learn: options.learn ?? 'all' }, limit, masked);
  if (dataset.examples.length === 0) {
    throw new SubzeroError('invalid_data', `${dataset.file} holds no examples`, { parameter: dataset.file });
  }
  return dataset;
}

async function loadFile(
  file: string,
  reading: { chat: ChatRenderer | undefined; learn: Learn },
  limit: number,
  masked: boolean,
): Promise<Dataset> {
  const examples: Example[] = [];
  const unread = new Set<string>();
  let first: { format: Format; source: string } | undefined;
  for await (const row of readJsonLines(file)) {
    const format = detectFormat(row);
    if (masked) checkMasked(row, format);
    first ??= { format, source: row.source };
    if (format !== first.format) {
      throw rowError(
        row,
        `this row is ${format.shape}, but ${first.source} is ${first.format.shape}; a file must hold one format`,
      );
    }
    examples.push({ ...(await format.read(row, reading)), source: row.source });
    for (const column of unreadColumns(row, format)) unread.add(column);
    if (examples.length >= limit) break;
  }
  const kind = first?.format.kind ?? 'completion';
  return {
    name: first?.format.name ?? 'text',
    kind,
    metric: kind === 'options' ? 'accuracy' : 'loss',
    file,
    examples,
    unread: [...unread],
  };
}

async function loadTask(task: Task, directory: string, split: Split, limit: number, masked: boolean): Promise<Dataset> {
  const read = readerOf(task, masked);
  const file = await findFile(task, directory, split);
  const examples: Example[] = [];
  // COPA and ReCoRD learn the right answer as a text, but are scored by choosing among the options.
  const learnsAnswer = !masked && split === 'train' && task.trainsOn === 'answer' && task.kind === 'options';
  for await (const row of readTaskRows(task, file)) {
    for (const example of read(row)) {
      if (examples.length >= limit) break;
      examples.push({ ...(learnsAnswer ? answerOf(example) : example), source: row.source });
    }
    if (examples.length >= limit) break;
  }
  return {
    name: task.name,
    kind: learnsAnswer ? 'completion' : task.kind,
    metric: task.metric,
    file,
    examples,
    unread: [],
  };
}

function answerOf(example: Example): Example {
  return { prompt: example.prompt, completion: example.options![example.label!]! };
}

async function findFile(task: Task, directory: string, split: Split): Promise<string> {
  const status = await stat(directory).catch((error) => {
    throw asReadError(directory, error);
  });
  if (status.isFile()) return directory;
  const names = new Set(await readdir(directory));
  const found = task.files[split].find((name) => names.has(name));
  if (found !== undefined) return join(directory, found);
  const there = [...names].sort().slice(0, 10).join(', ');
  throw new SubzeroError(
    'not_found',
    `${directory} has no ${split} file of task ${task.name}: looked for ${task.files[split].join(', ')}; ` +
      (names.size === 0 ? 'the directory is empty' : `there are ${there}`),
    { parameter: directory },
  );
}

function readTaskRows(task: Task, file: string): AsyncIterable<Row> {
  if (file.endsWith('.tsv')) return readTsv(task, file);
  if (file.endsWith('.json') && task.rowsOfDocument) return readDocument(task.rowsOfDocument, file);
  return readJsonLines(file);
}

async function* readTsv(task: Task, file: string): AsyncGenerator<Row> {
  if (task.columns === undefined) {
    throw new SubzeroError('unsupported', `task ${task.name} has no TSV layout; expected JSON Lines`, {
      parameter: file,
    });
  }
  let columns: readonly string[] | undefined;
  for await (const { text, number } of readLines(file)) {
    const cells = text.split('\t');
    if (columns === undefined) {
      const isHeader = cells.some((cell) => task.columns!.includes(cell));
      columns = isHeader ? cells : task.columns;
      if (isHeader) continue;
    }
    const source = `${file}:${number}`;
    if (cells.length !== columns.length) {
      throw rowError({ source }, `expected ${columns.length} columns (${columns.join(', ')}); got ${cells.length}`);
    }
    yield { value: Object.fromEntries(columns.map((column, index) => [column, cells[index]])), source };
  }
}

async function* readDocument(rowsOf: (document: Row) => Row[], file: string): AsyncGenerator<Row> {
  let value: unknown;
  try {
    const { size } = await stat(file);
    if (size > maxDocumentBytes) {
      throw rowError({ source: file }, `the file has ${size} bytes; at most ${maxDocumentBytes} are read`);
    }
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw rowError({ source: file }, `not valid JSON: ${error.message}`);
    throw asReadError(file, error);
  }
  if (!isRecord(value)) throw rowError({ source: file }, 'expected a JSON object');
  yield* rowsOf(makeRow(value, file));
}
