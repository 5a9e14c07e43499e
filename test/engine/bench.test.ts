import { afterAll, beforeAll, expect, test } from 'vitest';
import { openEngine } from '../../src/engine/client.ts';
import type { Engine } from '../../src/engine/types.ts';

let engine: Engine;

beforeAll(async () => {
  engine = await openEngine();
});
afterAll(() => engine.close());

test('kernels are checked and timed beside the engine, one benchmark at a time, and stopped on request', async () => {
  const seen: unknown[] = [];
  const request = { suite: 'quick' as const, filter: 'gate: Qwen3', seconds: 0.001 };
  const first = engine.benchKernels(request, (name, done, total) => seen.push([name, done, total]));
  await expect(engine.benchKernels(request)).rejects.toMatchObject({ code: 'conflict' });
  const { cases, wrong, roofline, disturbed, suite } = await first;
  expect({ wrong, disturbed, suite }).toEqual({ wrong: [], disturbed: false, suite: 'quick' });
  expect(cases.map(({ operation, name }) => `${operation}: ${name}`)).toEqual([
    'gate: Qwen3-0.6B gate 1×3072',
    'gate: Qwen3-0.6B gate 32×3072',
  ]);
  for (const { error, wallMilliseconds, gigabytesPerSecond } of cases) {
    expect(error).toBeLessThan(1e-9);
    expect(wallMilliseconds).toBeGreaterThan(0);
    expect(gigabytesPerSecond).toBeGreaterThan(0);
  }
  expect(roofline.bytesPerSecond).toBeGreaterThan(0);
  expect(seen).toEqual(cases.map(({ operation, name }, done) => [`${operation}: ${name}`, done, 2]));
  // Its memory is not the engine's, and is gone.
  const before = (await engine.info()).memory;
  await expect(engine.benchKernels({ ...request, filter: 'no such' })).rejects.toMatchObject({ parameter: 'filter' });
  const abort = new AbortController();
  const stopped = engine.benchKernels({ ...request, filter: '' }, () => abort.abort(), abort.signal);
  await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
  expect((await engine.info()).memory).toEqual(before);
  if ((await engine.info()).adapter.software) {
    await expect(engine.benchKernels({ ...request, suite: 'full' })).rejects.toMatchObject({ code: 'unsupported' });
  }
});
