import { isRecord, type Row, recordField, recordsField, rowError, stringField, textField } from '../row.ts';
import type { Task } from './task.ts';

/**
 * DROP, as the published JSON document, or as rows that hold the finished prompt: `context`, `completion` and
 * `ref_text` with `|` between answers (the layout of the simple-evals copy, plain or gzip).
 */
export const drop: Task = {
  kind: 'completion',
  trainsOn: 'answer',
  metric: 'f1',
  name: 'drop',
  title: 'Discrete Reasoning Over Paragraphs',
  files: {
    train: ['train.jsonl', 'drop_dataset_train.json', 'train.json'],
    validation: ['validation.jsonl', 'dev.jsonl', 'drop_dataset_dev.json', 'dev.json', 'drop_v0_dev.jsonl.gz'],
    evaluation: ['dev.jsonl', 'validation.jsonl', 'drop_dataset_dev.json', 'dev.json', 'drop_v0_dev.jsonl.gz'],
  },
  rowsOfDocument: (document) =>
    Object.keys(document.value).flatMap((id) => {
      const entry = recordField(document, id);
      return recordsField(entry, 'qa_pairs').map((question) => ({
        value: { ...question.value, passage: entry.value.passage },
        source: `${document.source} (query ${String(question.value.query_id)})`,
      }));
    }),
  read: (row) => {
    if ('ref_text' in row.value) {
      const references = unique(stringField(row, 'ref_text').split('|'));
      if (references.length === 0) throw rowError(row, '"ref_text" holds no answer');
      return [{ prompt: textField(row, 'context'), completion: ` ${references[0]}\n`, references }];
    }
    const others = Array.isArray(row.value.validated_answers) ? recordsField(row, 'validated_answers') : [];
    const references = unique([recordField(row, 'answer'), ...others].flatMap(textsOfAnswer));
    if (references.length === 0) throw rowError(row, 'the question has no answer');
    return [
      {
        prompt: `Passage: ${textField(row, 'passage')}\nQuestion: ${textField(row, 'question')}\nAnswer:`,
        completion: ` ${references[0]}\n`,
        references,
      },
    ];
  },
};

/** A number, or a date as "day month year", or spans of the passage: whichever is filled in. */
function textsOfAnswer(answer: Row): string[] {
  const { number, spans, date } = answer.value;
  if (typeof number === 'number' || (typeof number === 'string' && number !== '')) return [String(number)];
  if (Array.isArray(spans) && spans.length > 0) return spans.map(String);
  return isRecord(date) ? [[date.day, date.month, date.year].filter(Boolean).join(' ')] : [];
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts.map((text) => text.trim()))].filter((text) => text !== '');
}
