import { labelField, textField } from '../row.ts';
import { classification, superglueFiles, type Task } from './task.ts';

/** BoolQ of SuperGLUE. */
export const boolq: Task = {
  ...classification,
  name: 'boolq',
  title: 'Boolean Questions',
  files: superglueFiles,
  read: (row) => [
    {
      prompt: `${textField(row, 'passage')} ${asQuestion(textField(row, 'question'))}\n`,
      options: ['Yes', 'No'],
      label: labelField(row, { true: 0, false: 1 }),
    },
  ],
};

/** The files hold questions in lower case and without a question mark. */
function asQuestion(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('?') ? '' : '?'}`;
}
