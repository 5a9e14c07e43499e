import { beforeEach, expect, test } from 'vitest';
import type { GpuBuffer } from '../../src/gpu/buffer.ts';
import { spread } from '../../src/gpu/workgroups.ts';
import { openTestGpu } from '../support/gpu.ts';

const gpu = openTestGpu();

/** Long enough for every dispatch to become a piece of its own. */
const shortest = 1e-9;
let submissions = 0;

beforeEach(() => {
  // Tiny work is never cut by its time; here each dispatch is.
  Object.defineProperty(gpu().turns, 'pieceMilliseconds', { get: () => shortest, configurable: true });
  const { queue } = gpu().device;
  const submit = GPUQueue.prototype.submit.bind(queue);
  submissions = 0;
  queue.submit = (commands) => {
    submissions++;
    return submit(commands);
  };
});

function upload(data: ArrayBufferView): GpuBuffer {
  const buffer = gpu().allocate(data.byteLength, 'scratch', 'test');
  buffer.write(data);
  return buffer;
}

/** target[i] = source[i] for the first `count` elements. */
function copyRows(indices: GpuBuffer, source: GpuBuffer, target: GpuBuffer, count: number): void {
  gpu().recorder.dispatch(
    gpu().kernel({ files: ['gather-rows.wgsl'] }),
    [indices, source, target],
    { count, index_count: count, width: 1, probes: 1, source_stride: 0 },
    spread(Math.ceil(count / 64)),
  );
}

/**
 * A chain that must run in order, each step with its own parameters: value i is written to the first (last − i)
 * elements.
 */
function chain(length: number) {
  const indices = upload(Uint32Array.from({ length }, (_, index) => index));
  const target = upload(new Float32Array(length));
  const sources = Array.from({ length }, (_, index) => upload(new Float32Array(length).fill(index + 1)));
  return {
    record: (from = 0, to = length) => {
      for (let index = from; index < to; index++) copyRows(indices, sources[index]!, target, length - index);
    },
    request: { buffer: target, bytes: length * 4 },
    expected: Float32Array.from({ length }, (_, index) => length - index),
  };
}

test('divided work has the same result in many submissions', async () => {
  const work = chain(40);
  gpu().recorder.divide();
  work.record();
  const [data] = await gpu().recorder.readInTurns([work.request]);
  expect(new Float32Array(data!)).toEqual(work.expected);
  expect(submissions).toBe(40);
  // It ends there: what follows is one submission again.
  const next = chain(10);
  next.record();
  submissions = 0;
  expect(new Float32Array((await gpu().recorder.read([next.request]))[0]!)).toEqual(next.expected);
  expect(submissions).toBe(1);
});

test('what was recorded before the division is submitted first', async () => {
  const work = chain(20);
  work.record(0, 10);
  gpu().recorder.divide();
  work.record(10);
  const [data] = await gpu().recorder.readInTurns([work.request]);
  expect(new Float32Array(data!)).toEqual(work.expected);
});

test('other work in between: both have their own parameters and results', async () => {
  const [bulk, urgent] = [chain(60), chain(30)];
  gpu().recorder.divide();
  bulk.record();
  let done = false;
  const reading = gpu()
    .recorder.readInTurns([bulk.request])
    .then(([data]) => {
      done = true;
      return data!;
    });
  const leave = gpu().turns.enter();
  let passes = 0;
  for (; passes < 5; passes++) {
    urgent.record();
    const [data] = await gpu().recorder.read([urgent.request]);
    expect(new Float32Array(data!)).toEqual(urgent.expected);
  }
  expect(done, 'the bulk work waits for the urgent').toBe(false);
  leave();
  expect(new Float32Array(await reading)).toEqual(bulk.expected);
});

test('two divided works side by side', async () => {
  const works = [chain(30), chain(50)];
  const results = await Promise.all(
    works.map(async (work) => {
      gpu().recorder.divide();
      work.record();
      return gpu().recorder.readInTurns([work.request]);
    }),
  );
  for (const [index, [data]] of results.entries()) expect(new Float32Array(data!)).toEqual(works[index]!.expected);
});

test('a submission of everything ends a division, in order', async () => {
  const work = chain(20);
  gpu().recorder.divide();
  work.record(0, 15);
  gpu().recorder.submit();
  work.record(15);
  const [data] = await gpu().recorder.read([work.request]);
  expect(new Float32Array(data!)).toEqual(work.expected);
});
