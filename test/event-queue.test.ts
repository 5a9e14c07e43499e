import { describe, expect, test } from 'vitest';
import { EventQueue } from '../src/event-queue.ts';

async function all<T>(queue: EventQueue<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of queue.drain()) items.push(item);
  return items;
}

describe('an event queue', () => {
  test('gives items in order, those pushed before and while it is drained', async () => {
    const queue = new EventQueue<number>();
    queue.push(1);
    const drained = all(queue);
    await Promise.resolve();
    queue.push(2);
    queue.push(3);
    await new Promise((resolve) => setTimeout(resolve, 1));
    queue.push(4);
    queue.end();
    expect(await drained).toEqual([1, 2, 3, 4]);
  });

  test('fails only when all items were seen', async () => {
    const queue = new EventQueue<number>();
    queue.push(1);
    queue.end(new Error('broken'));
    const seen: number[] = [];
    const drained = (async () => {
      for await (const item of queue.drain()) seen.push(item);
    })();
    await expect(drained).rejects.toThrow('broken');
    expect(seen).toEqual([1]);
  });

  test('ends once: what comes later changes nothing', async () => {
    const queue = new EventQueue<number>();
    expect(queue.ended).toBe(false);
    queue.end();
    expect(queue.ended).toBe(true);
    queue.end(new Error('too late'));
    expect(await all(queue)).toEqual([]);
  });
});
