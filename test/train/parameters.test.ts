/** Training some of the parameters: the others keep their bits and cost nothing, whatever the optimiser. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { paddedRank } from '../../src/ops/probes.ts';
import { openModelWeights } from '../../src/safetensors/index.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import type { OptimizerName } from '../../src/settings/methods.ts';
import type { AppliedStep } from '../../src/zo/optimizer.ts';
import { optionsExample } from '../support/zo/golden.ts';
import { liveStep } from '../support/zo/live.ts';
import { withOptimizer } from '../support/zo/session.ts';
import { currentParameters, storedBytes } from '../support/zo/weights.ts';
import {
  collect,
  optionRows,
  quick,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  trainUpTo,
  writeRows,
} from './tiny.ts';

let gpu: Gpu;
let engine: LocalEngine;
let file: string;
beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
  file = writeRows(optionRows());
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

async function tensors(directory: string): Promise<Map<string, Buffer>> {
  const source = await openModelWeights(directory);
  const result = new Map<string, Buffer>();
  for (const name of source.tensors.keys()) result.set(name, Buffer.from(await source.read(name)));
  await source.close();
  return result;
}

const train = (model: string, configuration: Partial<TrainConfiguration>, stopAfter?: number) =>
  trainUpTo(engine, { model, file }, configuration, stopAfter);

async function weightsOf(run: string): Promise<Map<string, Buffer>> {
  const out = join(temporaryFolder(), 'out');
  await engine.exportRun({ run, format: 'safetensors', out });
  return tensors(out);
}

const optimizers: Omit<Partial<TrainConfiguration>, 'storage'>[] = [
  { optimizer: 'subzero', weightDecay: 0.5 },
  { optimizer: 'subzero-plus', queries: 3, sides: 1 },
  { optimizer: 'mezo', weightDecay: 0.5 },
  { optimizer: 'sparse-mezo' },
  { optimizer: 'hizoo', epsilon: 1e-2 },
];
const choices = [
  {
    model: 'opt-tiny-f32',
    parameters: ['*.self_attn.*', '!*.bias', '*.layers.0.fc1.bias'],
    trains: (name: string) => /self_attn\.\w+\.weight$|layers\.0\.fc1\.bias$/.test(name),
  },
  { model: 'llama-tiny', parameters: ['*norm*'], trains: (name: string) => name.includes('norm') },
  // Tied: the head moves with the embedding.
  { model: 'opt-tiny-f32', parameters: ['*.embed_tokens.*'], trains: (name: string) => name.includes('embed_tokens') },
];

describe.each(choices)('$parameters of $model', ({ model: name, parameters, trains }) => {
  test.each(optimizers)('$optimizer', async (settings) => {
    const model = tinyModel(name);
    const base = await tensors(model);
    const { run } = await train(model, { ...settings, parameters });
    const tuned = await weightsOf(run);
    expect([...tuned.keys()].sort()).toEqual([...base.keys()].sort());
    const moved = [...base].filter(([tensor, bytes]) => !bytes.equals(tuned.get(tensor)!)).map(([tensor]) => tensor);
    const expected = [...base.keys()].filter(trains);
    expect(expected.length).toBeGreaterThan(0);
    expect(moved.sort()).toEqual(expected.sort());

    const { run: interrupted } = await train(model, { ...settings, parameters }, 6);
    await collect(engine.train({ resume: interrupted }));
    expect(await weightsOf(interrupted)).toEqual(tuned);
  });
});

test.each(optimizers)('$optimizer: evaluations write nothing, a replay makes the same bits', async (settings) => {
  const configuration = { ...quick, ...settings, model: 'opt-tiny-f32', parameters: ['*.fc1.*', '*layer_norm*'] };
  const examples = [optionsExample([5, 6, 7], [[8], [9, 10]], 1), optionsExample([11, 12], [[13], [14]], 0)];
  await withOptimizer(gpu, configuration, async (session) => {
    const before = new Map<string, Buffer>();
    for (const weight of session.model.weights.values()) {
      before.set(weight.name, Buffer.from(await storedBytes(session.model, weight)));
    }
    const applied: AppliedStep[] = [];
    for (let step = 0; step < 7; step++) applied.push((await liveStep(session, examples, step)).applied);
    const live = await currentParameters(session.model, session.optimizer);
    await withOptimizer(gpu, configuration, async (other) => {
      await other.optimizer.replay(applied);
      expect(await currentParameters(other.model, other.optimizer)).toEqual(live);
    });
    for (const weight of session.model.weights.values()) {
      const same = before.get(weight.name)!.equals(Buffer.from(await storedBytes(session.model, weight)));
      if (!weight.name.includes('.fc1.')) expect(same, weight.name).toBe(true);
    }
  });
});

test('the noise of a tensor is the same whatever else trains', async () => {
  const settings = { ...quick, model: 'opt-tiny-f32' };
  const name = 'model.decoder.layers.0.fc1.weight';
  const bytes: Buffer[] = [];
  for (const parameters of [[], ['*.fc1.weight']]) {
    await withOptimizer(gpu, { ...settings, parameters }, async ({ model, optimizer }) => {
      await optimizer.replay([{ step: 0, learningRate: 0.5, projectedGradients: [1] }]);
      optimizer.foldAll();
      bytes.push(Buffer.from(await storedBytes(model, model.weights.get(name)!)));
    });
  }
  expect(bytes[0]!.equals(bytes[1]!)).toBe(true);
});

test('what does not train takes no memory', async () => {
  const held = async (optimizer: OptimizerName, parameters: string[]) => {
    const settings = { ...quick, optimizer, parameters, model: 'opt-tiny-f32' };
    return await withOptimizer(gpu, settings, async ({ model, optimizer: { factorBytes } }) => {
      return { factorBytes, factors: gpu.memory.report().byCategory.factors ?? 0, model };
    });
  };
  const name = 'model.decoder.layers.0.fc1.weight';
  const one = await held('subzero', [name]);
  const { rows, columns } = one.model.weights.get(name)!;
  expect(one.factors).toBe((rows + columns) * paddedRank(quick.rank) * 4);
  // One block of the state, as it stands and for each of two probes.
  expect(one.factorBytes).toBe(one.factors + 3 * 256 * 4);
  const vectors = await held('subzero', ['*.bias']);
  expect(vectors.factors).toBe(0);
  for (const optimizer of ['mezo', 'hizoo'] as const) {
    const all = await held(optimizer, []);
    expect((await held(optimizer, [name])).factorBytes).toBeLessThan(all.factorBytes / 4);
  }
});

test('an adapter holds what trains', async () => {
  const model = tinyModel('llama-tiny');
  const { run } = await train(model, { parameters: ['*.self_attn.*'], steps: 4 });
  const out = join(temporaryFolder(), 'adapter');
  await engine.exportRun({ run, format: 'peft', out });
  const config = JSON.parse(readFileSync(join(out, 'adapter_config.json'), 'utf8'));
  expect(config).toMatchObject({ bias: 'none', modules_to_save: null });
  const modules = [...(await tensors(model)).keys()].filter((name) => name.includes('.self_attn.'));
  expect(config.target_modules.sort()).toEqual(modules.map((name) => name.replace(/\.weight$/, '')).sort());
  const { run: norms } = await train(model, { parameters: ['*norm*'], steps: 1 });
  await expect(
    engine.exportRun({ run: norms, format: 'peft', out: join(temporaryFolder(), 'adapter') }),
  ).rejects.toMatchObject({ code: 'unsupported', parameter: 'format' });
});

test('a pattern that fits nothing ends the run before it begins', async () => {
  await expect(train(tinyModel(), { parameters: ['*.query.*'] })).rejects.toMatchObject({
    code: 'invalid_argument',
    parameter: 'parameters',
    message: expect.stringContaining('model.embed_tokens.weight'),
  });
});
