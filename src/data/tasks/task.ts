/**
 * What a named task is: its prompt, its answers, and the layout of its files.
 *
 * @module
 */

import type { Example } from '../example.ts';
import type { Row } from '../row.ts';

/** Which part of a data set: for training, for choosing a checkpoint, for the final score. */
export type Split = 'train' | 'validation' | 'evaluation';

export interface Task {
  name: string;
  title: string;
  /** What an answer is: one of the options, or a generated text. */
  kind: 'options' | 'completion';
  /**
   * What training minimises: cross-entropy over the options' mean token log-probabilities, or the mean token
   * cross-entropy of the right answer alone.
   */
  trainsOn: 'options' | 'answer';
  /** Share of right options, or SQuAD's token F1 of generated answers, for which examples have `references`. */
  metric: 'accuracy' | 'f1';
  /** Names of the files to look for in the task's directory, best first. */
  files: Readonly<Record<Split, readonly string[]>>;
  /** The examples of one row of a JSON Lines or TSV file; absent where the protocol has none for causal models. */
  read?(row: Row): Example[];
  /** The same for masked language models, whose answers stand in the place of a mask. */
  readMasked?(row: Row): Example[];
  /** The rows of a file that is one JSON document, for tasks that are published so. */
  rowsOfDocument?(document: Row): Row[];
  /** Column names of a TSV file without a header line. */
  columns?: readonly string[];
}

/** The file names of the SuperGLUE distribution. */
export const superglueFiles: Task['files'] = {
  train: ['train.jsonl'],
  validation: ['validation.jsonl', 'dev.jsonl', 'val.jsonl'],
  evaluation: ['dev.jsonl', 'val.jsonl', 'validation.jsonl'],
};

/** The fields that the classification tasks have in common. */
export const classification = { kind: 'options', trainsOn: 'options', metric: 'accuracy' } as const;
