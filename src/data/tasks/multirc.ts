import { labelField, recordField, recordsField, textField } from '../row.ts';
import { classification, superglueFiles, type Task } from './task.ts';

/** MultiRC of SuperGLUE: one row holds a paragraph with its questions; each answer becomes one example. */
export const multirc: Task = {
  ...classification,
  name: 'multirc',
  title: 'Multi-Sentence Reading Comprehension',
  files: superglueFiles,
  read: (row) => {
    const passage = recordField(row, 'passage');
    const paragraph = textField(passage, 'text');
    return recordsField(passage, 'questions').flatMap((question) =>
      recordsField(question, 'answers').map((answer) => ({
        prompt:
          `${paragraph}\nQuestion: ${textField(question, 'question')}\n` +
          `I found this answer "${textField(answer, 'text')}". Is that correct? Yes or No?\n`,
        options: ['No', 'Yes'],
        label: labelField(answer, { 0: 0, 1: 1 }),
      })),
    );
  },
};
