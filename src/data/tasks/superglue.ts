/**
 * The classification tasks of the MeZO protocol that a description is enough for.
 *
 * @module
 */

import { labelField, textField } from '../row.ts';
import { describedTask } from './described.ts';
import { related } from './masked-template.ts';
import { superglueFiles, type Task } from './task.ts';

const splits = superglueFiles as { [Split in keyof typeof superglueFiles]: string[] };

/** RTE of SuperGLUE. */
export const rte: Task = {
  ...describedTask({
    name: 'rte',
    title: 'Recognizing Textual Entailment',
    template: '{premise}\nDoes this mean that "{hypothesis}" is true? Yes or No?\n',
    labels: { entailment: 'Yes', not_entailment: 'No' },
    splits,
  }),
  readMasked: (row) => [
    {
      prompt: related(textField(row, 'premise'), textField(row, 'hypothesis')),
      options: ['Yes', 'No'],
      label: labelField(row, { entailment: 0, not_entailment: 1 }),
    },
  ],
};

/** CommitmentBank of SuperGLUE. */
export const cb = describedTask({
  name: 'cb',
  title: 'CommitmentBank',
  template: 'Suppose {premise} Can we infer that "{hypothesis}"? Yes, No, or Maybe?\n',
  labels: { entailment: 'Yes', contradiction: 'No', neutral: 'Maybe' },
  splits,
});

/** The Winograd Schema Challenge of SuperGLUE. */
export const wsc = describedTask({
  name: 'wsc',
  title: 'Winograd Schema Challenge',
  template:
    '{text}\nIn the previous sentence, does the pronoun "{target.span2_text}" refer to {target.span1_text}? Yes or ' +
    'No?\n',
  labels: { false: 'No', true: 'Yes' },
  splits,
});

/** Words in Context of SuperGLUE. */
export const wic = describedTask({
  name: 'wic',
  title: 'Words in Context',
  template: 'Does the word "{word}" have the same meaning in these two sentences? Yes, No?\n{sentence1}\n{sentence2}\n',
  labels: { false: 'No', true: 'Yes' },
  splits,
});
