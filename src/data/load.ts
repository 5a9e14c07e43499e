/**
 * Data sets from files: a task over the files that it is published in, or files whose rows say what is learnt.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { type ColumnChoice, createRowMapping } from './columns.ts';
import { knownContainer, readRows } from './containers/index.ts';
import { readDocumentRows } from './containers/json.ts';
import type { ChatRenderer } from './conversation.ts';
import type { Example, ExampleKind, Learn } from './example.ts';
import { fileOfTask, filesOf } from './files.ts';
import { checkMasked, detectFormat, type Format, unreadColumns } from './formats.ts';
import { isPromptRow, promptFormat, readPrompt } from './prompts.ts';
import { type OnRead, type OnReadAll, readProgress } from './read-progress.ts';
import { isRecord, makeRow, type Row, rowError } from './row.ts';
import type { DataSource } from './source.ts';
import { readerOf, type Split, type Task, taskOf } from './tasks/index.ts';

/** What is known of a data set beside its examples. */
export interface DatasetFacts {
  /** The task's name, or the name of the rows' format. */
  name: string;
  /**
   * `options`: an example has options and a label; `completion`: it has one; `preference`: it has two answers;
   * `prompt`: it has none.
   */
  kind: ExampleKind;
  /** How a model is scored on it; the loss alone for files of completions. */
  metric: 'accuracy' | 'f1' | 'loss' | 'reward';
  /** What was read: a file, or the folder of several. */
  file: string;
  /** Columns of the rows that nothing is read from. */
  unread: string[];
}

export interface Dataset extends DatasetFacts {
  /** At least one. */
  examples: Example[];
}

export interface LoadOptions extends Partial<ColumnChoice> {
  /** Which part of a folder; default `train`. */
  split?: Split;
  /** Renders conversations; needed for rows with `messages` or `conversations`. */
  chat?: ChatRenderer;
  /** Which assistant turns of a conversation are learnt; all by default. */
  learn?: Learn;
  /** Read only the first so many examples, at least one. */
  limit?: number;
  /** For a masked language model: a task's prompts with masks, and rows that can have one. */
  masked?: boolean;
  /** Every example keeps its row. */
  withItems?: boolean;
  /**
   * Every example that has an answer has `references`, the answers that a generated text is compared with. Of a
   * conversation that is the last turn, so the last one alone is learnt. Files of prompts without answers are read,
   * too.
   */
  withReferences?: boolean;
  /** Every example is a prompt with its row, whatever else the row says. */
  prompts?: boolean;
  /** Told how far the reading is. */
  onRead?: OnReadAll | undefined;
}

/** A data set that is read example by example, in the memory of a few rows. */
export interface OpenDataset {
  /** Once, in the order of the files. */
  examples: AsyncIterable<Example>;
  /** What is known so far; all of it when the examples have been read. */
  facts(): DatasetFacts;
}

/**
 * Loads one split of a data set into memory.
 * @throws SubzeroError `not_found` with the names that were looked for; `invalid_data` with file, line and field
 */
export async function loadDataset(source: DataSource, options: LoadOptions = {}): Promise<Dataset> {
  const dataset = await openDataset(source, options);
  const examples: Example[] = [];
  for await (const example of dataset.examples) examples.push(example);
  return { ...dataset.facts(), examples };
}

/**
 * Opens one split of a data set. Reading it throws as {@link loadDataset} does, also where there is no example.
 * @throws SubzeroError `not_found` for a path that is not there; `invalid_argument` for columns that a task has itself
 */
export async function openDataset(source: DataSource, options: LoadOptions = {}): Promise<OpenDataset> {
  const { split = 'train', limit = Number.POSITIVE_INFINITY, masked = false } = options;
  const { withReferences = false, prompts = false, onRead } = options;
  const withItems = prompts || (options.withItems ?? false);
  const choice: ColumnChoice = {
    columns: options.columns ?? [],
    template: options.template ?? '',
    labels: options.labels ?? [],
  };
  const map = createRowMapping(choice);
  if ('task' in source && map) {
    throw new SubzeroError('invalid_argument', 'a task has its own columns, template and labels; give none', {
      parameter: 'task',
    });
  }
  const dataset =
    'task' in source
      ? await openTask(taskOf(source.task), source.directory, { split, masked, withItems, prompts, onRead })
      : await (prompts ? openPrompts : openFiles)(source.file, await filesOf(source.file, split), map, {
          chat: options.chat,
          learn: withReferences ? 'last' : (options.learn ?? 'all'),
          ...{ masked, withItems, withReferences, onRead },
        });
  return { facts: dataset.facts, examples: checked() };

  async function* checked(): AsyncGenerator<Example> {
    let count = 0;
    for await (const example of dataset.examples) {
      yield example;
      if (++count >= limit) return;
    }
    if (count > 0) return;
    const { file } = dataset.facts();
    throw new SubzeroError('invalid_data', `${file} holds no examples`, { parameter: file });
  }
}

async function openFiles(
  path: string,
  files: readonly string[],
  map: ((row: Row) => Row) | undefined,
  {
    masked,
    withItems,
    withReferences,
    onRead,
    ...reading
  }: {
    chat: ChatRenderer | undefined;
    learn: Learn;
    masked: boolean;
    withItems: boolean;
    withReferences: boolean;
    onRead: OnReadAll | undefined;
  },
): Promise<OpenDataset> {
  const progress = await readProgress(files, onRead);
  const unread = new Set<string>();
  let first: { format: Format; source: string } | undefined;
  async function* examples(): AsyncGenerator<Example> {
    for (const file of files) {
      for await (const given of readRows(file, { onRead: progress(file) })) {
        const row = map ? map(given) : given;
        const format = withReferences && isPromptRow(row) ? promptFormat : detectFormat(row);
        if (masked) checkMasked(row, format);
        first ??= { format, source: row.source };
        if (format !== first.format) {
          throw rowError(
            row,
            `this row is ${format.shape}, but ${first.source} is ${first.format.shape}; a data set must hold one ` +
              `format`,
          );
        }
        const example = {
          ...(await format.read(row, reading)),
          ...(withReferences && format.answer ? { references: [format.answer(row).trim()] } : {}),
          ...(withItems ? { item: given.value } : {}),
          source: row.source,
        };
        for (const column of unreadColumns(row, format)) unread.add(column);
        yield example;
      }
    }
  }
  return {
    examples: examples(),
    facts() {
      const kind = first?.format.kind ?? 'completion';
      return {
        name: first?.format.name ?? 'text',
        kind,
        metric: kind === 'completion' ? 'loss' : kind === 'prompt' ? 'reward' : 'accuracy',
        file: path,
        unread: [...unread],
      };
    },
  };
}

/** Files of which every row is a prompt, of any formats. */
async function openPrompts(
  path: string,
  files: readonly string[],
  map: ((row: Row) => Row) | undefined,
  { chat, onRead }: { chat: ChatRenderer | undefined; onRead: OnReadAll | undefined },
): Promise<OpenDataset> {
  const progress = await readProgress(files, onRead);
  async function* examples(): AsyncGenerator<Example> {
    for (const file of files) {
      for await (const given of readRows(file, { onRead: progress(file) })) {
        yield { ...(await readPrompt(map ? map(given) : given, chat)), item: given.value, source: given.source };
      }
    }
  }
  return {
    examples: examples(),
    facts: () => ({ name: 'prompt', kind: 'prompt', metric: 'reward', file: path, unread: [] }),
  };
}

async function openTask(
  task: Task,
  directory: string,
  {
    split,
    masked,
    withItems,
    prompts,
    onRead,
  }: { split: Split; masked: boolean; withItems: boolean; prompts: boolean; onRead: OnReadAll | undefined },
): Promise<OpenDataset> {
  const read = readerOf(task, masked);
  const file = await fileOfTask(task, directory, split);
  const progress = await readProgress([file], onRead);
  // COPA and ReCoRD learn the right answer as a text, but are scored by choosing among the options.
  const learnsAnswer = !masked && split === 'train' && task.trainsOn === 'answer' && task.kind === 'options';
  async function* examples(): AsyncGenerator<Example> {
    for await (const row of readTaskRows(task, file, progress(file))) {
      for (const example of read(row)) {
        const item = withItems ? { item: row.value } : {};
        const kept = prompts ? { prompt: example.prompt } : learnsAnswer ? answerOf(example) : example;
        yield { ...kept, ...item, source: row.source };
      }
    }
  }
  const kind = prompts ? 'prompt' : learnsAnswer ? 'completion' : task.kind;
  const metric = prompts ? 'reward' : task.metric;
  return { examples: examples(), facts: () => ({ name: task.name, kind, metric, file, unread: [] }) };
}

function answerOf(example: Example): Example {
  return { prompt: example.prompt, completion: example.options![example.label!]! };
}

/** The rows of a task's file, as they lie there. */
export function readTaskRows(task: Task, file: string, onRead?: OnRead): AsyncIterable<Row> {
  const { rowsOfDocument, columns } = task;
  if (rowsOfDocument && knownContainer(file)?.name === 'JSON') {
    const rowsOf = (document: unknown): Row[] => {
      if (isRecord(document)) return rowsOfDocument(makeRow(document, file));
      throw rowError({ source: file }, 'expected a JSON object');
    };
    return readDocumentRows(file, rowsOf, onRead);
  }
  return readRows(file, { columns, onRead });
}
