import { describe, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { MemoryAccount } from '../../src/gpu/memory.ts';
import { Workspace } from '../../src/tensor/workspace.ts';
import { openTestGpu } from '../support/gpu.ts';

const gpu = openTestGpu();

describe('the account', () => {
  test('adds up live, peak and categories', () => {
    const account = new MemoryAccount();
    account.add('weights', 100);
    account.add('activations', 50);
    account.remove('activations', 50);
    account.add('activations', 20);
    expect(account.report()).toEqual({
      liveBytes: 120,
      peakBytes: 150,
      byCategory: { weights: 100, activations: 20 },
    });
    account.resetPeak();
    expect(account.report().peakBytes).toBe(120);
  });

  test('follows allocation and destruction, once each', () => {
    const before = gpu().memory.report();
    const buffer = gpu().allocate(1000, 'cache', 'a cache');
    expect(gpu().memory.report().liveBytes).toBe(before.liveBytes + 1000);
    expect(gpu().memory.report().byCategory.cache).toBe((before.byCategory.cache ?? 0) + 1000);
    buffer.destroy();
    buffer.destroy();
    expect(gpu().memory.report().liveBytes).toBe(before.liveBytes);
    expect(gpu().memory.report().peakBytes).toBeGreaterThanOrEqual(before.liveBytes + 1000);
  });

  test('sizes are rounded up to whole words', () => {
    const buffer = gpu().allocate(17, 'scratch', 'odd');
    expect(buffer.size).toBe(20);
    buffer.destroy();
  });
});

describe('the workspace', () => {
  test('takes no new memory after the first pass, whatever the rows of a pass', () => {
    const workspace = new Workspace(gpu());
    workspace.reserve(64);
    const pass = (rows: number): void => {
      const hidden = workspace.take(rows, 96);
      for (let layer = 0; layer < 4; layer++) {
        const normed = workspace.take(rows, 96);
        const projections = [workspace.take(rows, 96), workspace.take(rows, 32), workspace.take(rows, 32)];
        workspace.give(normed, ...projections);
        const wide = workspace.take(rows, 256);
        workspace.give(wide);
      }
      workspace.give(hidden);
    };
    pass(64);
    const bytes = workspace.bytes;
    const live = gpu().memory.report().liveBytes;
    for (let step = 0; step < 200; step++) {
      pass(1 + (step % 64));
      expect(workspace.bytes).toBe(bytes);
      expect(gpu().memory.report().liveBytes).toBe(live);
    }
    workspace.destroy();
    expect(workspace.bytes).toBe(0);
    expect(gpu().memory.report().liveBytes).toBe(live - bytes);
  });

  test('gives the smallest buffer that is large enough, never one that is in use', () => {
    const workspace = new Workspace(gpu());
    workspace.reserve(8);
    const [small, large] = [workspace.take(8, 16), workspace.take(8, 64)];
    expect(small.buffer).not.toBe(large.buffer);
    workspace.give(large, small);
    const again = workspace.take(2, 12);
    expect(again.buffer).toBe(small.buffer);
    expect(workspace.take(1, 16).buffer).toBe(large.buffer);
    expect(again).toMatchObject({ rows: 2, columns: 12 });
    workspace.destroy();
  });

  test('refuses more rows than were reserved; a larger reservation starts over', () => {
    const workspace = new Workspace(gpu());
    workspace.reserve(4);
    expect(() => workspace.take(5, 4)).toThrow(/reserved for 4 rows; 5 asked/);
    workspace.give(workspace.take(4, 4));
    workspace.reserve(3);
    expect(workspace.bytes).toBe(64);
    workspace.reserve(5);
    expect(workspace.bytes).toBe(0);
    expect(workspace.take(5, 4).buffer.size).toBe(80);
    workspace.destroy();
  });
});

describe('out of memory', () => {
  test('a buffer above the adapter’s limit is refused with both sizes', () => {
    const { maxBufferSize } = gpu().device.limits;
    expect(() => gpu().allocate(maxBufferSize + 4, 'weights', 'embedding')).toThrow(
      expect.objectContaining({ code: 'out_of_memory', message: expect.stringMatching(/"embedding".*GiB.*at most/) }),
    );
  });

  test('what the device has no room for is refused at the next read, names the bytes, and spoils nothing', async () => {
    // Dawn's null backend has room for 512 MiB; real memory is not put at risk.
    const small = await Gpu.open({ backend: 'null' });
    const size = 256 * 2 ** 20;
    const first = small.allocate(size, 'weights', 'first');
    await small.checkAllocations();
    const before = small.memory.report().liveBytes;
    const buffers = [1, 2].map((index) => small.allocate(size, 'activations', `activation ${index}`));
    // Recorded with buffers that do not exist: errors that only follow from the first must not hide it.
    small.recorder.copy(buffers[1]!, 0, first, 0, 1024);
    await expect(small.recorder.read([{ buffer: first, bytes: 16 }])).rejects.toThrow(
      expect.objectContaining({
        code: 'out_of_memory',
        message: expect.stringMatching(
          /no room for "activation [12]": 256\.0 MiB asked while this process holds [\d.]+ MiB/,
        ),
      }),
    );
    for (const buffer of buffers) buffer.destroy();
    first.destroy();
    expect(small.memory.report().byCategory).toMatchObject({ weights: 0, activations: 0 });
    expect(small.memory.report().liveBytes).toBeLessThan(before);
    const next = small.allocate(1024, 'activations', 'smaller');
    expect((await small.recorder.read([{ buffer: next, bytes: 16 }]))[0]!.byteLength).toBe(16);
    small.close();
  });
});
