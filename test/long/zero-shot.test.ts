import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { removeTemporary, temporaryFolder, writeRows } from '../train/tiny.ts';

test('the reviews model on all 872 rows of SST-2: loss and accuracy of the reference', async () => {
  const golden = JSON.parse(readFileSync(new URL('../fixtures/golden/reviews-3m.json', import.meta.url), 'utf8')) as {
    sst2_dev_zero_shot: { rows: number; loss_unrounded: number; correct: number };
  };
  const { rows, loss_unrounded, correct } = golden.sst2_dev_zero_shot;
  const directory = temporaryFolder();
  const dev = readFileSync(new URL('../../examples/sst2/dev.jsonl', import.meta.url), 'utf8');
  writeRows(dev, directory, 'dev.jsonl');
  const engine = await LocalEngine.open();
  const path = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));
  await engine.loadModel({ id: 'reviews', path });
  const result = await engine.evaluate({ model: 'reviews', data: { task: 'sst2', directory } });
  expect(result.examples).toBe(rows);
  expect(result.loss).toBeCloseTo(loss_unrounded, 5);
  // A row whose options are equal to the last bits may fall to either side.
  expect(Math.abs(result.accuracy! * rows - correct)).toBeLessThanOrEqual(1.001);
  await engine.close();
  removeTemporary();
});
