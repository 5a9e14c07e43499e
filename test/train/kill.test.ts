import { afterAll, expect, test } from 'vitest';
import { trainWholeAndKilled } from './killing.ts';
import { optionRows, removeTemporary, tinyModel, writeRows } from './tiny.ts';

afterAll(removeTemporary);

test('a run that is killed eight times at random moments ends like an undisturbed one, to the last bit', async () => {
  const parameters = [
    ...['--model', tinyModel(), '--data', writeRows(optionRows()), '--batch-size', '4', '--learning-rate', '1e-3'],
    ...['--rank', '4', '--refresh', '7', '--queries', '2', '--seed', '5'],
  ];
  const { ordeal, records, weights } = await trainWholeAndKilled(parameters, { steps: 128, atLeast: 8, seed: 1 });
  expect(ordeal.kills).toBeGreaterThanOrEqual(8);
  // Kills that all hit the start of the process would show nothing.
  expect(new Set(ordeal.steps).size).toBeGreaterThanOrEqual(4);
  expect(records.killed).toEqual(records.whole);
  expect(Buffer.compare(weights.killed, weights.whole)).toBe(0);
});
