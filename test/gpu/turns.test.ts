import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Turns } from '../../src/gpu/turns.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Whether a promise has been fulfilled by now. */
async function fulfilled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  void promise.then(() => {
    done = true;
  });
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  return done;
}

test('without urgent work nothing is held', async () => {
  const turns = new Turns();
  expect(turns.held).toBe(false);
  await turns.wait();
});

test('bulk work is held until all urgent work has ended', async () => {
  const turns = new Turns();
  const [leaveOne, leaveOther] = [turns.enter(), turns.enter()];
  const waiting = turns.wait();
  vi.advanceTimersByTime(100);
  leaveOne();
  expect(turns.held).toBe(true);
  expect(await fulfilled(waiting)).toBe(false);
  leaveOther();
  expect(turns.held).toBe(false);
  await waiting;
});

test('patience ends, and is earned again by running', async () => {
  const turns = new Turns();
  turns.enter();
  const waiting = turns.wait();
  vi.advanceTimersByTime(999);
  expect(await fulfilled(waiting)).toBe(false);
  vi.advanceTimersByTime(1);
  await waiting;
  expect(turns.held).toBe(false);
  turns.ran(5);
  expect(turns.held).toBe(true);
  const again = turns.wait();
  vi.advanceTimersByTime(10);
  await again;
  expect(turns.held).toBe(false);
});

test('endless urgent work leaves bulk work half of the time', async () => {
  const turns = new Turns();
  turns.enter();
  let ran = 0;
  // A piece takes 5 ms, and the GPU does one thing at a time.
  for (let time = 0; time < 10_000; time += 5) {
    vi.advanceTimersByTime(5);
    if (turns.held) continue;
    turns.ran(5);
    ran += 5;
  }
  expect(ran / (10_000 - 1000)).toBeCloseTo(0.5, 2);
});

test('quiet time gives patience back', () => {
  const turns = new Turns();
  const leave = turns.enter();
  vi.advanceTimersByTime(1500);
  leave();
  vi.advanceTimersByTime(1500);
  turns.enter();
  expect(turns.held).toBe(true);
  vi.advanceTimersByTime(1000);
  expect(turns.held).toBe(false);
});

test('bulk work that got less than its share may have more on the GPU at a time', () => {
  const turns = new Turns();
  expect(turns.piecesInFlight).toBe(2);
  const leave = turns.enter();
  vi.advanceTimersByTime(1500);
  expect(turns.piecesInFlight).toBe(5);
  vi.advanceTimersByTime(60_000);
  expect(turns.piecesInFlight).toBe(8);
  leave();
  expect(turns.piecesInFlight).toBe(2);
});

test('pieces are short where requests may come, and endless where none can', () => {
  const turns = new Turns();
  expect(turns.pieceMilliseconds).toBe(Number.POSITIVE_INFINITY);
  turns.expect();
  expect(turns.pieceMilliseconds).toBe(5);
});
