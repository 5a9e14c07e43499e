import { labelField, textField } from '../row.ts';
import { related } from './masked-template.ts';
import { classification, superglueFiles, type Task } from './task.ts';

/** RTE of SuperGLUE. */
export const rte: Task = {
  ...classification,
  name: 'rte',
  title: 'Recognizing Textual Entailment',
  files: superglueFiles,
  read: (row) => [
    {
      prompt: `${textField(row, 'premise')}\nDoes this mean that "${textField(row, 'hypothesis')}" is true? Yes or No?\n`,
      options: ['Yes', 'No'],
      label: labelField(row, { entailment: 0, not_entailment: 1 }),
    },
  ],
  readMasked: (row) => [
    {
      prompt: related(textField(row, 'premise'), textField(row, 'hypothesis')),
      options: ['Yes', 'No'],
      label: labelField(row, { entailment: 0, not_entailment: 1 }),
    },
  ],
};
