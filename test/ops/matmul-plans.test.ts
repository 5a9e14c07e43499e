import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { cacheDirectory } from '../../src/gpu/cache-directory.ts';
import type { AdapterDescription } from '../../src/gpu/device.ts';
import { planKey, readPlans } from '../../src/ops/matmul-plans.ts';
import { candidates, completePlans, knownPlans, productsOf, tune, tuningWanted } from '../../src/ops/matmul-tuner.ts';
import type { MatmulPlan } from '../../src/ops/matmul-variants.ts';
import { planTableFile, readPlanTable, writePlanTable } from '../../src/ops/plan-table.ts';
import type { Weight } from '../../src/tensor/weight.ts';
import { planRecord, plansOfRun } from '../../src/train/run-plans.ts';
import { openTestGpu } from '../support/gpu.ts';

const hardware = openTestGpu({ kernelStyle: 'hardware' });

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'subzero-plans-'));
  vi.stubEnv('SUBZERO_CACHE_DIR', directory);
  vi.stubEnv('SUBZERO_AUTOTUNE', 'on');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true });
});

const adapter: AdapterDescription = {
  ...{ vendor: 'v', architecture: 'a', device: 'd', description: 'driver 1', software: false },
  ...{ implementation: 'dawn', subgroupMatrixConfigs: [], subgroupSizes: [32, 32] },
};

const device = { adapter, arithmetic: 'exact' } as const;

const plans = new Map<string, MatmulPlan>([
  ['1x64>128 f16', { variant: 'few-rows', slices: 4 }],
  ['1024x64>128 f16', { variant: 'matrix-4x4', slices: 1, fragment: { M: 16, N: 16, K: 16 } }],
  ['256x64>128 f16', { variant: 'matrix-2x2', slices: 2, fragment: { M: 8, N: 8, K: 8, subgroup: 8, sized: true } }],
]);

const weight = (name: string, rows: number, columns: number): Weight => ({
  ...{ name, rows, columns, storage: 'f16' },
  parts: [{ buffer: undefined as never, rowStart: 0, rowCount: rows }],
});

describe('the table on disk', () => {
  test('keeps what was written, in one file for each adapter, and leaves nothing else behind', async () => {
    const file = planTableFile(device);
    expect(await writePlanTable(file, device, plans)).toBe(true);
    expect(await readPlanTable(file, device)).toEqual(plans);
    expect(readdirSync(directory)).toHaveLength(1);
    expect(planTableFile({ ...device, adapter: { ...adapter, description: 'driver 2' } })).not.toBe(file);
    expect(planTableFile({ ...device, arithmetic: 'half' })).not.toBe(file);
  });

  test('counts as empty when it is absent, damaged, of another version or adapter, or names none of ours', async () => {
    const file = planTableFile(device);
    expect(await readPlanTable(file, device)).toEqual(new Map());
    await writePlanTable(file, device, plans);
    const good = readFileSync(file, 'utf8');
    for (const bad of [
      good.slice(0, -20),
      '[]',
      'null',
      good.replace(/"packageVersion": "[^"]*"/, '"packageVersion": "0.0.0"'),
      good.replace('driver 1', 'driver 3'),
      good.replace('few-rows', 'few-columns'),
      good.replace('"slices": 4', '"slices": 0'),
      good.replace('"M": 16', '"M": 17'),
    ]) {
      writeFileSync(file, bad);
      expect(await readPlanTable(file, device), bad).toEqual(new Map());
    }
  });

  test('that cannot be written is done without', async () => {
    writeFileSync(join(directory, 'taken'), '');
    expect(await writePlanTable(join(directory, 'taken', 'table.json'), device, plans)).toBe(false);
  });

  test('lies where the environment says', () => {
    expect(cacheDirectory({ SUBZERO_CACHE_DIR: '/c', XDG_CACHE_HOME: '/x' }, 'linux')).toBe('/c');
    expect(cacheDirectory({ XDG_CACHE_HOME: '/x' }, 'linux')).toBe(join('/x', 'subzero'));
    expect(cacheDirectory({ LOCALAPPDATA: '/l' }, 'win32')).toBe(join('/l', 'subzero'));
    expect(cacheDirectory({}, 'linux')).toMatch(/\.cache.subzero$/);
  });
});

describe('plans', () => {
  test('share a key where rows and columns round up to the same', () => {
    const product = { rows: 17, columns: 100, innerQuads: 16, storage: 'f16' } as const;
    expect(planKey(product)).toBe('64x64>128 f16');
    expect(planKey({ ...product, rows: 64, columns: 128 })).toBe(planKey(product));
    expect(planKey({ ...product, rows: 1 })).not.toBe(planKey(product));
    expect(planKey({ ...product, rows: 9999, columns: 150_000 })).toBe('1024x64>32768 f16');
  });

  test('that are no plans are told from plans', () => {
    expect(readPlans(JSON.parse(JSON.stringify(Object.fromEntries(plans))))).toEqual(plans);
    for (const bad of [
      { a: null },
      { a: { variant: 'toString', slices: 1 } },
      { a: { variant: 'direct', slices: 2 } },
      { a: { variant: 'direct', slices: 1, fragment: { M: 8, N: 8, K: 8 } } },
      { a: { variant: 'matrix-2x2', slices: 1 } },
    ]) {
      expect(readPlans(bad), JSON.stringify(bad)).toBeUndefined();
    }
  });

  test('are timed on GPUs unless that is turned off, and on software adapters only when asked for', () => {
    const [gpu, software] = [{ adapter: { software: false } }, { adapter: { software: true } }];
    expect([tuningWanted(gpu, {}), tuningWanted(software, {})]).toEqual([true, false]);
    expect(tuningWanted(gpu, { SUBZERO_AUTOTUNE: 'off' })).toBe(false);
    expect(tuningWanted(software, { SUBZERO_AUTOTUNE: 'on' })).toBe(true);
  });
});

describe('timing', () => {
  test('takes the fastest, but the one by rule unless another is clearly faster', async () => {
    const product = { rows: 1, columns: 64, innerQuads: 1024, storage: 'f16' } as const;
    const [byRule, ...others] = candidates(hardware(), product);
    expect(others.length).toBeGreaterThan(2);
    const winner = others[1]!;
    const same = (a: MatmulPlan, b: MatmulPlan): boolean => a.variant === b.variant && a.slices === b.slices;
    const timesOf = (best: number) => async (_: unknown, plan: MatmulPlan) =>
      same(plan, byRule!) ? 10 : same(plan, winner) ? best : 11;
    expect([...(await tune(hardware(), [product], timesOf(5))).values()]).toEqual([winner]);
    expect([...(await tune(hardware(), [product], timesOf(9.9))).values()]).toEqual([byRule]);
  });

  test('is done once: the next load finds the table and keeps what is in it', async () => {
    const weights = [weight('a', 64, 128), weight('b', 64, 128), weight('c', 256, 128)];
    const measure = vi.fn(async (_: unknown, { slices }: MatmulPlan) => slices);
    const first = await completePlans(hardware(), await knownPlans(hardware()), weights, measure);
    expect([...first.keys()]).toEqual(productsOf(weights).map(planKey));
    expect(first.size).toBe(12);
    const count = measure.mock.calls.length;
    expect(count).toBeGreaterThan(12);
    expect(await completePlans(hardware(), await knownPlans(hardware()), weights, measure)).toEqual(first);
    expect(measure).toHaveBeenCalledTimes(count);
    // Another model only adds; it sees its own products alone.
    const other = await completePlans(hardware(), await knownPlans(hardware()), [weight('d', 512, 128)], measure);
    expect(other.size).toBe(6);
    expect((await knownPlans(hardware())).size).toBe(18);
    vi.stubEnv('SUBZERO_AUTOTUNE', 'off');
    expect((await knownPlans(hardware())).size).toBe(0);
    expect((await completePlans(hardware(), new Map(), weights, measure)).size).toBe(0);
  });

  test('runs on the adapter', async () => {
    const product = { rows: 1, columns: 8, innerQuads: 16, storage: 'f32' } as const;
    const timed = await tune(hardware(), [product]);
    expect(['one-row', 'few-rows', 'tile-1x4']).toContain(timed.get(planKey(product))!.variant);
  });
});

describe('a run', () => {
  const gpu = device;
  const header = (extra: Record<string, unknown>) => ({ adapter: 'driver 1', packageVersion: '1', extra }) as never;

  test('goes on with the plans that it began with, on the same adapter', () => {
    expect(plansOfRun(gpu, 'run', header(planRecord(plans)))).toEqual({ plans });
    expect(plansOfRun(gpu, 'run', header({}))).toEqual({ plans: new Map() });
    expect(planRecord(new Map())).toEqual({});
    for (const other of [
      { ...device, adapter: { ...adapter, description: 'another' } },
      { ...device, arithmetic: 'half' as const },
    ]) {
      expect(plansOfRun(other, 'run', header(planRecord(plans)))).toEqual({});
    }
  });

  test('with plans that this version does not have is refused', () => {
    expect(() => plansOfRun(gpu, 'run', header({ matmulPlans: { a: { variant: 'gone', slices: 1 } } }))).toThrow(
      expect.objectContaining({ code: 'invalid_data', message: expect.stringContaining('continue the run with') }),
    );
  });
});
