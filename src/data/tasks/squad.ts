import { isRecord, type Row, recordsField, rowError, textField } from '../row.ts';
import type { Task } from './task.ts';

/** SQuAD 1.1, as the published JSON document or as rows of title, context, question and answers. */
export const squad: Task = {
  kind: 'completion',
  trainsOn: 'answer',
  metric: 'f1',
  name: 'squad',
  title: 'Stanford Question Answering Dataset',
  files: {
    train: ['train.jsonl', 'train-v1.1.json', 'train.json'],
    validation: ['validation.jsonl', 'dev.jsonl', 'dev-v1.1.json', 'dev.json'],
    evaluation: ['dev.jsonl', 'validation.jsonl', 'dev-v1.1.json', 'dev.json'],
  },
  rowsOfDocument: (document) =>
    recordsField(document, 'data').flatMap((article) =>
      recordsField(article, 'paragraphs').flatMap((paragraph) =>
        recordsField(paragraph, 'qas').map((question) => ({
          value: { ...question.value, title: article.value.title, context: paragraph.value.context },
          source: `${document.source} (question ${String(question.value.id)})`,
        })),
      ),
    ),
  read: (row) => {
    const references = answersOf(row);
    return [
      {
        prompt:
          `Title: ${textField(row, 'title')}\nContext: ${textField(row, 'context')}\nQuestion: ` +
          `${textField(row, 'question').trim()}\nAnswer:`,
        completion: ` ${references[0]}\n`,
        references,
      },
    ];
  },
};

/** Answers as objects with `text` (the original layout) or as an object with a list `text` (the data sets hub's). */
function answersOf(row: Row): string[] {
  const { answers } = row.value;
  const texts =
    isRecord(answers) && Array.isArray(answers.text)
      ? answers.text
      : recordsField(row, 'answers').map((answer) => textField(answer, 'text'));
  const references = [...new Set(texts.filter((text): text is string => typeof text === 'string' && text !== ''))];
  if (references.length === 0) throw rowError(row, 'the question has no answer; SQuAD 1.1 questions have at least one');
  return references;
}
