import { afterEach, describe, expect, test, vi } from 'vitest';
import { listAdapters } from '../../src/gpu/device.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import * as kernels from '../../src/gpu/kernel.ts';
import { chromeTrace, Profiler, summarise } from '../../src/gpu/profiler.ts';

/** A small kernel. */
const gateKernel = { files: ['activation.wgsl', 'gate.wgsl'], constants: { ACTIVATION: 4 } };

const opened: Gpu[] = [];

async function open(): Promise<Gpu> {
  const gpu = await Gpu.open();
  opened.push(gpu);
  return gpu;
}

afterEach(() => {
  for (const gpu of opened.splice(0)) gpu.close();
  vi.restoreAllMocks();
});

/** Copies one word with the simplest kernel there is. */
function copyOne(gpu: Gpu, value: number) {
  const source = gpu.allocate(16, 'scratch', 'source');
  const indices = gpu.allocate(16, 'scratch', 'indices');
  const target = gpu.allocate(16, 'scratch', 'target');
  source.write(new Float32Array([value]));
  gpu.recorder.dispatch(
    gpu.kernel({ files: ['gather-rows.wgsl'] }),
    [indices, source, target],
    { count: 1, width: 1, probes: 1, source_stride: 1, index_count: 1 },
    [1],
  );
  return target;
}

async function readOne(gpu: Gpu, value: number): Promise<number> {
  const [data] = await gpu.recorder.read([{ buffer: copyOne(gpu, value), bytes: 4 }]);
  return new Float32Array(data!)[0]!;
}

describe('a kernel that does not compile', () => {
  test('is an error with its label, file and line, and the device goes on working', async () => {
    const gpu = await open();
    // gate.wgsl without its `Parameters` cannot know the constant that follows.
    const definition = { files: ['gate.wgsl', 'rope.wgsl'], constants: { INTERLEAVED: true } };
    const kernel = gpu.kernel(definition);
    gpu.recorder.dispatch(
      kernel,
      kernel.storage.map(() => gpu.unused),
      Object.fromEntries(kernel.parameters.map(({ name }) => [name, 0])),
      [1],
    );
    await expect(gpu.recorder.read([{ buffer: gpu.unused, bytes: 4 }])).rejects.toThrow(
      expect.objectContaining({
        code: 'gpu',
        message: expect.stringMatching(
          /^the kernel rope \(gate, INTERLEAVED\) does not compile: rope\.wgsl:\d+:\d+: .*Parameters/,
        ),
      }),
    );
    expect(await readOne(gpu, 5)).toBe(5);
  });

  test('is found again at the next use, and nothing is reported unhandled meanwhile', async () => {
    const gpu = await open();
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    for (let attempt = 0; attempt < 2; attempt++) {
      gpu.kernel({ files: ['embed.wgsl'], constants: { ACCUMULATE: false, ROWS: 1 } });
      await new Promise((resolve) => setTimeout(resolve, 20));
      await expect(gpu.checkKernels()).rejects.toThrow(
        /the kernel embed \(ROWS=1\) does not compile: embed\.wgsl:.*WeightWord/s,
      );
    }
    expect(unhandled).not.toHaveBeenCalled();
    process.off('unhandledRejection', unhandled);
  });

  test('lines are counted within their file', () => {
    const definition = { files: ['weights/bf16.wgsl', 'embed.wgsl'], constants: { ACCUMULATE: true, ROWS: 1 } };
    const lines = kernels.assembleSource(definition).split('\n');
    expect(kernels.locateLine(definition, 1)).toBeUndefined();
    for (const [index, text] of lines.entries()) {
      const place = kernels.locateLine(definition, index + 1);
      if (index < 2) expect(place).toBeUndefined();
      else expect(kernels.kernelSource(place!.file).split('\n')[place!.line - 1]).toBe(text);
    }
    expect(kernels.locateLine(definition, lines.length + 1)).toBeUndefined();
  });
});

test('a wrong use of the device names the kernel and fails only once', async () => {
  const gpu = await open();
  const kernel = gpu.kernel(gateKernel);
  // One buffer both read and written in one dispatch.
  gpu.recorder.dispatch(kernel, [gpu.unused, gpu.unused], { quads: 1 }, [1]);
  await expect(gpu.recorder.read([{ buffer: gpu.unused, bytes: 4 }])).rejects.toThrow(
    expect.objectContaining({ code: 'gpu', message: expect.stringContaining('unused') }),
  );
  expect(await readOne(gpu, 6)).toBe(6);
});

describe('a lost device', () => {
  test('fails work that is under way and work that comes, with one clear error, and can be opened again', async () => {
    const gpu = await open();
    expect(await readOne(gpu, 1)).toBe(1);
    const target = copyOne(gpu, 2);
    const pending = [
      gpu.recorder.read([{ buffer: target, bytes: 4 }]),
      gpu.recorder.read([{ buffer: target, bytes: 4 }]),
    ];
    gpu.device.destroy();
    const lost = expect.objectContaining({ code: 'device_lost', message: expect.stringContaining('open it again') });
    for (const result of await Promise.allSettled(pending)) {
      expect(result).toMatchObject({ status: 'rejected', reason: lost });
    }
    await expect(gpu.recorder.read([{ buffer: target, bytes: 4 }])).rejects.toThrow(lost);
    await expect(gpu.idle()).rejects.toThrow(lost);
    expect(() => gpu.allocate(16, 'scratch', 'late')).toThrow(lost);
    const again = await open();
    expect(await readOne(again, 3)).toBe(3);
  });

  test('a closed one too; closing twice is fine', async () => {
    const gpu = await open();
    const pending = gpu.recorder.read([{ buffer: copyOne(gpu, 1), bytes: 4 }]);
    gpu.close();
    gpu.close();
    await expect(pending).rejects.toThrow(expect.objectContaining({ code: 'device_lost' }));
    expect(await readOne(await open(), 4)).toBe(4);
  });
});

describe('the choice of an adapter', () => {
  test('by index or by a part of the name', async () => {
    const names = await listAdapters();
    expect(names.length).toBeGreaterThan(0);
    for (const adapter of [0, '0', names[0]!.slice(0, 6), names[0]!.slice(1, 7).toUpperCase()]) {
      const gpu = await Gpu.open({ adapter });
      opened.push(gpu);
      expect(await readOne(gpu, 9)).toBe(9);
    }
  });

  test('one that is not there is refused with those that are', async () => {
    const [name] = await listAdapters();
    for (const adapter of ['no such adapter', 99]) {
      await expect(Gpu.open({ adapter })).rejects.toThrow(
        expect.objectContaining({ code: 'no_adapter', parameter: 'adapter', message: expect.stringContaining(name!) }),
      );
    }
  });
});

describe('the profiler', () => {
  test('times each dispatch under its kernel’s label', async () => {
    const gpu = await open();
    const profiler = new Profiler(gpu);
    gpu.recorder.profiler = profiler;
    for (let index = 0; index < 3; index++) copyOne(gpu, index);
    const timings = await profiler.collect();
    expect(timings.map(({ label }) => label)).toEqual(Array(3).fill('gather-rows'));
    for (const { start, end } of timings) {
      expect(end).toBeGreaterThanOrEqual(start);
      expect(start).toBeGreaterThanOrEqual(0);
    }
    expect(await profiler.collect()).toEqual([]);
    copyOne(gpu, 1);
    expect(await profiler.collect()).toHaveLength(1);
    gpu.recorder.profiler = undefined;
    profiler.destroy();
  });

  test('more dispatches than it has queries are run, and those with queries are timed', async () => {
    const gpu = await open();
    const profiler = new Profiler(gpu);
    gpu.recorder.profiler = profiler;
    const target = copyOne(gpu, 7);
    for (let index = 0; index < 2100; index++) {
      gpu.recorder.dispatch(gpu.kernel(gateKernel), [gpu.unused, target], { quads: 0 }, [1]);
    }
    expect(await profiler.collect()).toHaveLength(2048);
    gpu.recorder.profiler = undefined;
    expect(await readOne(gpu, 8)).toBe(8);
    profiler.destroy();
  });

  test('summarises by kernel and writes a trace', () => {
    const timings = [
      { label: 'a', start: 0, end: 1_000_000 },
      { label: 'b', start: 1_000_000, end: 4_000_000 },
      { label: 'a', start: 4_000_000, end: 4_500_000 },
    ];
    expect(summarise(timings)).toEqual([
      { label: 'b', count: 1, milliseconds: 3 },
      { label: 'a', count: 2, milliseconds: 1.5 },
    ]);
    expect(JSON.parse(chromeTrace(timings)).traceEvents[1]).toEqual({
      ...{ name: 'b', ph: 'X', pid: 1, tid: 1 },
      ...{ ts: 1000, dur: 3000 },
    });
  });
});
