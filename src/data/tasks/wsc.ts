import { labelField, recordField, textField } from '../row.ts';
import { classification, superglueFiles, type Task } from './task.ts';

/** The Winograd Schema Challenge of SuperGLUE. */
export const wsc: Task = {
  ...classification,
  name: 'wsc',
  title: 'Winograd Schema Challenge',
  files: superglueFiles,
  read: (row) => {
    const target = recordField(row, 'target');
    const pronoun = textField(target, 'span2_text');
    const candidate = textField(target, 'span1_text');
    return [
      {
        prompt: `${textField(row, 'text')}\nIn the previous sentence, does the pronoun "${pronoun}" refer to ${candidate}? Yes or No?\n`,
        options: ['No', 'Yes'],
        label: labelField(row, { false: 0, true: 1 }),
      },
    ];
  },
};
