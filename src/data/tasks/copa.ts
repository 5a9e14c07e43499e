import { labelField, textField } from '../row.ts';
import { superglueFiles, type Task } from './task.ts';

/** COPA of SuperGLUE: the choice goes on after "so" or "because". */
export const copa: Task = {
  kind: 'options',
  trainsOn: 'answer',
  metric: 'accuracy',
  name: 'copa',
  title: 'Choice of Plausible Alternatives',
  files: superglueFiles,
  read: (row) => {
    const conjunction = ['so', 'because'][labelField(row, { effect: 0, cause: 1 }, 'question')];
    return [
      {
        prompt: `${textField(row, 'premise').trimEnd().replace(/\.$/, '')} ${conjunction} `,
        options: [lowerFirstWord(textField(row, 'choice1')), lowerFirstWord(textField(row, 'choice2'))],
        label: labelField(row, { 0: 0, 1: 1 }),
      },
    ];
  },
};

function lowerFirstWord(text: string): string {
  const [first = '', ...others] = text.split(' ');
  return [first === 'I' ? first : first.toLowerCase(), ...others].join(' ');
}
