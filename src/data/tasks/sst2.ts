import { labelField, textField } from '../row.ts';
import { describedTask } from './described.ts';
import { judged } from './masked-template.ts';
import type { Task } from './task.ts';

/** SST-2 (Socher et al. 2013), as JSON Lines or in GLUE's TSV layout. */
export const sst2: Task = {
  ...describedTask({
    name: 'sst2',
    title: 'Stanford Sentiment Treebank, two classes',
    template: '{sentence|trim} It was',
    labels: { 0: 'terrible', 1: 'great' },
    splits: {
      train: ['train.jsonl', 'train.tsv'],
      validation: ['validation.jsonl', 'validation.tsv', 'dev.jsonl', 'dev.tsv'],
      evaluation: ['dev.jsonl', 'dev.tsv', 'validation.jsonl', 'validation.tsv'],
    },
    columns: ['sentence', 'label'],
  }),
  readMasked: (row) => [
    {
      prompt: judged(textField(row, 'sentence')),
      options: ['terrible', 'great'],
      label: labelField(row, { 0: 0, 1: 1 }),
    },
  ],
};
