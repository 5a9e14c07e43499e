import { afterAll, expect, test } from 'vitest';
import { batchOf } from '../../src/experiments/batch.ts';
import { removeTemporary, writeRows } from '../train/tiny.ts';

afterAll(removeTemporary);

test('rows with columns of their own are read as a run reads them', async () => {
  const file = writeRows(`${JSON.stringify({ question: 'How much?', reply: ' Two.' })}\n`);
  const reading = { columns: ['prompt=question', 'completion=reply'] };
  expect(await batchOf({ data: { file }, reading }, 1, 1)).toEqual([{ prompt: 'How much?', completion: ' Two.' }]);
});
