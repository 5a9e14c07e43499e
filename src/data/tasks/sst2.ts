import { describedTask } from './described.ts';

/** SST-2 (Socher et al. 2013), as JSON Lines or in GLUE's TSV layout. */
export const sst2 = describedTask({
  name: 'sst2',
  title: 'Stanford Sentiment Treebank, two classes',
  template: '{sentence|trim} It was',
  labels: { 0: 'terrible', 1: 'great' },
  splits: {
    train: ['train.jsonl', 'train.tsv'],
    validation: ['validation.jsonl', 'validation.tsv', 'dev.jsonl', 'dev.tsv'],
    evaluation: ['dev.jsonl', 'dev.tsv', 'validation.jsonl', 'validation.tsv'],
  },
  columns: ['sentence', 'label'],
});
