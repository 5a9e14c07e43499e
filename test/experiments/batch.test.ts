import { afterAll, expect, test } from 'vitest';
import { batchOf } from '../../src/experiments/batch.ts';
import { removeTemporary, tinyModel, writeRows } from '../train/tiny.ts';

afterAll(removeTemporary);

test('rows with columns of their own are read as a run reads them', async () => {
  const file = writeRows(`${JSON.stringify({ question: 'How much?', reply: ' Two.' })}\n`);
  const reading = { columns: ['prompt=question', 'completion=reply'] };
  expect(await batchOf({ model: tinyModel(), data: { file }, reading }, 1, 1)).toEqual([
    { prompt: 'How much?', completion: ' Two.' },
  ]);
});

test('preferences are refused, whose loss is not that of rows with options', async () => {
  const file = writeRows(`${JSON.stringify({ prompt: 'How much?', chosen: ' Two.', rejected: ' No.' })}\n`);
  await expect(batchOf({ model: tinyModel(), data: { file } }, 1, 1)).rejects.toThrow(/holds preferences; this exp/);
});
