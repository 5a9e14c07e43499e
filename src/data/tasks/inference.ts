/**
 * Natural language inference with three classes: SNLI (Bowman et al. 2015) and MNLI (Williams et al. 2018).
 *
 * @module
 */

import type { Example } from '../example.ts';
import { labelField, type Row, textField } from '../row.ts';
import { inferenceLabels, inferenceWords, related } from './masked-template.ts';
import { classification, type Task } from './task.ts';

/** Rows of the published files, and of tables with `premise`, `hypothesis` and `label`. */
function readMasked(row: Row): Example[] {
  const published = 'sentence1' in row.value;
  const label = 'gold_label' in row.value ? 'gold_label' : 'label';
  // Pairs that annotators did not agree on have no label.
  if (['-', -1].includes(row.value[label] as string | number)) return [];
  const [premise, hypothesis] = published ? ['sentence1', 'sentence2'] : ['premise', 'hypothesis'];
  return [
    {
      prompt: related(textField(row, premise!), textField(row, hypothesis!)),
      options: inferenceWords,
      label: labelField(row, inferenceLabels, label),
    },
  ];
}

const columns = ['sentence1', 'sentence2', 'gold_label'];

export const snli: Task = {
  ...classification,
  name: 'snli',
  title: 'Stanford Natural Language Inference',
  files: {
    train: ['train.jsonl', 'train.tsv', 'snli_1.0_train.jsonl'],
    validation: ['validation.jsonl', 'dev.jsonl', 'dev.tsv', 'snli_1.0_dev.jsonl'],
    evaluation: ['test.jsonl', 'test.tsv', 'snli_1.0_test.jsonl', 'dev.jsonl', 'dev.tsv'],
  },
  columns,
  readMasked,
};

/** The matched part; its test set has no labels. */
const mnliDevelopment = ['validation_matched.jsonl', 'dev_matched.jsonl', 'dev_matched.tsv', 'validation.jsonl'];

export const mnli: Task = {
  ...classification,
  name: 'mnli',
  title: 'Multi-Genre Natural Language Inference, matched',
  files: {
    train: ['train.jsonl', 'train.tsv', 'multinli_1.0_train.jsonl'],
    validation: [...mnliDevelopment, 'multinli_1.0_dev_matched.jsonl'],
    evaluation: [...mnliDevelopment, 'multinli_1.0_dev_matched.jsonl'],
  },
  columns,
  readMasked,
};
