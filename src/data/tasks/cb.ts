import { labelField, textField } from '../row.ts';
import { classification, superglueFiles, type Task } from './task.ts';

/** CommitmentBank of SuperGLUE. */
export const cb: Task = {
  ...classification,
  name: 'cb',
  title: 'CommitmentBank',
  files: superglueFiles,
  read: (row) => [
    {
      prompt: `Suppose ${textField(row, 'premise')} Can we infer that "${textField(row, 'hypothesis')}"? Yes, No, or Maybe?\n`,
      options: ['Yes', 'No', 'Maybe'],
      label: labelField(row, { entailment: 0, contradiction: 1, neutral: 2 }),
    },
  ],
};
