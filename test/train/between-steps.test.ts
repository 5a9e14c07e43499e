/** What happens between two steps of a run: the GPU goes on while the one is written down. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { SubzeroError } from '../../src/errors.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { JournalWriter } from '../../src/zo/journal.ts';
import {
  journalOf,
  ofType,
  optionRows,
  quick,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  writeRows,
} from './tiny.ts';

let gpu: Gpu;
let engine: LocalEngine;
let model: string;
let file: string;

beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
  model = tinyModel();
  file = writeRows(optionRows());
});
afterEach(() => {
  vi.restoreAllMocks();
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

const settings = { ...quick, steps: 9, refresh: 100 };
const request = (out: string) => ({ model, data: { file }, configuration: settings, out });

test('the next look is with the GPU when a step is written down, unless an evaluation or the end follows', async () => {
  const recorded: number[] = [];
  const { append } = JournalWriter.prototype;
  vi.spyOn(JournalWriter.prototype, 'append').mockImplementation(async function (this: JournalWriter, record) {
    recorded.push(gpu.recorder.dispatches);
    await append.call(this, record);
  });
  const out = join(temporaryFolder(), 'run');
  const configuration = { ...settings, evaluateEvery: 4 };
  for await (const event of engine.train({ ...request(out), validation: { file }, configuration })) {
    // A look that was begun is none that was made.
    if (event.type === 'step') expect((await journalOf(out)).records.length).toBe(event.step);
  }
  const since = recorded.slice(1).map((count, index) => count - recorded[index]!);
  const [look] = since;
  // An update is one launch here; before the steps 4, 8 and 9 were written there was nothing else to do.
  expect(look).toBeGreaterThan(10);
  expect(since.slice(0, 3)).toEqual([look, look, 1]);
  expect(since.slice(4, 7)).toEqual([look, look, 1]);
  expect(since.length).toBe(8);
});

describe('a look that fails', () => {
  let looks = 0;

  /** The n-th look from now on fails. */
  function failAt(n: number): void {
    const { recorder } = gpu;
    const read = recorder.readInTurns.bind(recorder);
    looks = 0;
    vi.spyOn(recorder, 'readInTurns').mockImplementation(async (...parameters) => {
      const data = await read(...parameters);
      if (++looks === n) throw new SubzeroError('gpu', 'the GPU reported an error: a test');
      return data;
    });
  }

  test('ends the run behind the steps before it, which are announced', async () => {
    const out = join(temporaryFolder(), 'run');
    failAt(4);
    const steps: number[] = [];
    const training = (async () => {
      for await (const event of engine.train(request(out))) if (event.type === 'step') steps.push(event.step);
    })();
    await expect(training).rejects.toMatchObject({ code: 'gpu', message: expect.stringContaining('a test') });
    expect(steps).toEqual([1, 2, 3]);
    expect((await journalOf(out)).records.length).toBe(3);
  });

  test.each(['break', 'abort'])('is nothing to those who have left: %s', async (way) => {
    const out = join(temporaryFolder(), 'run');
    failAt(4);
    const abort = new AbortController();
    const events = [];
    for await (const event of engine.train(request(out), abort.signal)) {
      events.push(event);
      if (event.type !== 'step' || event.step < 3) continue;
      if (way === 'break') break;
      abort.abort();
    }
    expect(ofType(events, 'step').length).toBe(3);
    if (way === 'abort') expect(events.at(-1)).toMatchObject({ type: 'done', step: 3, outcome: 'stopped' });
    expect(looks).toBe(4);
    expect((await journalOf(out)).records.length).toBe(3);
    expect(existsSync(join(out, 'journal.subzero.lock'))).toBe(false);
  });
});

test('memory is freed when the look in flight is over, however long others hold it up', async () => {
  Object.defineProperty(gpu.turns, 'pieceMilliseconds', { get: () => 0.05, configurable: true });
  await gpu.idle();
  const { liveBytes } = gpu.memory.report();
  const held = { from: 0, to: 0, left: 0 };
  for await (const event of engine.train(request(join(temporaryFolder(), 'run')))) {
    if (event.type !== 'step' || event.step < 3) continue;
    const leave = gpu.turns.enter();
    held.from = performance.now();
    setTimeout(() => {
      held.to = performance.now();
      leave();
    }, 100);
    break;
  }
  held.left = performance.now();
  expect(held.to - held.from).toBeGreaterThan(90);
  expect(held.left).toBeGreaterThan(held.to);
  // Work over memory that was freed too early would be an error of the device.
  await gpu.idle();
  // What is kept is the recorder's own.
  expect(gpu.memory.report().liveBytes - liveBytes).toBeLessThan(64 * 1024);
});
