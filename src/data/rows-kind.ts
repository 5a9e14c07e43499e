/**
 * What the rows of a data set are, told by the first of them: before anything that needs a model.
 *
 * @module
 */

import { type ColumnChoice, createRowMapping } from './columns.ts';
import { readRows } from './containers/index.ts';
import type { ExampleKind } from './example.ts';
import { filesOf } from './files.ts';
import { detectFormat } from './formats.ts';
import { isPromptRow, promptFormat } from './prompts.ts';
import type { DataSource } from './source.ts';
import { type Split, taskOf } from './tasks/index.ts';

export interface RowsKind {
  /** The first of them, for error texts. */
  source: string;
  kind: ExampleKind;
  /** Whether a row has an answer that a generated text can be compared with. */
  hasAnswers: boolean;
  /** Whether a row has a prompt that can be answered; a text by itself has none. */
  hasPrompts: boolean;
}

/**
 * The kind of an evaluation's rows; undefined for a data set without any.
 * @throws SubzeroError as `openDataset` does with the first row
 */
export async function kindOfRows(
  source: DataSource,
  split: Split,
  { columns = [], template = '', labels = [] }: Partial<ColumnChoice> = {},
): Promise<RowsKind | undefined> {
  if ('task' in source) {
    const { name, kind } = taskOf(source.task);
    return { source: `a row of task ${name}`, kind, hasAnswers: true, hasPrompts: true };
  }
  const map = createRowMapping({ columns, template, labels });
  for (const file of await filesOf(source.file, split)) {
    for await (const given of readRows(file)) {
      const row = map ? map(given) : given;
      const { kind, answer } = isPromptRow(row) ? promptFormat : detectFormat(row);
      const hasAnswers = answer !== undefined || kind === 'options' || kind === 'preference';
      return { source: row.source, kind, hasAnswers, hasPrompts: hasAnswers || kind === 'prompt' };
    }
  }
  return undefined;
}
