/**
 * Runs step by step with the real engine: over HTTP they compute what training computes.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sampleBatch } from '../../src/data/sampling.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { recordsOf } from '../train/tiny.ts';
import { expectError, jsonLines, post } from './harness.ts';
import { modelId, modelPath, type RealServer, sentimentExamples, startRealServer } from './real-server.ts';

let server: RealServer;

beforeAll(async () => {
  server = await startRealServer();
});

afterAll(() => server.close());

const examples = sentimentExamples(6);

interface Answer {
  id: string;
  step: number;
  loss: number;
  accuracy: number;
  learning_rate: number;
  loss_plus: number[];
  loss_minus: number[] | null;
  loss_center: number | null;
  projected_gradients: number[];
  curvatures: number[] | null;
  text: string;
}

async function call(path: string, body: unknown): Promise<Answer> {
  const response = await post(server, `/v1/zo/runs${path}`, body);
  const answer = await response.json();
  expect(response.status, JSON.stringify(answer)).toBe(200);
  return answer as Answer;
}

const remove = (id: string) => fetch(`${server.url}/v1/zo/runs/${id}`, { method: 'DELETE' });

/** Trains in the ordinary way and returns the losses of its steps and its journal. */
async function train(configuration: Partial<TrainConfiguration>, name: string) {
  const file = join(server.dataDirectory, 'step-data.jsonl');
  writeFileSync(file, jsonLines(examples));
  const out = join(server.dataDirectory, name);
  const losses: number[] = [];
  const accuracies: (number | null)[] = [];
  for await (const event of server.engine.train({ model: modelPath, data: { file }, configuration, out })) {
    if (event.type !== 'step') continue;
    losses.push(event.loss);
    accuracies.push(event.accuracy);
  }
  return { losses, accuracies, out, records: await recordsOf(out) };
}

for (const [optimizer, settings, wire] of [
  ['subzero', { rank: 2, refresh: 2, queries: 2 }, { rank: 2, refresh_interval: 2, queries: 2 }],
  ['hizoo', { hessianSmoothing: 1e-4 }, { hessian_smoothing: 1e-4 }],
] as const) {
  test(`${optimizer}: the steps are those of training, and their trajectory makes the same model`, async () => {
    const common = { optimizer, steps: 3, schedule: 'linear' as const, seed: 4 };
    const trained = await train({ ...common, ...settings, batchSize: 2, learningRate: 1e-3 }, `train-${optimizer}`);
    const hyperparameters = { ...common, ...wire, learning_rate: 1e-3 };
    const { id } = await call('', { model: modelId, hyperparameters });
    const before = await call(`/${id}/forward`, { data: examples });
    for (let step = 0; step < 3; step++) {
      const data = sampleBatch(4, step, 2, examples.length).map((index) => examples[index]!);
      const record = trained.records[step]!;
      const probe = await call(`/${id}/probe`, { data });
      expect(probe.loss).toBe(trained.losses[step]);
      expect(probe.accuracy).toBe(trained.accuracies[step]);
      expect(probe.projected_gradients).toEqual([...record.projectedGradients]);
      expect(probe.curvatures).toEqual(record.curvatures ? [...record.curvatures] : null);
      expect(probe.loss_plus).toHaveLength(record.projectedGradients.length);
      expect(probe.loss_center === null).toBe(optimizer === 'subzero');
      const difference = Math.fround((probe.loss_plus[0]! - probe.loss_minus![0]!) / 2e-3);
      expect(probe.projected_gradients[0]).toBe(difference);
      if (step === 1) {
        // By hand, with the numbers of the probe.
        const { projected_gradients, curvatures } = probe;
        const update = { step: 2, projected_gradients, ...(curvatures ? { curvatures } : {}) };
        expect((await call(`/${id}/apply`, update)).learning_rate).toBe(record.learningRate);
        continue;
      }
      const { object: _, ...seen } = probe as Answer & { object: string };
      expect(await call(`/${id}/step`, { data, seq_id: step })).toMatchObject({
        ...seen,
        learning_rate: record.learningRate,
      });
    }
    const done = await expectError(await post(server, `/v1/zo/runs/${id}/probe`, { data: examples }), 400);
    expect(done.message).toContain('all of its 3 steps');

    const after = await call(`/${id}/forward`, { data: examples });
    expect(after.loss).not.toBe(before.loss);
    const lines = await (await fetch(`${server.url}/v1/zo/runs/${id}/trajectory`)).text();
    expect(lines.trim().split('\n')).toHaveLength(3);

    const { id: again } = await call('', { model: modelId, hyperparameters });
    expect((await call(`/${again}/forward`, { data: examples })).loss).toBe(before.loss);
    const replayed = await post(server, `/v1/zo/runs/${again}/trajectory`, lines, {
      'content-type': 'application/x-ndjson',
    });
    expect(await replayed.json()).toMatchObject({ step: 3 });
    expect((await call(`/${again}/forward`, { data: examples })).loss).toBe(after.loss);

    // The run folder of the training, loaded as a model, says the same as the run.
    await server.engine.loadModel({ id: `trained-${optimizer}`, path: trained.out });
    const file = join(server.dataDirectory, 'step-data.jsonl');
    const evaluated = await server.engine.evaluate({ model: `trained-${optimizer}`, data: { file } });
    expect(evaluated.loss).toBe(after.loss);
    await server.engine.unloadModel(`trained-${optimizer}`);
    await remove(id);
    await remove(again);
  });
}

test('looking changes nothing; a sample is a text of the run as it stands', async () => {
  const { id } = await call('', {
    model: modelId,
    hyperparameters: { rank: 4, learning_rate: 1e-3, storage: 'f32', steps: 50 },
  });
  const prompt = examples[0]!.prompt;
  const greedy = { prompt, max_tokens: 4, temperature: 0 };
  const base = await post(server, '/v1/completions', { model: modelId, ...greedy });
  const { choices } = (await base.json()) as { choices: { text: string }[] };
  expect((await call(`/${id}/sample`, greedy)).text).toBe(choices[0]!.text);

  const completions = [{ prompt, completion: ' terrible' }];
  const loss = (await call(`/${id}/forward`, { data: completions })).loss;
  const probe = await call(`/${id}/probe`, { data: completions });
  expect(await call(`/${id}/probe`, { data: completions })).toEqual(probe);
  expect((await call(`/${id}/forward`, { data: completions })).loss).toBe(loss);

  // Many requests at once happen one after another.
  const steps = await Promise.all(Array.from({ length: 8 }, () => call(`/${id}/step`, { data: completions })));
  expect(steps.map(({ step }) => step).sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect((await call(`/${id}/forward`, { data: completions })).loss).not.toBe(loss);
  await Promise.all([
    call(`/${id}/sample`, greedy),
    call(`/${id}/step`, { data: completions }),
    call(`/${id}/sample`, { ...greedy, max_tokens: 8 }),
  ]);
  await remove(id);
});

test('what the engine refuses is named, and the run stays as it was', async () => {
  const { id } = await call('', { model: modelId, hyperparameters: { rank: 2, steps: 5 } });
  for (const [operation, body, words] of [
    ['forward', { data: [{ nothing: 1 }] }, 'data.0: unknown row'],
    ['forward', { data: [examples[0], { prompt: 'a', completion: ' b' }] }, 'data.1: rows with options'],
    ['forward', { data: [{ prompt: 'a', completion: ' word'.repeat(400) }] }, 'data.0: the answer has'],
    ['probe', { data: examples, step: 3 }, 'next step of this run is 1; got step 3'],
    ['apply', { projected_gradients: [1, 2] }, 'must be 1 numbers of f32, one for each query; got 2'],
    ['apply', { projected_gradients: [1], curvatures: [1] }, 'subzero has no curvatures'],
    ['sample', { prompt: 'word '.repeat(400) }, "this model's maximum context length is 256 tokens"],
  ] as const) {
    const error = await expectError(await post(server, `/v1/zo/runs/${id}/${operation}`, body), 400);
    expect(error.message).toContain(words);
  }
  const { loss } = await call(`/${id}/forward`, { data: examples });
  expect(Number.isFinite(loss)).toBe(true);
  await call(`/${id}/apply`, { projected_gradients: [3e38], learning_rate: 10 });
  const diverged = await expectError(await post(server, `/v1/zo/runs/${id}/forward`, { data: examples }), 400);
  expect(diverged.message).toContain('the run has diverged');
  await remove(id);
  await expectError(await post(server, `/v1/zo/runs/${id}/forward`, { data: examples }), 404);
});

test('runs give their memory back', async () => {
  const live = async () => (await server.engine.info()).memory.liveBytes;
  const before = await live();
  const { id } = await call('', { model: modelId, hyperparameters: { rank: 2 } });
  await call(`/${id}/step`, { data: examples });
  expect(await live()).toBeGreaterThan(before);
  await remove(id);
  expect(await live()).toBe(before);
});
