/**
 * The adaptive step against float64, what it keeps, and what it brings: figures of docs/method.md come from here.
 */

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { join } from '../../src/platform/index.ts';
import { gaussian, purposes } from '../../src/random/philox.ts';
import { resolveConfiguration } from '../../src/settings/configuration.ts';
import { AdaptiveStep } from '../../src/zo/adaptive-step.ts';
import { openJournal } from '../../src/zo/journal.ts';
import { withSeed } from '../support/random.ts';
import { relativeError } from '../support/zo/compare.ts';
import { withOptimizer } from '../support/zo/session.ts';
import { collect, optionRows, quick, removeTemporary, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';

describe('the scale', () => {
  test('is one by the root of the corrected mean of ρ² over directions and steps', () =>
    withSeed('adaptive scale', (random) => {
      const decay = 0.9;
      const adaptive = new AdaptiveStep(decay);
      const seen: number[][] = [];
      for (let step = 1; step <= 40; step++) {
        const rho = Array.from({ length: 1 + (step % 3) }, () => 1e3 * random.normal());
        seen.push(rho);
        // Adam's form: v ← βv + (1 − β)g from 0, divided by 1 − βᵗ.
        let mean = 0;
        for (const each of seen) {
          mean = decay * mean + (1 - decay) * (each.reduce((sum, value) => sum + value ** 2, 0) / each.length);
        }
        const expected = 1 / (Math.sqrt(mean / (1 - decay ** step)) + 1e-8);
        expect(relativeError([adaptive.scaleOf(rho)], [expected])).toBeLessThan(1e-13);
      }
    }));

  test('makes the first step one of length 1, and none longer than 1/√(1 − β)', () =>
    withSeed('adaptive bound', (random) => {
      for (const decay of [0, 0.5, 0.99]) {
        const adaptive = new AdaptiveStep(decay);
        const first = random.normal();
        expect(Math.abs(first) * adaptive.scaleOf([first])).toBeCloseTo(1, 6);
        for (let step = 0; step < 300; step++) {
          // Rewards are often equal, which says nothing, and then a difference comes.
          const rho = random.uniform() < 0.9 ? 0 : 10 ** (6 * random.uniform());
          expect(rho * adaptive.scaleOf([rho])).toBeLessThanOrEqual(1 / Math.sqrt(1 - decay) + 1e-6);
        }
      }
    }));

  test('of steps without any slope is finite, so that they move nothing', () => {
    expect(0 * new AdaptiveStep(0.99).scaleOf([0, 0])).toBe(0);
  });
});

const [numbers, quadraticSteps] = [32, 320];
const directions = [1, 2, 3, 4, 5].map((seed) =>
  Array.from({ length: quadraticSteps }, (_, step) =>
    gaussian(seed, { tensor: 1, step, purpose: purposes.dense, query: 0 }, numbers),
  ),
);

interface Way {
  adaptive: boolean;
  schedule: 'constant' | 'linear';
  /** What the loss is multiplied with. */
  scale?: number;
}

/**
 * ½ Σ hᵢxᵢ² with 32 curvatures between 0.5 and 2, from all ones: what is left of it after 320 steps with one direction,
 * in the geometric mean over five seeds.
 */
function remaining(rate: number, { adaptive, schedule, scale = 1 }: Way): number {
  const curvatures = Float64Array.from({ length: numbers }, (_, index) => scale * 0.5 * 4 ** (index / (numbers - 1)));
  let logs = 0;
  for (const ofSeed of directions) {
    const x = new Float64Array(numbers).fill(1);
    const value = () => x.reduce((sum, each, index) => sum + (curvatures[index]! * each * each) / 2, 0);
    const start = value();
    const by = new AdaptiveStep(0.99);
    for (const [step, z] of ofSeed.entries()) {
      let rho = 0;
      for (let index = 0; index < numbers; index++) rho += x[index]! * curvatures[index]! * z[index]!;
      const course = schedule === 'linear' ? 1 - step / quadraticSteps : 1;
      const eta = rate * course * (adaptive ? by.scaleOf([rho]) : 1);
      for (let index = 0; index < numbers; index++) x[index]! -= eta * rho * z[index]!;
    }
    logs += Math.log(value() / start);
  }
  return Math.exp(logs / directions.length);
}

/** Sixths of decades. @returns what is left at the best rate, and the decades of rates that leave less than a tenth */
function search(way: Way): { left: number; decades: number } {
  const rates = Array.from({ length: 20 }, (_, index) => (way.adaptive ? 1 : 0.3) * 10 ** ((index - 14) / 6));
  const left = rates.map((rate) => remaining(rate, way));
  return {
    left: Math.min(...left.filter(Number.isFinite)),
    decades: left.filter((value) => value < 0.1).length / 6,
  };
}

describe('on a quadratic', () => {
  test('one learning rate does for every scale of the loss, where a plain one diverges or stands still', () => {
    const of = (rate: number, way: Way) => [1e-3, 1, 1e3].map((scale) => remaining(rate, { ...way, scale }));
    const adaptive = of(0.1, { adaptive: true, schedule: 'linear' });
    expect(relativeError(adaptive, [adaptive[1]!, adaptive[1]!, adaptive[1]!])).toBeLessThan(1e-3);
    expect(adaptive[1]).toBeLessThan(0.05);
    const plain = of(0.03, { adaptive: false, schedule: 'constant' });
    expect(plain[0]).toBeGreaterThan(0.95);
    expect(plain[1]).toBeLessThan(0.01);
    expect(plain[2]! > 1e6 || Number.isNaN(plain[2]!)).toBe(true);
  });

  test('it gets less far at a constant rate, farther at one that falls, and bears more rates', () => {
    const [plain, adaptive] = [false, true].map((each) => search({ adaptive: each, schedule: 'constant' }));
    const [plainFalling, falling] = [false, true].map((each) => search({ adaptive: each, schedule: 'linear' }));
    // 1.5e-4, 1.7e-3; 1.7e-3, 2.6e-4.
    expect(adaptive!.left).toBeGreaterThan(5 * plain!.left);
    expect(falling!.left).toBeLessThan(plainFalling!.left / 4);
    expect(falling!.left).toBeGreaterThan(plain!.left);
    expect(falling!.decades).toBeGreaterThan(1.4 * plain!.decades - 0.01);
    expect(falling!.decades).toBeGreaterThan(1.6 * plainFalling!.decades);
  });
});

describe('a run', () => {
  let gpu: Gpu;
  let engine: LocalEngine;
  let model: string;
  let file: string;
  beforeAll(async () => {
    gpu = await Gpu.open();
    engine = await LocalEngine.open();
    model = tinyModel();
    file = writeRows(optionRows());
  });
  afterAll(async () => {
    await engine.close();
    gpu.close();
    removeTemporary();
  });
  const adaptive = { adaptiveStep: true, adaptiveDecay: 0.8 } as const;

  /** 1-D parameters after one step along given numbers, by a fresh optimiser that has seen others before. */
  const moved = async (settings: object, before: readonly number[][], rho: readonly number[], learningRate: number) =>
    withOptimizer(gpu, { model: 'llama-tiny', seed: 17, queries: 2, ...settings }, async ({ optimizer }) => {
      const curvatures = optimizer.probeCount % 2 === 1 ? { curvatures: rho.map(() => 0) } : {};
      optimizer.beginStep(0);
      for (const [step, each] of [...before, rho].entries()) {
        const last = step === before.length;
        // Steps of rate 0 leave all where it is but the number.
        const rate = Math.fround(last ? learningRate : 0);
        optimizer.update({ step, learningRate: rate, projectedGradients: each, ...curvatures });
      }
      return optimizer.vectorValues();
    });

  test.each([
    { optimizer: 'subzero' },
    { optimizer: 'mezo' },
    { optimizer: 'sparse-mezo' },
    { optimizer: 'hizoo' },
    { optimizer: 'subzero', queryCombination: 'mean', scheme: 'lora', parameters: [] },
  ] as const)('%o moves as a plain one whose rate is η / √mean', async (settings) => {
    const [before, rho] = [
      [[3, -4].map(Math.fround), [50, 2].map(Math.fround)],
      [7, -1.5],
    ] as const;
    const seen = [...before, rho].map((each) => each.reduce((sum, value) => sum + value ** 2, 0) / each.length);
    const mean = (0.64 * seen[0]! + 0.8 * seen[1]! + seen[2]!) / (0.64 + 0.8 + 1);
    const rate = 2 ** -6;
    const one = await moved({ ...settings, ...adaptive }, before, rho, rate);
    const plain = await moved(settings, before, rho, rate / (Math.sqrt(mean) + 1e-8));
    const start = await moved(settings, before, rho, 0);
    for (const [name, values] of one) {
      const change = (of: Map<string, Float32Array>) => of.get(name)!.map((value, at) => value - start.get(name)![at]!);
      expect(Math.hypot(...values.map((value, at) => value - start.get(name)![at]!))).toBeGreaterThan(1e-4);
      expect(relativeError(change(one), change(plain))).toBeLessThan(1e-4);
    }
  });

  test('goes on, is replayed and is forked to the same bits, and learns otherwise than a plain one', async () => {
    const train = async (settings: object, stopAfter = Number.POSITIVE_INFINITY) => {
      const out = join(temporaryFolder(), 'run');
      const stop = new AbortController();
      const configuration = { ...quick, steps: 6, refresh: 4, queries: 2, learningRate: 1e-3, ...settings };
      for await (const event of engine.train({ model, data: { file }, configuration, out }, stop.signal)) {
        if (event.type === 'step' && event.step >= stopAfter) stop.abort();
      }
      return out;
    };
    const exported = async (run: string) => {
      const out = join(temporaryFolder(), 'out');
      await engine.exportRun({ run, format: 'safetensors', out });
      return readFileSync(join(out, 'model.safetensors'));
    };
    const records = async (run: string) => (await openJournal(join(run, 'journal.subzero'))).records;
    for (const optimizer of ['subzero', 'mezo'] as const) {
      const [whole, part] = [await train({ optimizer, ...adaptive }), await train({ optimizer, ...adaptive }, 4)];
      await collect(engine.train({ resume: part }));
      expect(await records(part)).toEqual(await records(whole));
      const bytes = await exported(whole);
      expect(Buffer.compare(bytes, await exported(part))).toBe(0);
      if (optimizer === 'mezo') continue;
      const plain = await records(await train({ optimizer }));
      expect(plain[0]).toEqual((await records(whole))[0]);
      expect(plain[1]).not.toEqual((await records(whole))[1]);
      const fork = join(temporaryFolder(), 'fork');
      await collect(engine.train({ fork: whole, step: 3, configuration: {}, out: fork }));
      expect(await records(fork)).toEqual(await records(whole));
      expect(Buffer.compare(bytes, await exported(fork))).toBe(0);
    }
  });

  test('is refused beside Adam, whose steps have a length', async () => {
    const refused = (configuration: object) => () => resolveConfiguration({ adaptiveStep: true, ...configuration });
    expect(refused({ optimizer: 'subzero-plus' })).toThrow(/adaptiveStep is not for subzero-plus, whose steps have/);
    expect(refused({ optimizer: 'mezo', mezoUpdate: 'adam' })).toThrow(/adaptiveStep is not for mezoUpdate adam/);
    expect(refused({ optimizer: 'mezo', mezoUpdate: 'momentum' })).not.toThrow();
  });
});
