import { expect, test } from 'vitest';
import type { TokenizedExample } from '../../src/data/example.ts';
import { packExamples, packSequences } from '../../src/model/batch.ts';
import { packRuns, runsOf } from '../../src/model/runs.ts';

function options(prompt: number, ...lengths: number[]): TokenizedExample {
  const ids = (count: number) => Array.from({ length: count }, (_, index) => index);
  const continuations = lengths.map((length) => ({ ids: ids(length), scored: length }));
  return { kind: 'options', prompt: ids(prompt), continuations, label: 0 };
}

test('the first option goes on from its prompt, the others walk over it again', () => {
  // The last token of an option has no row.
  const { batch } = packExamples([options(3, 3, 2, 1, 4), options(2, 1, 1), options(1, 2), options(2, 1, 3)]);
  const prompt = { start: 0, end: 3 };
  expect(runsOf(batch)).toEqual([
    { start: 0, end: 5 },
    { start: 5, end: 6, before: prompt },
    { start: 6, end: 9, before: prompt },
    { start: 9, end: 11 },
    { start: 11, end: 13 },
    { start: 13, end: 17 },
  ]);
});

test('sequences are a run each, and every row has the number of its run', () => {
  const { batch } = packSequences([
    [1, 2, 3],
    [4, 5],
    [6, 7, 8, 9],
  ]);
  const runs = runsOf(batch);
  expect(runs).toEqual([
    { start: 0, end: 2 },
    { start: 2, end: 3 },
    { start: 3, end: 6 },
  ]);
  const { table, ofRows } = packRuns(runs, 6);
  expect([...ofRows]).toEqual([0, 0, 1, 2, 2, 2]);
  expect([...table]).toEqual([0, 0, 0, 2, 0, 0, 0, 0, 2, 3, 0, 0, 0, 0, 3, 6, 0, 0]);
});

test('runs with states say which, and from which they go on', () => {
  const runs = [
    { start: 0, end: 1, state: 3, from: 3 },
    { start: 1, end: 4, state: 1 },
    { start: 4, end: 6, state: 2, from: 0 },
  ];
  expect([...packRuns(runs, 6).table]).toEqual([0, 0, 0, 1, 3, 4, 0, 0, 1, 4, 1, 0, 0, 0, 4, 6, 2, 1]);
});
