/**
 * Tasks as descriptions: plain data, which may come from a file.
 *
 * @module
 */

import { z } from 'zod';
import { SubzeroError } from '../../errors.ts';
import { optionsOf } from '../columns.ts';
import { joinAnswer } from '../example.ts';
import { isRecord, labelField, type Row, rowError, show } from '../row.ts';
import { parseTextTemplate } from '../text-template.ts';
import type { Task } from './task.ts';

/** A task as data. `labels`, or `completion` with `references`, say what the answers are. */
export interface TaskDescription {
  /** `task` by default. */
  name?: string | undefined;
  title?: string | undefined;
  /** The prompt, see text-template.ts. */
  template: string;
  /** What the column of labels holds, and the option that it means. */
  labels?: Record<string, string> | undefined;
  /** The column of labels; `label` by default. */
  label?: string | undefined;
  /** The right answer as a template, where there are no labels. */
  completion?: string | undefined;
  /** The column with all answers that count as right: a list of texts, or one; by default the completion. */
  references?: string | undefined;
  metric?: 'accuracy' | 'f1' | undefined;
  /** Names of files in the task's folder, best first. */
  splits?: { [Split in 'train' | 'validation' | 'evaluation']?: string | string[] | undefined } | undefined;
  /** Names of the columns of tables without a header. */
  columns?: string[] | undefined;
}

const names = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);

const descriptionSchema = z.strictObject({
  name: z.string().min(1).max(64).default('task'),
  title: z.string().optional(),
  template: z.string().min(1),
  labels: z.record(z.string(), z.string().min(1)).optional(),
  label: z.string().min(1).default('label'),
  completion: z.string().min(1).optional(),
  references: z.string().min(1).optional(),
  metric: z.enum(['accuracy', 'f1']).optional(),
  splits: z.strictObject({ train: names, validation: names, evaluation: names }).partial().default({}),
  columns: z.array(z.string().min(1)).optional(),
}) satisfies z.ZodType<unknown, TaskDescription>;

/** Checks a description. @param place where it stands, for errors @throws SubzeroError `invalid_data` */
export function parseTaskDescription(value: unknown, place: string): TaskDescription {
  const parsed = descriptionSchema.safeParse(value);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw rowError({ source: place }, `${path.length > 0 ? `"${path.join('.')}": ` : ''}${message}`);
  }
  describedTask(parsed.data);
  return value as TaskDescription;
}

/**
 * The task that a description means.
 * @throws SubzeroError `invalid_argument` for contradictions and templates that cannot be understood
 */
export function describedTask(description: TaskDescription): Task {
  const {
    name,
    title = name,
    template,
    labels,
    label,
    completion,
    references,
    metric,
    splits,
    columns,
  } = descriptionSchema.parse(description);
  const refuse = (what: string): SubzeroError =>
    new SubzeroError('invalid_argument', `task ${name}: ${what}`, { parameter: 'task' });
  if ((labels === undefined) === (completion === undefined)) {
    throw refuse('expected either "labels", for a choice of words, or "completion", for an answer as a text');
  }
  if (labels && (references !== undefined || metric === 'f1')) {
    throw refuse('"references" and the metric "f1" are for answers that are generated, not for "labels"');
  }
  if (completion !== undefined && metric === 'accuracy') throw refuse('the metric "accuracy" needs "labels"');
  const prompt = parseTextTemplate(template);
  const train = listOf(splits.train) ?? ['train'];
  const validation = listOf(splits.validation) ?? ['validation', 'dev', 'val'];
  const common = {
    name,
    title,
    files: { train, validation, evaluation: listOf(splits.evaluation) ?? ['dev', 'val', 'validation', 'test'] },
    ...(columns === undefined ? {} : { columns }),
  };
  if (labels) {
    const { words, table } = optionsOf(new Map(Object.entries(labels)));
    if (words.length < 2) throw refuse('"labels" must have at least two different words');
    return {
      ...common,
      ...{ kind: 'options', trainsOn: 'options', metric: 'accuracy' },
      read: (row) => {
        const text = prompt.render(row);
        return [
          {
            prompt: text,
            options: words.map((word) => joinAnswer(text, word)),
            label: labelField(row, table, label),
          },
        ];
      },
    };
  }
  const answer = parseTextTemplate(completion!, 'completion');
  return {
    ...common,
    ...{ kind: 'completion', trainsOn: 'answer', metric: 'f1' },
    read: (row) => {
      const [text, right] = [prompt.render(row), answer.render(row)];
      // The line end is what generated answers end at.
      const learnt = `${joinAnswer(text, right)}\n`;
      return [{ prompt: text, completion: learnt, references: referencesOf(row, references) ?? [right.trim()] }];
    },
  };
}

function listOf(names: string | string[] | undefined): string[] | undefined {
  return typeof names === 'string' ? [names] : names;
}

/** Texts, one or a list, or the object with a list `text` that SQuAD's tables have. */
function referencesOf(row: Row, column: string | undefined): string[] | undefined {
  if (column === undefined) return undefined;
  const value = row.value[column];
  const texts = isRecord(value) ? value.text : typeof value === 'string' ? [value] : value;
  if (Array.isArray(texts) && texts.length > 0 && texts.every((text) => typeof text === 'string')) return texts;
  throw rowError(row, `expected a text or a list of texts in "${column}"; got ${show(value)}`);
}
