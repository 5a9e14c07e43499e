import { expect, test } from 'vitest';
import { EvaluationHistory } from '../../src/train/best.ts';

const evaluation = (step: number, loss: unknown) => ({ type: 'evaluation', step, loss });

test('the best is the first of the lowest losses; steps and repetitions do not count', () => {
  const history = EvaluationHistory.of([
    { type: 'step', step: 1, loss: 0 },
    evaluation(2, 0.5),
    evaluation(4, 0.4),
    evaluation(6, 0.4),
    evaluation(6, 0.1),
    evaluation(8, 0.6),
  ]);
  expect(history).toMatchObject({ best: { step: 4, loss: 0.4 }, sinceBest: 2, lastStep: 8 });
});

test('a loss that is no number is not the best, but an evaluation', () => {
  const history = EvaluationHistory.of([evaluation(2, null), evaluation(4, null)]);
  expect(history).toMatchObject({ best: undefined, sinceBest: 2, lastStep: 4 });
  history.observe(6, 3);
  expect(history).toMatchObject({ best: { step: 6, loss: 3 }, sinceBest: 0 });
  history.observe(8, Number.NaN);
  expect(history.sinceBest).toBe(1);
});

test('the patience of a fork begins with it', () => {
  const lines = [evaluation(2, 0.4), evaluation(4, 0.5), evaluation(6, 0.5), evaluation(8, 0.5)];
  expect(EvaluationHistory.of(lines)).toMatchObject({ best: { step: 2 }, sinceBest: 3 });
  expect(EvaluationHistory.of(lines, 6)).toMatchObject({ best: { step: 2 }, sinceBest: 1 });
});

test('before the first evaluation there is nothing', () => {
  expect(EvaluationHistory.of([])).toMatchObject({ best: undefined, sinceBest: 0, lastStep: -1 });
});
