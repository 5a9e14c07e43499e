/**
 * The tasks of a run as they come to one who scores them. As many as it has room for are its own at once, so that a
 * step's tasks are dealt out by the rooms of all, and nobody waits for the server between two of them; what is left
 * goes to whoever is done first.
 *
 * @module
 */

import type { Msg, NatsConnection, Subscription } from '@nats-io/nats-core';

/** A task as it was taken from the queue. */
export interface TakenTask {
  data: Uint8Array;
  done(): void;
  /** Gives it back at once. */
  giveBack(): void;
  /** Leaves it to come again, to anybody, when its time is over. */
  leave(): void;
}

interface Held extends TakenTask {
  /** Where the server is told what becomes of it. */
  subject: string;
  /** When it was handed out, or its time was extended. */
  since: number;
}

/** Tasks that the server was asked for, and has not sent yet. */
interface Wish {
  left: number;
  /** When it counts no more, as the server's word on that may be lost. */
  until: number;
  subscription: Subscription;
}

/** How long a wish for tasks is good for. */
const wishMilliseconds = 5000;

/** How long tasks are still taken that the server sent in time, to a process that did not run meanwhile. */
const lateMilliseconds = 30_000;

/** Wait for a server that is away, or says no. */
const retryMilliseconds = 250;

export class TaskFeed {
  readonly #connection: NatsConnection;
  readonly #subject: string;
  readonly #createInbox: () => string;
  readonly #deadlineMilliseconds: number;
  readonly #missing: () => void;
  readonly #wishes = new Set<Wish>();
  #ready: Held[] = [];
  /** Handed out, and neither done nor given back. */
  #held = 0;
  #room = 1;
  #closed = false;
  #pausedUntil = 0;
  #wake: (() => void) | undefined;

  /**
   * @param subject that wishes are sent to
   * @param createInbox makes a subject that nobody else has, to which tasks come
   * @param deadline seconds after which the server hands a task to somebody else
   * @param missing is called where nobody answers for the queue
   */
  constructor(
    connection: NatsConnection,
    {
      subject,
      createInbox,
      deadline,
      missing,
    }: { subject: string; createInbox: () => string; deadline: number; missing: () => void },
  ) {
    this.#connection = connection;
    this.#subject = subject;
    this.#createInbox = createInbox;
    this.#deadlineMilliseconds = deadline * 1000;
    this.#missing = missing;
  }

  /** Tasks that are its own at once; 0 while it takes none. */
  get room(): number {
    return this.#room;
  }

  set room(room: number) {
    this.#room = room;
    this.#wish();
  }

  /** A task that is there already. */
  ready(): TakenTask | undefined {
    return this.#ready.shift();
  }

  /** The next task, or nothing if none comes in time. */
  async next(milliseconds: number): Promise<TakenTask | undefined> {
    const until = performance.now() + milliseconds;
    for (;;) {
      const task = this.ready();
      const left = until - performance.now();
      if (task || left <= 0) return task;
      this.#wish();
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, retryMilliseconds));
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
  }

  /** Keeps what waits here from going to somebody else, as it is somebody who gets on with it that holds it. */
  extend(): void {
    const now = performance.now();
    for (const task of this.#ready) {
      if (now - task.since < this.#deadlineMilliseconds / 4) continue;
      task.since = now;
      this.#say(task.subject, '+WPI');
    }
  }

  /** Forgets its wishes, as a server that was restarted does. */
  reset(): void {
    for (const wish of this.#wishes) this.#forget(wish);
    this.#wish();
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Gives back what waits here. */
  close(): void {
    this.#closed = true;
    this.#room = 0;
    for (const wish of this.#wishes) this.#forget(wish);
    for (const task of this.#ready.splice(0)) task.giveBack();
  }

  #wish(): void {
    const now = performance.now();
    if (this.#closed || now < this.#pausedUntil || this.#connection.isClosed()) return;
    let missing = this.#room - this.#held;
    for (const wish of this.#wishes) {
      if (now <= wish.until) missing -= wish.left;
      else if (now > wish.until + lateMilliseconds) this.#forget(wish);
    }
    if (missing <= 0) return;
    const reply = this.#createInbox();
    const subscription = this.#connection.subscribe(reply, {
      callback: (error, message) => {
        if (!error) this.#take(message, wish);
      },
    });
    const wish: Wish = { left: missing, until: now + wishMilliseconds + 1000, subscription };
    this.#wishes.add(wish);
    const wanted = JSON.stringify({ batch: missing, expires: wishMilliseconds * 1e6 });
    this.#connection.publish(this.#subject, wanted, { reply });
  }

  #forget(wish: Wish): void {
    this.#wishes.delete(wish);
    if (!this.#connection.isClosed()) wish.subscription.unsubscribe();
  }

  #take(message: Msg, wish: Wish): void {
    const { code } = message.headers ?? { code: 0 };
    if (code !== 0 || !message.reply) {
      this.#forget(wish);
      // 408 is a wish whose time is over; others say that there is no queue, or no room in it.
      if (code === 408) {
        this.#wish();
        return;
      }
      this.#pausedUntil = performance.now() + retryMilliseconds;
      this.#missing();
      return;
    }
    if (--wish.left === 0) this.#forget(wish);
    const subject = message.reply;
    let open = true;
    const end = (word?: string) => (): void => {
      if (!open) return;
      open = false;
      this.#held--;
      if (word !== undefined) this.#say(subject, word);
      this.#wish();
    };
    this.#held++;
    this.#ready.push({
      data: message.data,
      subject,
      since: performance.now(),
      done: end('+ACK'),
      giveBack: end('-NAK'),
      leave: end(),
    });
    this.#wake?.();
  }

  /** A word that is lost only makes the task come again. */
  #say(subject: string, word: string): void {
    if (!this.#connection.isClosed()) this.#connection.publish(subject, word);
  }
}
