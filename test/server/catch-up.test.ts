import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { unannouncedEvents } from '../../server/jobs/catch-up.ts';
import { jsonLines, temporaryDirectory } from './harness.ts';

const step = (number: number, trainedTokens: number) => ({
  type: 'step',
  step: number,
  loss: 1 / number,
  trainedTokens,
});
const evaluation = (number: number) => ({ type: 'evaluation', step: number, loss: 1, accuracy: null });

function file(records: object[]): string {
  const path = join(temporaryDirectory(), 'metrics.jsonl');
  writeFileSync(path, jsonLines(records));
  return path;
}

test('what is beyond the announced step comes, up to the step at which the run goes on', async () => {
  const path = file([step(1, 10), step(2, 25), evaluation(2), step(3, 40), step(4, 50), evaluation(4), step(5, 65)]);
  const events = await unannouncedEvents(path, 2, 4, true);
  expect(events).toEqual([step(3, 15), step(4, 25), evaluation(4)]);
  expect(await unannouncedEvents(path, 2, 2, true)).toEqual([]);
  expect(await unannouncedEvents(path, 2, 2, false)).toEqual([evaluation(2)]);
  expect(await unannouncedEvents(path, 0, 1, false)).toEqual([step(1, 10)]);
});

test('warnings come with their steps', async () => {
  const warning = (number: number) => ({
    type: 'message',
    step: number,
    level: 'warn',
    code: 'no_slope',
    message: 'm',
  });
  const path = file([step(1, 10), warning(1), step(2, 25), warning(2), step(3, 40), warning(3)]);
  expect(await unannouncedEvents(path, 1, 2, true)).toEqual([step(2, 15), warning(2)]);
  expect(await unannouncedEvents(path, 1, 2, false)).toEqual([step(2, 15), warning(2)]);
});

test('tokens are counted across a process that began at zero', async () => {
  const path = file([step(1, 30), step(2, 60), step(3, 20), step(4, 35)]);
  expect(await unannouncedEvents(path, 2, 4, true)).toEqual([step(3, 20), step(4, 35)]);
});

test('a missing file has nothing to tell', async () => {
  expect(await unannouncedEvents(join(temporaryDirectory(), 'metrics.jsonl'), 0, 3, false)).toEqual([]);
});
