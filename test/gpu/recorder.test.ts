import { describe, expect, test, vi } from 'vitest';
import type { GpuBuffer } from '../../src/gpu/buffer.ts';
import { spread } from '../../src/gpu/workgroups.ts';
import { openTestGpu } from '../support/gpu.ts';

const gpu = openTestGpu();

/** Elements of `source`, by index, into `target`: a kernel that is easy to predict. */
function gather(indices: GpuBuffer, source: GpuBuffer, target: GpuBuffer, count: number): void {
  gpu().recorder.dispatch(
    gpu().kernel({ files: ['gather-rows.wgsl'] }),
    [indices, source, target],
    { count, index_count: count, width: 1, probes: 1, source_stride: 0 },
    spread(Math.ceil(count / 64)),
  );
}

function upload(data: ArrayBufferView): GpuBuffer {
  const buffer = gpu().allocate(data.byteLength, 'scratch', 'test');
  buffer.write(data);
  return buffer;
}

test('spread covers every count within the limits of a dimension', () => {
  for (const count of [0, 1, 7, 65_535, 65_536, 65_537, 1_000_003, 4_000_000_000]) {
    const [x, y] = spread(count);
    expect(x * y).toBeGreaterThanOrEqual(Math.max(1, count));
    expect(x).toBeLessThanOrEqual(65_535);
    expect(y).toBeLessThanOrEqual(65_535);
  }
});

test('more dispatches than the arena has slots: each keeps its own parameters, in order', async () => {
  const count = 5000;
  const source = upload(Float32Array.from({ length: count }, (_, index) => index + 1));
  const target = upload(new Float32Array(count));
  const indices = upload(Uint32Array.from({ length: count }, (_, index) => index));
  const before = gpu().recorder.dispatches;
  // Dispatch i writes the first i + 1 elements; the last writes all: nothing may be lost or come too early.
  const doubled = upload(Float32Array.from({ length: count }, (_, index) => -index - 1));
  for (let index = 0; index < count; index++) gather(indices, index % 2 ? source : doubled, target, index + 1);
  const [data] = await gpu().recorder.read([{ buffer: target, bytes: count * 4 }]);
  const expected = Float32Array.from({ length: count }, () => 0);
  for (let index = 0; index < count; index++) expected[index] = (index + 1) * (count % 2 ? -1 : 1);
  expect(new Float32Array(data!)).toEqual(expected);
  expect(gpu().recorder.dispatches - before).toBe(count);
});

test('steady work creates no bind groups, and a destroyed buffer takes its own along', async () => {
  const created: unknown[] = [];
  const { device } = gpu();
  const create = device.createBindGroup.bind(device);
  device.createBindGroup = (descriptor) => {
    created.push(descriptor.label);
    return create(descriptor);
  };
  try {
    const [indices, source, target] = [
      upload(new Uint32Array([0])),
      upload(new Float32Array([1])),
      upload(new Float32Array([0])),
    ];
    for (let step = 0; step < 50; step++) {
      gather(indices!, source!, target!, 1);
      gpu().recorder.submit();
    }
    expect(created).toHaveLength(1);
    target!.destroy();
    const other = upload(new Float32Array([0]));
    gather(indices!, source!, other, 1);
    expect(created).toHaveLength(2);
    expect([...new Float32Array((await gpu().recorder.read([{ buffer: other, bytes: 4 }]))[0]!)]).toEqual([1]);
  } finally {
    device.createBindGroup = create;
  }
});

test('groups of buffers that are gone do not pile up, however short the turns of events between them', async () => {
  const kernel = gpu().kernel({ files: ['gather-rows.wgsl'] });
  const kept = upload(new Uint32Array([0]));
  const uniforms = gpu().allocate(256, 'scratch', 'uniforms', GPUBufferUsage.UNIFORM);
  let [created, freed, most] = [0, 0, 0];
  const registry = new FinalizationRegistry<undefined>(() => freed++);
  for (let round = 0; round < 300; round++) {
    for (let index = 0; index < 40; index++) {
      const buffer = gpu().allocate(16, 'scratch', 'passing');
      registry.register(gpu().bindGroup(kernel, [kept, kept, buffer], uniforms), undefined);
      buffer.destroy();
      created++;
    }
    await gpu().checkAllocations();
    most = Math.max(most, created - freed);
  }
  expect(created).toBe(12_000);
  expect(most).toBeLessThan(6000);
});

describe('read', () => {
  test('several reads in flight each see the state of their moment', async () => {
    const target = upload(new Float32Array([0]));
    const indices = upload(new Uint32Array([0]));
    const reads: Promise<ArrayBuffer[]>[] = [];
    for (let value = 1; value <= 20; value++) {
      gather(indices, upload(new Float32Array([value])), target, 1);
      reads.push(gpu().recorder.read([{ buffer: target, bytes: 4 }]));
    }
    const values = (await Promise.all(reads)).map(([data]) => new Float32Array(data!)[0]);
    expect(values).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  });

  test('sizes that are no words, offsets, several buffers, and nothing at all', async () => {
    const bytes = Uint8Array.from({ length: 64 }, (_, index) => index);
    const [first, second] = [upload(bytes), upload(bytes)];
    const results = await gpu().recorder.read([
      { buffer: first, bytes: 5 },
      { buffer: second, offset: 8, bytes: 1 },
      { buffer: first, offset: 60, bytes: 4 },
      { buffer: second, bytes: 0 },
    ]);
    expect(results.map((data) => [...new Uint8Array(data)])).toEqual([[0, 1, 2, 3, 4], [8], [60, 61, 62, 63], []]);
    expect(await gpu().recorder.read([])).toEqual([]);
  });

  test('steady reads keep their staging memory; large ones grow it', async () => {
    const buffer = gpu().allocate(1 << 20, 'scratch', 'large');
    await gpu().recorder.read([{ buffer, bytes: 100_000 }]);
    const staging = gpu().memory.report().byCategory.staging;
    for (let index = 0; index < 20; index++) await gpu().recorder.read([{ buffer, bytes: 100_000 - index }]);
    expect(gpu().memory.report().byCategory.staging).toBe(staging);
    const [data] = await gpu().recorder.read([{ buffer, bytes: 1 << 20 }]);
    expect(data!.byteLength).toBe(1 << 20);
    expect(gpu().memory.report().byCategory.staging).toBeGreaterThan(staging!);
  });

  test('clear and copy are ordered with kernels', async () => {
    const [source, target] = [upload(new Float32Array([1, 2, 3, 4])), upload(new Float32Array(4))];
    const indices = upload(new Uint32Array([0, 1, 2, 3]));
    gather(indices, source, target, 4);
    gpu().recorder.clear(target, 0, 8);
    gpu().recorder.copy(target, 8, source, 0, 4);
    gather(indices, source, target, 1);
    const [data] = await gpu().recorder.read([{ buffer: target, bytes: 16 }]);
    expect([...new Float32Array(data!)]).toEqual([3, 0, 3, 4]);
  });
});

describe('work recorded ahead', () => {
  /** A gather whose source is overwritten behind it, into a target of its own. */
  function work() {
    const indices = upload(new Uint32Array([0, 1, 2, 3]));
    const source = upload(new Float32Array([1, 2, 3, 4]));
    const target = upload(new Float32Array([0, 0, 0, 0]));
    return { indices, source, target };
  }
  const read = async (buffer: GpuBuffer): Promise<number[]> => {
    const [data] = await gpu().recorder.read([{ buffer, bytes: 16 }]);
    return [...new Float32Array(data!)];
  };

  test('is encoded at once and takes place when it is resumed, with its own parameters', async () => {
    const { indices, source, target } = work();
    const { recorder, device } = gpu();
    gather(indices, source, target, 1);
    const ahead = recorder.ahead(() => {
      gather(indices, source, target, 2);
      recorder.copy(target, 4, source, 0, 4);
      gather(indices, source, target, 1);
    });
    expect(await read(target)).toEqual([1, 0, 0, 0]);
    // Others write parameters in the same places.
    gather(indices, source, target, 4);
    recorder.clear(target, 4, 12);
    recorder.submit();
    const encode = vi.spyOn(device, 'createCommandEncoder');
    recorder.resume(ahead);
    await recorder.flush();
    expect(encode).not.toHaveBeenCalled();
    expect(await read(target)).toEqual([2, 2, 0, 0]);
    expect(encode).toHaveBeenCalledOnce();
    encode.mockRestore();
  });

  test('comes in two submissions, so that the GPU can start on the first', async () => {
    const { indices, source, target } = work();
    const { recorder, device } = gpu();
    const submit = vi.spyOn(device.queue, 'submit');
    recorder.resume(
      recorder.ahead(() => {
        for (let count = 0; count < 300; count++) gather(indices, source, target, 1 + (count % 4));
      }),
    );
    expect(submit).not.toHaveBeenCalled();
    await recorder.flush();
    expect(submit).toHaveBeenCalledTimes(2);
    submit.mockRestore();
    expect(await read(target)).toEqual([1, 2, 3, 4]);
  });

  test('is read behind, and called upon before the end is awaited', async () => {
    const { indices, source, target } = work();
    const { recorder } = gpu();
    const ahead = recorder.ahead(() => gather(indices, source, target, 3));
    recorder.resume(ahead);
    const order: string[] = [];
    const reading = recorder.readInTurns([{ buffer: target, bytes: 16 }], () => order.push('meanwhile'));
    const [data] = await reading.finally(() => order.push('read'));
    expect([...new Float32Array(data!)]).toEqual([1, 2, 3, 0]);
    expect(order).toEqual(['meanwhile', 'read']);
  });

  test('that is not resumed, or cannot be recorded, leaves nothing behind', async () => {
    const { indices, source, target } = work();
    const { recorder } = gpu();
    recorder.ahead(() => gather(indices, source, target, 4));
    const fail = (): void => {
      gather(indices, source, target, 3);
      throw new Error('a test');
    };
    expect(() => recorder.ahead(fail)).toThrow('a test');
    gather(indices, source, target, 1);
    expect(await read(target)).toEqual([1, 0, 0, 0]);
  });
});

describe('kernels that are still compiling', () => {
  test('are waited for by a read, and compiled at once by a submission in between; the order stays', async () => {
    const indices = upload(new Uint32Array([0]));
    const [source, target] = [upload(new Float32Array([3])), upload(new Float32Array([0]))];
    // No other test of this file uses it.
    const kernel = gpu().kernel({ files: ['store-rows.wgsl'] });
    const values = upload(new Float32Array([0]));
    expect(kernel.pipeline).toBeUndefined();
    const copy = (from: GpuBuffer, to: GpuBuffer): void =>
      gpu().recorder.dispatch(kernel, [indices, from, from, to, values], { count: 1, width: 1 }, [1]);
    copy(source, target);
    const first = gpu().recorder.read([{ buffer: target, bytes: 4 }]);
    // Another user of the device, who does not wait.
    copy(upload(new Float32Array([4])), target);
    gpu().recorder.submit();
    expect(kernel.pipeline).toBeDefined();
    const second = gpu().recorder.read([{ buffer: target, bytes: 4 }]);
    expect([new Float32Array((await first)[0]!)[0], new Float32Array((await second)[0]!)[0]]).toEqual([3, 4]);
  });

  test('a rehearsal only compiles', async () => {
    const target = upload(new Float32Array([5]));
    const before = gpu().recorder.dispatches;
    gpu().recorder.rehearse(() => {
      gather(gpu().unused, gpu().unused, target, 1);
      gpu().recorder.clear(target);
      gpu().recorder.submit();
    });
    expect(gpu().recorder.dispatches).toBe(before);
    const [data] = await gpu().recorder.read([{ buffer: target, bytes: 4 }]);
    expect([...new Float32Array(data!)]).toEqual([5]);
  });
});

test('a write takes views with offsets and shared memory', async () => {
  const whole = Uint16Array.from({ length: 16 }, (_, index) => index);
  const buffer = gpu().allocate(16, 'scratch', 'views');
  buffer.write(whole.subarray(4, 8));
  const shared = new Uint32Array(new SharedArrayBuffer(8));
  shared.set([7, 8]);
  buffer.write(shared, 8);
  const [data] = await gpu().recorder.read([{ buffer, bytes: 16 }]);
  expect([...new Uint16Array(data!, 0, 4)]).toEqual([4, 5, 6, 7]);
  expect([...new Uint32Array(data!, 8)]).toEqual([7, 8]);
});

test('what a caller forgets is named: a parameter, a buffer', () => {
  const kernel = gpu().kernel({ files: ['activation.wgsl', 'gate.wgsl'], constants: { ACTIVATION: 4 } });
  expect(() => gpu().recorder.dispatch(kernel, [gpu().unused, gpu().unused], {}, [1])).toThrow(
    'gate (activation, ACTIVATION=4): parameter "quads" is missing',
  );
  expect(() => gpu().recorder.dispatch(kernel, [gpu().unused], { quads: 1 }, [1])).toThrow(
    'gate (activation, ACTIVATION=4) has 2 storage bindings; got 1 buffers',
  );
});
