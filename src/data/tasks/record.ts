import { recordField, recordsField, rowError, show, textField } from '../row.ts';
import { superglueFiles, type Task } from './task.ts';

/** ReCoRD of SuperGLUE: the options are the query with each entity of the passage in the gap. */
export const record: Task = {
  kind: 'options',
  trainsOn: 'answer',
  metric: 'accuracy',
  name: 'record',
  title: 'Reading Comprehension with Commonsense Reasoning',
  files: superglueFiles,
  read: (row) => {
    const passage = recordField(row, 'passage');
    const text = textField(passage, 'text');
    // Offsets count code points, and `end` is the last character's.
    const characters = Array.from(text);
    const entities = new Set<string>();
    for (const { value } of recordsField(passage, 'entities')) {
      const entity = characters.slice(Number(value.start), Number(value.end) + 1).join('');
      if (entity === '') throw rowError(row, `entity ${show(value)} is not within the passage`);
      entities.add(entity);
    }
    const names = [...entities];
    const prompt = `${text.replaceAll('@highlight\n', '- ')}\n-`;
    return recordsField(row, 'qas').map((question) => {
      const query = textField(question, 'query');
      if (!query.includes('@placeholder')) throw rowError(row, `query ${show(query)} has no @placeholder`);
      const answers = new Set(recordsField(question, 'answers').map((answer) => textField(answer, 'text')));
      const correct = names.flatMap((name, index) => (answers.has(name) ? [index] : []));
      if (correct.length === 0) throw rowError(row, `no answer of ${show([...answers])} is among the entities`);
      return {
        prompt,
        options: names.map((name) => ` ${query.replaceAll('@placeholder', () => name)}`),
        label: correct[0]!,
        correct,
      };
    });
  },
};
