/** A disk that is full in the middle of a run. */

import { existsSync, mkdirSync, statSync, symlinkSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { readMetrics } from '../../src/train/metrics.ts';
import {
  collect,
  journalOf,
  optionRows,
  quick,
  recordsOf,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  writeRows,
} from './tiny.ts';

let engine: LocalEngine;
let model: string;
let file: string;
/** An undisturbed run. */
let whole: string;
/** What all file handles write with. */
let prototype: FileHandle;
let write: FileHandle['write'];

const request = (out: string) => ({ model, data: { file }, configuration: quick, out });

beforeAll(async () => {
  engine = await LocalEngine.open();
  model = tinyModel();
  file = writeRows(optionRows());
  const handle = await open(file);
  prototype = Object.getPrototypeOf(handle) as FileHandle;
  write = prototype.write;
  await handle.close();
  whole = join(temporaryFolder(), 'run');
  await collect(engine.train(request(whole)));
});
afterEach(() => {
  prototype.write = write;
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

/**
 * From now on files take so many bytes in all; the last write is cut short, as the system does it, and the next ones
 * fail.
 */
function limitDisk(bytes: number): void {
  let left = bytes;
  prototype.write = async function (
    this: FileHandle,
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ) {
    if (left === 0) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    const part = Math.min(left, length);
    left -= part;
    return await Reflect.apply(write, this, [buffer, offset, part, position]);
  } as FileHandle['write'];
}

describe('a disk that is full', () => {
  // A step takes 20 bytes of the journal and some 300 of the metrics; behind the header, every place in both is tried.
  test.each([0, 10, 20, 21, 150, 340, 1500, 1600, 1700, 1800])(
    '%i bytes behind the header: every announced step is kept, and the run goes on when there is room',
    async (bytes) => {
      const run = join(temporaryFolder(), 'run');
      let announced = 0;
      const training = (async () => {
        for await (const event of engine.train(request(run))) {
          if (event.type === 'start') limitDisk(bytes);
          if (event.type === 'step') announced = event.step;
        }
      })();
      await expect(training).rejects.toMatchObject({
        code: 'io',
        message: expect.stringContaining('the disk is full'),
      });
      const { records } = await journalOf(run);
      expect(records.length).toBeGreaterThanOrEqual(announced);
      expect(existsSync(join(run, 'journal.subzero.lock'))).toBe(false);

      prototype.write = write;
      await collect(engine.train({ resume: run }));
      expect((await journalOf(run)).records).toEqual((await journalOf(whole)).records);
      const lines = await readMetrics(join(run, 'metrics.jsonl'));
      expect(lines.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    },
  );

  test.each([0, 100])('%i bytes for the header: no run is left behind', async (bytes) => {
    const run = join(temporaryFolder(), 'run');
    limitDisk(bytes);
    await expect(collect(engine.train(request(run)))).rejects.toMatchObject({ code: 'io' });
    prototype.write = write;
    expect(existsSync(join(run, 'journal.subzero'))).toBe(false);
    await collect(engine.train(request(run)));
    expect((await journalOf(run)).records).toEqual((await journalOf(whole)).records);
  });

  test('half-way through a fork: no run is left behind', async () => {
    const run = join(temporaryFolder(), 'fork');
    const { size } = statSync(join(whole, 'journal.subzero'));
    limitDisk(size - 100);
    const fork = { fork: whole, step: 11, configuration: {}, out: run };
    await expect(collect(engine.train(fork))).rejects.toMatchObject({ code: 'io' });
    expect(existsSync(join(run, 'journal.subzero'))).toBe(false);
    prototype.write = write;
    await collect(engine.train(fork));
    expect((await journalOf(run)).records).toEqual((await journalOf(whole)).records);
  });

  test('when a new number of steps is written down: the old one counts', async () => {
    const run = join(temporaryFolder(), 'run');
    await collect(engine.train(request(run)));
    limitDisk(3);
    await expect(collect(engine.train({ resume: run, steps: 14 }))).rejects.toMatchObject({ code: 'io' });
    prototype.write = write;
    expect((await collect(engine.train({ resume: run })))[0]).toMatchObject({ step: 12, steps: 12 });
  });
});

test('the loss curve at the very end: an error that names it, and a finished run', async () => {
  const run = join(temporaryFolder(), 'run');
  mkdirSync(run);
  symlinkSync('/dev/full', join(run, 'loss-curve.svg'));
  const configuration = { steps: 2, batchSize: 2, rank: 2 };
  const error = await collect(engine.train({ ...request(run), configuration })).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'io', message: expect.stringContaining('loss-curve.svg') });
  expect((await recordsOf(run)).length).toBe(2);
});
