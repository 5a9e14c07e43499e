import { labelField, textField } from '../row.ts';
import { judged } from './masked-template.ts';
import { classification, type Task } from './task.ts';

/** SST-5 (Socher et al. 2013): rows with `sentence` or `text`, and a label from 0 to 4. */
export const sst5: Task = {
  ...classification,
  name: 'sst5',
  title: 'Stanford Sentiment Treebank, five classes',
  files: {
    train: ['train.jsonl', 'train.tsv'],
    validation: ['validation.jsonl', 'dev.jsonl', 'validation.tsv', 'dev.tsv'],
    evaluation: ['test.jsonl', 'test.tsv', 'dev.jsonl', 'dev.tsv', 'validation.jsonl'],
  },
  columns: ['sentence', 'label'],
  readMasked: (row) => [
    {
      prompt: judged(textField(row, 'text' in row.value ? 'text' : 'sentence')),
      options: ['terrible', 'bad', 'okay', 'good', 'great'],
      label: labelField(row, { 0: 0, 1: 1, 2: 2, 3: 3, 4: 4 }),
    },
  ],
};
