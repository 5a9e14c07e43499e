import { maskMark } from '../masked.ts';
import { labelField, textField } from '../row.ts';
import { classification, type Task } from './task.ts';

/**
 * TREC (Li and Roth 2002): rows with `text`, and as label a class's name there, or its number in LM-BFF's files. Other
 * tables number the classes otherwise, so a `coarse_label` is not read.
 */
export const trec: Task = {
  ...classification,
  name: 'trec',
  title: 'what a question asks for, six classes',
  files: {
    train: ['train.jsonl', 'train.tsv'],
    validation: ['validation.jsonl', 'dev.jsonl', 'validation.tsv', 'dev.tsv'],
    evaluation: ['test.jsonl', 'test.tsv'],
  },
  columns: ['text', 'label'],
  readMasked: (row) => [
    {
      prompt: `${maskMark}: ${textField(row, 'text').trim()}`,
      options: ['Description', 'Entity', 'Expression', 'Human', 'Location', 'Number'],
      label: labelField(row, {
        ...{ DESC: 0, ENTY: 1, ABBR: 2, HUM: 3, LOC: 4, NUM: 5 },
        ...{ 0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5 },
      }),
    },
  ],
};
