import { expect, test } from 'vitest';
import { createTrainReport } from '../../src/cli/train-report.ts';
import type { TrainEvent } from '../../src/engine/types.ts';
import { fakeHost } from './fake-host.ts';

const step: Extract<TrainEvent, { type: 'step' }> = {
  ...{ type: 'step', step: 3, steps: 9, loss: -0.25, accuracy: null, projectedGradient: 1.5, learningRate: 1e-4 },
  ...{ tokensPerSecond: 700, elapsedSeconds: 3, etaSeconds: 6, trainedTokens: 2100 },
};

function lineOf(event: TrainEvent): string {
  const host = fakeHost();
  createTrainReport(host, { quiet: false, json: false }).event(event);
  return host.error.text;
}

test('the progress of a run by rewards begins with the reward', () => {
  const measures = { reward: 0.25, answerTokens: 4 };
  expect(lineOf({ ...step, measures })).toBe(
    'step 3/9  reward 0.2500  loss -0.2500  ρ +1.50  700 tokens/s  ETA 0:06\n',
  );
  expect(lineOf(step)).toBe('step 3/9  loss -0.2500  ρ +1.50  700 tokens/s  ETA 0:06\n');
});
