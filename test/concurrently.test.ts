import { expect, test } from 'vitest';
import { concurrently } from '../src/concurrently.ts';

test('works on some items at a time, in their order', async () => {
  let [running, most] = [0, 0];
  const begun: number[] = [];
  await concurrently([1, 2, 3, 4, 5], 2, async (item, index) => {
    expect(index).toBe(item - 1);
    begun.push(item);
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, item === 1 ? 20 : 1));
    running--;
  });
  expect(begun).toEqual([1, 2, 3, 4, 5]);
  expect(most).toBe(2);
});

test('begins nothing after a failure, and waits for what is under way', async () => {
  const ended: number[] = [];
  const work = concurrently([1, 2, 3, 4], 2, async (item) => {
    if (item === 1) throw new Error('one');
    await new Promise((resolve) => setTimeout(resolve, 5));
    ended.push(item);
  });
  await expect(work).rejects.toThrow('one');
  expect(ended).toEqual([2]);
});

test('a signal ends it quietly', async () => {
  const abort = new AbortController();
  const begun: number[] = [];
  await concurrently(
    [1, 2, 3],
    1,
    async (item) => {
      begun.push(item);
      abort.abort();
    },
    abort.signal,
  );
  expect(begun).toEqual([1]);
});
