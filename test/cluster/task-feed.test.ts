import { headers, type Msg, type NatsConnection } from '@nats-io/nats-core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { TaskFeed } from '../../src/cluster/task-feed.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

interface Wish {
  batch: number;
  open: boolean;
  /** Brings a task, or a status of the server's. */
  bring(message: Partial<Msg>): void;
}

/** A server that does as it is told. */
class Server {
  readonly wishes: Wish[] = [];
  /** What was said to tasks. */
  readonly words: string[] = [];
  readonly #subscribed = new Map<string, (error: Error | null, message: Msg) => void>();
  #inboxes = 0;

  readonly connection = {
    isClosed: () => false,
    subscribe: (subject: string, { callback }: { callback: (error: Error | null, message: Msg) => void }) => {
      this.#subscribed.set(subject, callback);
      return { unsubscribe: () => this.#subscribed.delete(subject) };
    },
    publish: (subject: string, data: string, options?: { reply: string }) => {
      if (!options) return void this.words.push(`${subject} ${data}`);
      const { reply } = options;
      const subscribed = this.#subscribed;
      this.wishes.push({
        batch: (JSON.parse(data) as { batch: number }).batch,
        get open() {
          return subscribed.has(reply);
        },
        bring: (message) => subscribed.get(reply)?.(null, message as Msg),
      });
    },
  } as unknown as NatsConnection;

  feed(): TaskFeed {
    const createInbox = () => `inbox ${++this.#inboxes}`;
    return new TaskFeed(this.connection, { missing: () => {}, subject: 'next', createInbox, deadline: 30 });
  }
}

const task = (reply: string): Partial<Msg> => ({ reply, data: new Uint8Array() });

test('asks for as many tasks as it has room for, and for another as soon as one is done', () => {
  const server = new Server();
  const feed = server.feed();
  feed.room = 3;
  expect(server.wishes.map(({ batch }) => batch)).toEqual([3]);
  for (const name of ['a', 'b', 'c']) server.wishes[0]!.bring(task(name));
  expect(server.wishes[0]!.open).toBe(false);
  feed.ready()!.done();
  feed.ready()!.leave();
  expect(server.words).toEqual(['a +ACK']);
  expect(server.wishes.slice(1).map(({ batch }) => batch)).toEqual([1, 1]);
  feed.close();
  expect(server.words).toEqual(['a +ACK', 'c -NAK']);
  expect(server.wishes.every(({ open }) => !open)).toBe(true);
});

test('asks again where a wish is over, and after a while where there is no queue', () => {
  const server = new Server();
  const feed = server.feed();
  feed.room = 2;
  server.wishes[0]!.bring({ headers: headers(408, 'Request Timeout') });
  expect(server.wishes.map(({ batch }) => batch)).toEqual([2, 2]);
  server.wishes[1]!.bring({ headers: headers(503, 'No Responders') });
  feed.room = 2;
  expect(server.wishes).toHaveLength(2);
  vi.advanceTimersByTime(300);
  feed.room = 2;
  expect(server.wishes).toHaveLength(3);
  feed.close();
});

// The server has sent it in time; it would give it to nobody else before its deadline is over.
test('takes a task that its own process was too busy to see in time', () => {
  const server = new Server();
  const feed = server.feed();
  feed.room = 1;
  vi.advanceTimersByTime(10_000);
  feed.room = 1;
  expect(server.wishes).toHaveLength(2);
  server.wishes[0]!.bring(task('late'));
  feed.ready()!.done();
  expect(server.words).toEqual(['late +ACK']);
  // What never came is forgotten in the end.
  vi.advanceTimersByTime(60_000);
  feed.room = 1;
  expect(server.wishes.map(({ open }) => open)).toEqual([false, false, true]);
  feed.close();
});
