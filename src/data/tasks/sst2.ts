import { labelField, textField } from '../row.ts';
import { judged } from './masked-template.ts';
import { classification, type Task } from './task.ts';

/** SST-2 (Socher et al. 2013), as JSON Lines or in GLUE's TSV layout. */
export const sst2: Task = {
  ...classification,
  name: 'sst2',
  title: 'Stanford Sentiment Treebank, two classes',
  files: {
    train: ['train.jsonl', 'train.tsv'],
    validation: ['validation.jsonl', 'validation.tsv', 'dev.jsonl', 'dev.tsv'],
    evaluation: ['dev.jsonl', 'dev.tsv', 'validation.jsonl', 'validation.tsv'],
  },
  columns: ['sentence', 'label'],
  read: (row) => [
    {
      prompt: `${textField(row, 'sentence').trim()} It was`,
      options: [' terrible', ' great'],
      label: labelField(row, { 0: 0, 1: 1 }),
    },
  ],
  readMasked: (row) => [
    {
      prompt: judged(textField(row, 'sentence')),
      options: ['terrible', 'great'],
      label: labelField(row, { 0: 0, 1: 1 }),
    },
  ],
};
