import { labelField, textField } from '../row.ts';
import { classification, superglueFiles, type Task } from './task.ts';

/** Words in Context of SuperGLUE. */
export const wic: Task = {
  ...classification,
  name: 'wic',
  title: 'Words in Context',
  files: superglueFiles,
  read: (row) => [
    {
      prompt:
        `Does the word "${textField(row, 'word')}" have the same meaning in these two sentences? Yes, No?\n` +
        `${textField(row, 'sentence1')}\n${textField(row, 'sentence2')}\n`,
      options: ['No', 'Yes'],
      label: labelField(row, { false: 0, true: 1 }),
    },
  ],
};
