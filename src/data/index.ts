/**
 * Data sets: formats, tasks, tokenisation and sampling.
 *
 * @module
 */

export { bestTokenF1, isExactMatch, normalizeAnswer, tokenF1 } from './answer-score.ts';
export { type Continuation, type Example, joinAnswer, type TokenizedExample } from './example.ts';
export { type Dataset, loadDataset } from './load.ts';
export { BatchSampler, type Sampling, sampleBatch, samplePermutation } from './sampling.ts';
export { type Split, type Task, taskOf, tasks } from './tasks/index.ts';
export { type TokenizedDataset, tokenizeExample, tokenizeExamples } from './tokenize.ts';
