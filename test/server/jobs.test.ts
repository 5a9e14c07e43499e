import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import OpenAI, { toFile } from 'openai';
import { describe, expect, onTestFinished, test } from 'vitest';
import { SubzeroError } from '../../src/errors.ts';
import { defaultConfiguration } from '../../src/settings/configuration.ts';
import { parameter, words } from '../../src/words.ts';

import {
  expectError,
  jobBody,
  jobWithStatus,
  parseEvents,
  post,
  startServer,
  type TestServer,
  temporaryDirectory,
  trainingLines,
  until,
  uploadExamples,
} from './harness.ts';

const jobsPath = '/v1/fine_tuning/jobs';

/** A job under its OpenAI type plus the fields of this server. */
interface JobBody {
  id: string;
  status: string;
  progress: { step: number; total_steps: number };
  [key: string]: unknown;
}

async function act(server: TestServer, id: string, action: 'cancel' | 'pause' | 'resume'): Promise<JobBody> {
  const response = await fetch(`${server.url}${jobsPath}/${id}/${action}`, { method: 'POST' });
  expect(response.status).toBe(200);
  return (await response.json()) as JobBody;
}

async function startJob(server: TestServer, hyperparameters: Record<string, unknown> = {}): Promise<string> {
  const job = await server.client.fineTuning.jobs.create(jobBody(await uploadExamples(server), hyperparameters));
  return job.id;
}

async function stepsOf(server: TestServer, id: string): Promise<number[]> {
  const steps: number[] = [];
  for await (const event of server.client.fineTuning.jobs.listEvents(id, { limit: 100 })) {
    const data = event.data as { step?: number; train_loss?: number } | null;
    if (event.type === 'metrics' && data?.train_loss !== undefined) steps.unshift(data.step!);
  }
  return steps;
}

describe('the life of a job', () => {
  test('from upload to an answer of the tuned model', async () => {
    const server = await startServer();
    const { client, engine } = server;
    const trainingFile = await uploadExamples(server);
    const validationFile = await uploadExamples(server, [{ prompt: 'a', completion: 'b' }]);
    const created = await client.fineTuning.jobs.create({
      ...jobBody(trainingFile, {
        optimizer: 'subzero',
        learning_rate: 5e-5,
        epsilon: 1e-3,
        rank: 8,
        refresh_interval: 100,
        batch_size: 16,
        queries: 'auto',
        steps: 6,
        evaluate_every: 3,
      }),
      validation_file: validationFile,
      suffix: 'reviews',
      seed: 7,
      metadata: { who: 'me' },
    });
    expect(created).toMatchObject({
      object: 'fine_tuning.job',
      model: 'base',
      training_file: trainingFile,
      validation_file: validationFile,
      fine_tuned_model: null,
      finished_at: null,
      error: null,
      seed: 7,
      metadata: { who: 'me' },
      method: { type: 'zeroth_order', zeroth_order: { hyperparameters: { rank: 8, refresh_interval: 100 } } },
    });
    const job = await jobWithStatus(server, created.id, 'succeeded');
    const tuned = `ft:base:reviews:${job.id.replace('ftjob-', '')}`;
    expect(job).toMatchObject({
      fine_tuned_model: tuned,
      trained_tokens: 60,
      estimated_finish: null,
      progress: { step: 6, total_steps: 6 },
    });
    expect(job.finished_at).toBeGreaterThanOrEqual(job.created_at);
    expect(engine.trainRequests).toEqual([
      {
        model: 'base',
        data: { file: join(server.dataDirectory, 'files', `${trainingFile}.jsonl`) },
        validation: { file: join(server.dataDirectory, 'files', `${validationFile}.jsonl`) },
        configuration: {
          ...defaultConfiguration,
          learningRate: 5e-5,
          rank: 8,
          refresh: 100,
          batchSize: 16,
          steps: 6,
          evaluateEvery: 3,
          seed: 7,
        },
        out: join(server.dataDirectory, 'runs', job.id),
      },
    ]);

    const answer = await client.completions.create({ model: tuned, prompt: 'x', max_tokens: 3 });
    expect(answer.choices[0]!.text).toBe('ABC');
    const models = await client.models.list();
    expect(models.data.map(({ id }) => id)).toEqual(['base', `${tuned}:ckpt-step-3`, `${tuned}:ckpt-step-6`, tuned]);
    expect(await client.models.retrieve(tuned)).toMatchObject({ object: 'model', parent: 'base', loaded: true });

    const checkpoints = await client.fineTuning.jobs.checkpoints.list(job.id);
    expect(checkpoints.data).toMatchObject([
      { object: 'fine_tuning.job.checkpoint', step_number: 6, metrics: { step: 6, train_loss: 1 / 6 }, best: true },
      { step_number: 3, metrics: { step: 3, train_loss: 1 / 3, valid_loss: 1 / 4, valid_accuracy: 0.5 }, best: false },
    ]);
    const early = checkpoints.data[1]!.fine_tuned_model_checkpoint;
    await client.completions.create({ model: early, prompt: 'x', max_tokens: 1 });
    expect(engine.loadRequests.at(-1)).toEqual({
      id: early,
      path: join(server.dataDirectory, 'runs', job.id),
      step: 3,
    });

    const results = await (await client.files.content(job.result_files[0]!)).text();
    expect(results.split('\n').slice(0, 4)).toEqual([
      'step,train_loss,train_accuracy,learning_rate,projected_gradient,valid_loss,valid_accuracy',
      '1,1,0.5,0.000001,0.25,,',
      '2,0.5,0.5,0.000001,0.25,,',
      `3,${1 / 3},0.5,0.000001,0.25,0.25,0.5`,
    ]);
  });

  test('events tell of every step, newest first, page by page', async () => {
    const server = await startServer();
    const { client } = server;
    const id = await startJob(server, { steps: 30 });
    await jobWithStatus(server, id, 'succeeded');
    expect(await stepsOf(server, id)).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
    const newest = await client.fineTuning.jobs.listEvents(id, { limit: 1 });
    expect(newest).toMatchObject({
      data: [{ object: 'fine_tuning.job.event', level: 'info', message: 'The job has successfully completed' }],
      has_more: true,
    });
    const all: string[] = [];
    for await (const event of client.fineTuning.jobs.listEvents(id, { limit: 7 })) all.push(event.id);
    expect(new Set(all).size).toBe(all.length);
    expect(all).toHaveLength(34);
    const forward = await fetch(`${server.url}${jobsPath}/${id}/events?order=asc&limit=100`);
    const { data } = (await forward.json()) as { data: { id: string; data: unknown }[] };
    expect(data.map((event) => event.id)).toEqual(all.toReversed());
    expect(data.at(-2)!.data).toMatchObject({
      step: 30,
      total_steps: 30,
      train_loss: 1 / 30,
      projected_gradient: 0.25,
      tokens_per_second: 100,
    });
  });

  test('jobs run one after another and are listed newest first', async () => {
    const server = await startServer();
    server.engine.stepMilliseconds = 5;
    const ids: string[] = [];
    for (let index = 0; index < 3; index++) ids.unshift(await startJob(server, { steps: 100 }));
    expect((await server.client.fineTuning.jobs.retrieve(ids[0]!)).status).toBe('queued');
    const running = (await server.client.fineTuning.jobs.list()).data.filter(({ status }) => status === 'running');
    expect(running.length).toBeLessThanOrEqual(1);
    await jobWithStatus(server, ids[0]!, 'succeeded');
    const listed: string[] = [];
    for await (const { id } of server.client.fineTuning.jobs.list({ limit: 2 })) listed.push(id);
    expect(listed).toEqual(ids);
    const runs = server.engine.trainRequests.map((request) => ('out' in request ? request.out.slice(-30) : ''));
    expect(runs).toEqual(ids.toReversed());
  });

  test('method "supervised" trains with the defaults of SubZero', async () => {
    const server = await startServer();
    const lines = Array.from({ length: 10 }, (_, index) => ({ prompt: 'a', completion: `b${index}` }));
    const trainingFile = await uploadExamples(server, lines);
    const { client } = server;
    const job = await client.fineTuning.jobs.create({
      model: 'base',
      training_file: trainingFile,
      method: {
        type: 'supervised',
        supervised: { hyperparameters: { n_epochs: 3, batch_size: 4, learning_rate_multiplier: 2 } },
      },
    });
    expect(job.hyperparameters).toEqual({ n_epochs: 3, batch_size: 4, learning_rate_multiplier: 2 });
    expect(job.method!.type).toBe('supervised');
    await jobWithStatus(server, job.id, 'succeeded');
    expect(server.engine.trainRequests[0]).toMatchObject({
      configuration: {
        ...defaultConfiguration,
        steps: 8,
        batchSize: 4,
        learningRate: defaultConfiguration.learningRate * 2,
      },
    });
    const older = await client.fineTuning.jobs.create({
      model: 'base',
      training_file: trainingFile,
      hyperparameters: { n_epochs: 1 },
    });
    expect((older as unknown as JobBody).progress.total_steps).toBe(1);
    // 30 examples to be seen, 2 · 3 of them a step.
    const hyperparameters = { n_epochs: 3, batch_size: 2, accumulate: 3, sampling: 'shuffle' };
    const method = { type: 'zeroth_order', zeroth_order: { hyperparameters } };
    const response = await post(server, jobsPath, { model: 'base', training_file: trainingFile, method });
    const accumulated = (await response.json()) as JobBody;
    expect(accumulated.progress.total_steps).toBe(5);
  });
});

describe('method "dpo"', () => {
  const row = (answer: string) => ({
    input: { messages: [{ role: 'user', content: 'a' }], tools: [], parallel_tool_calls: true },
    preferred_output: [{ role: 'assistant', content: answer }],
    non_preferred_output: [{ role: 'assistant', content: 'no' }],
  });

  test('takes the hyperparameters of OpenAI and tells margins', async () => {
    const server = await startServer();
    server.engine.measures = { rewardMargin: 0.25, drift: 0.125 };
    const { client } = server;
    const training_file = await uploadExamples(server, [row('b'), row('c'), row('d'), row('e')]);
    const job = await client.fineTuning.jobs.create({
      ...{ model: 'base', training_file, validation_file: training_file },
      method: {
        type: 'dpo',
        dpo: { hyperparameters: { beta: 0.5, n_epochs: 3, batch_size: 2, learning_rate_multiplier: 2 } },
      },
    });
    const hyperparameters = { beta: 0.5, n_epochs: 3, batch_size: 2, learning_rate_multiplier: 2 };
    expect(job.method).toEqual({ type: 'dpo', dpo: { hyperparameters } });
    await jobWithStatus(server, job.id, 'succeeded');
    expect(server.engine.trainRequests[0]).toMatchObject({
      configuration: {
        ...defaultConfiguration,
        ...{ objective: 'dpo', dpoBeta: 0.5, steps: 6, batchSize: 2 },
        learningRate: defaultConfiguration.learningRate * 2,
      },
      epochs: 3,
    });
    const { data } = await client.fineTuning.jobs.listEvents(job.id, { limit: 100 });
    const metrics = data.filter(({ type }) => type === 'metrics').map((event) => event.data);
    expect(metrics).toContainEqual(expect.objectContaining({ step: 6, train_reward_margin: 0.25, train_drift: 0.125 }));
  });

  test('"auto" is the default; what has no meaning is refused by name', async () => {
    const server = await startServer();
    const training_file = await uploadExamples(server, [row('b')]);
    const start = (hyperparameters: object, more: object = {}) =>
      post(server, jobsPath, {
        model: 'base',
        training_file,
        method: { type: 'dpo', dpo: { hyperparameters } },
        ...more,
      });
    const job = (await (await start({ beta: 'auto', n_epochs: 'auto' })).json()) as JobBody;
    expect(job.method).toMatchObject({ dpo: { hyperparameters: { beta: 0.1, n_epochs: 'auto' } } });
    for (const [given, param] of [
      [{ beta: 0 }, 'beta'],
      [{ beta: 1e-9 }, 'beta'],
      [{ objective: 'ipo' }, 'objective'],
    ] as const) {
      const error = await expectError(await start(given), 400);
      expect(error.param).toBe(`method.dpo.hyperparameters.${param}`);
    }
    await expectError(await start({}, { hyperparameters: { n_epochs: 1 } }), 400);
  });

  test('equal answers are refused with the line', async () => {
    const server = await startServer();
    const upload = uploadExamples(server, [row('b'), row('no')]);
    await expect(upload).rejects.toThrow(/2: the chosen and the rejected answer/);
  });
});

test('"zeroth_order" takes any objective; what it measures is in events, checkpoints and results', async () => {
  const server = await startServer();
  server.engine.measures = { rewardMargin: 0.25, drift: 0.125 };
  const { client } = server;
  const preferences = await uploadExamples(server, [{ prompt: 'It was', chosen: 'great', rejected: 'bad' }]);
  const hyperparameters = { objective: 'orpo', dpo_beta: 0.2, anchor: 0.5, steps: 2, evaluate_every: 2 };
  const { id } = await client.fineTuning.jobs.create(jobBody(preferences, hyperparameters));
  await jobWithStatus(server, id, 'succeeded');
  const configuration = { objective: 'orpo', dpoBeta: 0.2, anchor: 0.5 };
  expect(server.engine.trainRequests[0]).toMatchObject({ configuration });
  const checkpoints = await client.fineTuning.jobs.checkpoints.list(id);
  expect(checkpoints.data[0]!.metrics).toMatchObject({ valid_reward_margin: 0.25, valid_drift: 0.125 });
  const { result_files } = await client.fineTuning.jobs.retrieve(id);
  const [head, , last] = (await (await client.files.content(result_files[0]!)).text()).split('\n');
  expect(head).toMatch(/valid_accuracy,train_reward_margin,train_drift,valid_reward_margin,valid_drift$/);
  expect(last).toMatch(/,0\.5,0\.25,0\.125,0\.25,0\.125$/);
});

test('epochs are those of the run, which counts what the lines of the file came to', async () => {
  const server = await startServer();
  const training_file = await uploadExamples(server, [{ text: 'several examples' }, { text: 'b' }]);
  const hyperparameters = { n_epochs: 3, batch_size: 1 };
  const method = { type: 'supervised' as const, supervised: { hyperparameters } };
  const { id } = await server.client.fineTuning.jobs.create({ model: 'base', training_file, method });
  await jobWithStatus(server, id, 'succeeded');
  expect(server.engine.trainRequests[0]).toMatchObject({ epochs: 3 });
  const job = (await server.client.fineTuning.jobs.retrieve(id)) as unknown as JobBody;
  expect(job.progress).toMatchObject({ step: 9, total_steps: 9 });
});

test('a scheme brings its defaults; lists arrive as they were sent', async () => {
  const server = await startServer();
  const hyperparameters = { scheme: 'lora', lora_targets: ['q_proj', 'fc1'], lora_rank: 4, steps: 2, n_epochs: null };
  const id = await startJob(server, hyperparameters);
  await jobWithStatus(server, id, 'succeeded');
  const configuration = {
    scheme: 'lora',
    loraTargets: ['q_proj', 'fc1'],
    loraRank: 4,
    loraAlpha: 16,
    learningRate: 2e-5,
  };
  expect(server.engine.trainRequests[0]).toMatchObject({ configuration });
  const { method } = await server.client.fineTuning.jobs.retrieve(id);
  const shown = (method as unknown as { zeroth_order: { hyperparameters: Record<string, unknown> } }).zeroth_order;
  expect(shown.hyperparameters).toMatchObject({ scheme: 'lora', lora_targets: ['q_proj', 'fc1'], parameters: [] });
});

describe('cancel, pause, resume', () => {
  test('a running job pauses after its step and goes on from there', async () => {
    const server = await startServer();
    server.engine.stepMilliseconds = 5;
    const id = await startJob(server, { steps: 20 });
    await until(
      () => stepsOf(server, id),
      (steps) => steps.length >= 3,
    );
    const paused = await act(server, id, 'pause');
    expect(paused.status).toBe('paused');
    const { step } = paused.progress;
    expect(step).toBeGreaterThanOrEqual(3);
    expect(step).toBeLessThan(20);
    await expectError(await fetch(`${server.url}${jobsPath}/${id}/pause`, { method: 'POST' }), 400);
    await act(server, id, 'resume');
    await jobWithStatus(server, id, 'succeeded');
    expect(server.engine.trainRequests[1]).toEqual({ resume: join(server.dataDirectory, 'runs', id) });
    expect(await stepsOf(server, id)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  });

  test('a running and a waiting job are cancelled; twice is 400, which the client does not repeat', async () => {
    const server = await startServer();
    server.engine.stepMilliseconds = 5;
    const running = await startJob(server, { steps: 1000 });
    const waiting = await startJob(server);
    const { client } = server;
    expect((await client.fineTuning.jobs.cancel(waiting)).status).toBe('cancelled');
    expect(await client.fineTuning.jobs.cancel(running)).toMatchObject({
      status: 'cancelled',
      finished_at: expect.any(Number),
      fine_tuned_model: null,
    });
    expect(server.engine.trainRequests).toHaveLength(1);
    for (const action of ['cancel', 'pause', 'resume']) {
      const response = await fetch(`${server.url}${jobsPath}/${running}/${action}`, { method: 'POST' });
      expect((await expectError(response, 400)).code).toBe('job_already_finished');
    }
    let calls = 0;
    const counting = client.withOptions({
      maxRetries: 2,
      fetch: (input, init) => {
        calls++;
        return fetch(input, init);
      },
    });
    await expect(counting.fineTuning.jobs.cancel(running)).rejects.toMatchObject({ status: 400 });
    expect(calls).toBe(1);
  });

  test('a waiting job pauses, keeps its state and trains when resumed', async () => {
    const server = await startServer();
    server.engine.stepMilliseconds = 5;
    const running = await startJob(server, { steps: 1000 });
    const waiting = await startJob(server, { steps: 2 });
    expect((await act(server, waiting, 'pause')).status).toBe('paused');
    await act(server, running, 'cancel');
    expect((await server.client.fineTuning.jobs.retrieve(waiting)).status).toBe('paused');
    await act(server, waiting, 'resume');
    await jobWithStatus(server, waiting, 'succeeded');
  });

  test('a failed job says why and can be resumed', async () => {
    const server = await startServer();
    server.engine.trainingFailure = { step: 3, error: new SubzeroError('device_lost', 'the GPU went away') };
    const id = await startJob(server, { steps: 5 });
    const failed = await jobWithStatus(server, id, 'failed');
    expect(failed.error).toEqual({ code: 'device_lost', message: 'the GPU went away', param: null });
    expect(server.logLines.join('\n')).toContain('the GPU went away');
    server.engine.trainingFailure = undefined;
    expect((await act(server, id, 'resume')).error).toBeNull();
    await jobWithStatus(server, id, 'succeeded');
    expect(await stepsOf(server, id)).toEqual([1, 2, 3, 4, 5]);
  });

  test('a failure names the file as the client knows it, not where it lies', async () => {
    const server = await startServer();
    const file = await uploadExamples(server, [{ text: 'refused by the engine' }]);
    const { id } = await server.client.fineTuning.jobs.create(jobBody(file));
    const { error } = await jobWithStatus(server, id, 'failed');
    expect(error).toEqual({
      code: 'invalid_data',
      message: 'train.jsonl line 1: refused by the engine',
      param: 'training_file',
    });
  });

  test('a failure names settings as the client knows them', async () => {
    const server = await startServer();
    const message = words`${parameter('loraTargets')}: the model has no linear layer "x"`;
    const error = new SubzeroError('invalid_argument', message, { parameter: 'loraTargets' });
    server.engine.trainingFailure = { step: 1, error };
    const failed = await jobWithStatus(server, await startJob(server), 'failed');
    expect(failed.error).toEqual({
      code: 'invalid_argument',
      message: 'lora_targets: the model has no linear layer "x"',
      param: 'lora_targets',
    });
    const body = jobBody(await uploadExamples(server), { early_stopping: 2 });
    const refused = await expectError(await post(server, '/v1/fine_tuning/jobs', body), 400);
    expect(refused.message).toContain('evaluate_every must be at least 1 with early_stopping,');
  });

  test('a model that cannot be loaded after training does not fail the job', async () => {
    const server = await startServer();
    server.engine.loadFailure = { id: /^ft:/, error: new SubzeroError('out_of_memory', 'no room') };
    const id = await startJob(server);
    const job = await jobWithStatus(server, id, 'succeeded');
    const refused = await post(server, '/v1/completions', { model: job.fine_tuned_model, prompt: 'x' });
    await expectError(refused, 503);
    server.engine.loadFailure = undefined;
    const answer = await server.client.completions.create({ model: job.fine_tuned_model!, prompt: 'x', max_tokens: 1 });
    expect(answer.choices[0]!.text).toBe('A');
  });
});

describe('a server that stops and starts again', () => {
  test('goes on with the running job, then with the waiting one', async () => {
    const dataDirectory = temporaryDirectory();
    const first = await startServer({ dataDirectory });
    first.engine.stepMilliseconds = 30;
    const running = await startJob(first, { steps: 20 });
    const waiting = await startJob(first, { steps: 2 });
    await until(
      () => stepsOf(first, running),
      (steps) => steps.length >= 3,
    );
    await first.close();
    const second = await startServer({ dataDirectory });
    await jobWithStatus(second, waiting, 'succeeded');
    expect(await stepsOf(second, running)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
    expect(second.engine.trainRequests).toMatchObject([
      { resume: join(dataDirectory, 'runs', running) },
      { out: join(dataDirectory, 'runs', waiting) },
    ]);
    const job = await second.client.fineTuning.jobs.retrieve(running);
    expect(second.engine.loadRequests.map(({ id }) => id)).toContain(job.fine_tuned_model);
  });

  test('killed in the middle of a job and of an upload, it loses nothing', async () => {
    const dataDirectory = temporaryDirectory();
    const script = fileURLToPath(new URL('killed-server.ts', import.meta.url));
    const child = spawn(process.execPath, [script, dataDirectory], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    const [address] = (await once(child.stdout, 'data')) as [Buffer];
    const url = String(address).trim();
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 });
    const killed = { url, client } as TestServer;
    const id = await startJob(killed, { steps: 30 });
    const half = httpRequest(`${url}/v1/files`, {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data; boundary=b' },
    });
    half.on('error', () => {});
    half.write('--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{"text":"a"}\n');
    const incoming = join(dataDirectory, 'files', 'incoming');
    await until(
      () => readdirSync(incoming).length,
      (count) => count === 1,
    );
    const seen = await until(
      () => stepsOf(killed, id),
      (steps) => steps.length >= 3,
    );
    child.kill('SIGKILL');
    await once(child, 'close');

    const second = await startServer({ dataDirectory });
    expect(readdirSync(incoming)).toEqual([]);
    expect((await second.client.files.list()).data).toHaveLength(1);
    await jobWithStatus(second, id, 'succeeded');
    expect(second.engine.trainRequests).toEqual([{ resume: join(dataDirectory, 'runs', id) }]);
    const steps = await stepsOf(second, id);
    expect(steps.slice(0, seen.length)).toEqual(seen);
    expect(steps.at(-1)).toBe(30);
    expect(new Set(steps).size).toBe(steps.length);
  });

  test('starts a job over whose run folder has no journal, and keeps one that has steps', async () => {
    const dataDirectory = temporaryDirectory();
    const first = await startServer({ dataDirectory });
    first.engine.trainingFailure = { step: 1, error: new SubzeroError('device_lost', 'gone') };
    const young = await startJob(first, { steps: 2 });
    await jobWithStatus(first, young, 'failed');
    first.engine.trainingFailure = { step: 3, error: new SubzeroError('device_lost', 'gone') };
    const old = await startJob(first, { steps: 5 });
    await jobWithStatus(first, old, 'failed');
    await first.close();

    for (const id of [young, old]) rmSync(join(dataDirectory, 'runs', id, 'journal.fake'));
    const second = await startServer({ dataDirectory });
    await act(second, young, 'resume');
    await jobWithStatus(second, young, 'succeeded');
    expect(await stepsOf(second, young)).toEqual([1, 2]);
    // Steps were announced, so the journal must have been there: nothing is thrown away in its place.
    await act(second, old, 'resume');
    await jobWithStatus(second, old, 'failed');
    expect(existsSync(join(dataDirectory, 'runs', old))).toBe(true);
    // Without the folder there is nothing to protect.
    rmSync(join(dataDirectory, 'runs', old), { recursive: true });
    await act(second, old, 'resume');
    await jobWithStatus(second, old, 'succeeded');
  });

  test('loads tuned models again when they are first used', async () => {
    const dataDirectory = temporaryDirectory();
    const first = await startServer({ dataDirectory });
    const job = await jobWithStatus(first, await startJob(first), 'succeeded');
    await first.close();
    const second = await startServer({ dataDirectory });
    expect(second.engine.loadRequests).toHaveLength(1);
    const model = job.fine_tuned_model!;
    expect(await second.client.models.retrieve(model)).toMatchObject({ loaded: false });
    const ask = () => second.client.completions.create({ model, prompt: 'x', max_tokens: 2 });
    const answers = await Promise.all([ask(), ask(), ask()]);
    expect(answers.map(({ choices }) => choices[0]!.text)).toEqual(['AB', 'AB', 'AB']);
    expect(second.engine.loadRequests).toHaveLength(2);
  });

  test('clears away half uploads and strays, and keeps the rest', async () => {
    const dataDirectory = temporaryDirectory();
    const first = await startServer({ dataDirectory });
    const id = await uploadExamples(first);
    await first.close();
    const files = join(dataDirectory, 'files');
    writeFileSync(join(files, 'incoming', 'file-half'), 'x');
    writeFileSync(join(files, 'file-stray.jsonl'), 'x');
    const second = await startServer({ dataDirectory });
    expect(existsSync(join(files, 'incoming', 'file-half'))).toBe(false);
    expect(existsSync(join(files, 'file-stray.jsonl'))).toBe(false);
    expect(await (await second.client.files.content(id)).text()).toContain('great');
  });

  test('two servers cannot share a data directory', async () => {
    const first = await startServer();
    await expect(startServer({ dataDirectory: first.dataDirectory })).rejects.toMatchObject({ code: 'conflict' });
  });
});

describe('events as a stream', () => {
  test('replays, follows, ends with the job', async () => {
    const server = await startServer({ heartbeatSeconds: 0.02 });
    server.engine.stepMilliseconds = 30;
    const id = await startJob(server, { steps: 4 });
    const response = await fetch(`${server.url}${jobsPath}/${id}/events`, { headers: { accept: 'text/event-stream' } });
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const text = await response.text();
    expect(text.match(/^: heartbeat$/gm)!.length).toBeGreaterThan(2);
    const events = parseEvents(text);
    expect(events.at(-1)!.data).toBe('[DONE]');
    const records = events.slice(0, -1).map(({ data }) => data as { id: string; message: string });
    expect(events.slice(0, -1).map((event) => event.id)).toEqual(records.map((record) => record.id));
    expect(records.map(({ message }) => message)).toEqual([
      expect.stringContaining('Created fine-tuning job'),
      'Fine-tuning job started',
      'Training started: 2 examples, 4 steps',
      'Step 1/4: training loss=1.0000',
      'Step 2/4: training loss=0.5000',
      'Step 3/4: training loss=0.3333',
      'Step 4/4: training loss=0.2500',
      'The job has successfully completed',
    ]);

    const url = `${server.url}${jobsPath}/${id}/events?stream=true`;
    const rest = await fetch(url, { headers: { 'last-event-id': records[5]!.id } });
    expect(parseEvents(await rest.text()).map(({ id: eventId }) => eventId)).toEqual([
      records[6]!.id,
      records[7]!.id,
      undefined,
    ]);
    const nothing = await fetch(url, { headers: { 'last-event-id': records[7]!.id } });
    expect(nothing.status).toBe(204);
    await expectError(await fetch(url, { headers: { 'last-event-id': 'x' } }), 400);
  });

  test('a reader who leaves is forgotten; a stopping server ends the stream', async () => {
    const server = await startServer();
    server.engine.stepMilliseconds = 5;
    const id = await startJob(server, { steps: 1000 });
    await act(server, id, 'pause');
    const url = `${server.url}${jobsPath}/${id}/events?stream=true`;
    const waiting = async () =>
      /subzero_event_streams_waiting (\d+)/.exec(await (await fetch(`${server.url}/metrics`)).text())![1];
    const leave = new AbortController();
    const left = await fetch(url, { signal: leave.signal });
    void left.text().catch(() => {});
    await until(waiting, (count) => count === '1');
    leave.abort();
    await until(waiting, (count) => count === '0');
    const stays = await fetch(url);
    const text = stays.text();
    await until(waiting, (count) => count === '1');
    await server.close();
    expect(parseEvents(await text).map(({ data }) => data)).not.toContain('[DONE]');
  });
});

describe('what is refused', () => {
  test('settings out of range name the field as the request spells it', async () => {
    const server = await startServer();
    const file = await uploadExamples(server);
    const path = 'method.zeroth_order.hyperparameters';
    for (const [hyperparameters, param, message] of [
      [{ batch_size: 0 }, `${path}.batch_size`, 'batch_size must be between 1 and'],
      [{ refresh_interval: 1.5 }, `${path}.refresh_interval`, 'refresh_interval must be a whole number'],
      [{ optimizer: 'sgd' }, `${path}.optimizer`, 'optimizer must be one of "subzero"'],
      [{ learning_rate: -1 }, `${path}.learning_rate`, 'learning_rate must be between'],
      [{ rank: 'big' }, `${path}.rank`, 'expected a number or "auto"'],
      [{ scheme: 'qlora' }, `${path}.scheme`, 'scheme must be one of "full", "lora", "prompt", "prefix"'],
      [{ lora_targets: 'q_proj' }, `${path}.lora_targets`, 'expected a list of strings or "auto"'],
      [{ scheme: 'lora', parameters: ['*'] }, `${path}.parameters`, 'leave it out'],
      [{ wobble: 1 }, `${path}.wobble`, 'Unknown field'],
      [{ n_epochs: 2 }, `${path}.n_epochs`, 'either n_epochs or steps'],
      [{ learning_rate: 1e-4, learning_rate_multiplier: 2 }, `${path}.learning_rate_multiplier`, 'either'],
    ] as const) {
      const error = await expectError(await post(server, jobsPath, jobBody(file, hyperparameters)), 400);
      expect(error).toMatchObject({ param, message: expect.stringContaining(message) });
    }
    const conflict = await post(server, jobsPath, { ...jobBody(file, { seed: 1 }), seed: 2 });
    expect((await expectError(conflict, 400)).param).toBe('seed');
    expect((await server.client.fineTuning.jobs.list()).data).toEqual([]);
  });

  test('a tuned model as the base of a job: what to do instead', async () => {
    const server = await startServer();
    const file = await uploadExamples(server);
    const id = await startJob(server, { steps: 4, evaluate_every: 2 });
    const { fine_tuned_model: tuned } = await jobWithStatus(server, id, 'succeeded');
    for (const [model, step] of [
      [tuned, ''],
      [`${tuned}:ckpt-step-2`, ' --step 2'],
    ]) {
      const error = await expectError(await post(server, jobsPath, { ...jobBody(file), model }), 400);
      expect(error).toMatchObject({ param: 'model', code: 'unsupported' });
      expect(error.message).toContain('training starts from a base model, here "base".');
      expect(error.message).toContain(`subzero fork --run DATA/runs/${id}${step} --out NEW`);
    }
  });

  test('unknown models, files, jobs and fields', async () => {
    const server = await startServer();
    const file = await uploadExamples(server);
    for (const [change, param] of [
      [{ model: 'other' }, 'model'],
      [{ training_file: 'file-x' }, 'training_file'],
      [{ validation_file: 'file-x' }, 'validation_file'],
      [{ training_file: undefined }, 'training_file'],
      [{ suffix: '../up' }, 'suffix'],
      [{ suffix: 'x'.repeat(65) }, 'suffix'],
      [{ integrations: [{ type: 'wandb' }] }, 'integrations'],
      [{ method: { type: 'reinforcement' } }, 'method.reinforcement'],
      [{ hyperparameters: { n_epochs: 1 } }, 'hyperparameters'],
      [{ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`k${index}`, 'v'])) }, 'metadata'],
      [{ wobble: 1 }, 'wobble'],
    ] as const) {
      const error = await expectError(await post(server, jobsPath, { ...jobBody(file), ...change }), 400);
      expect(error.param).toBe(param);
    }
    for (const path of ['', '/events', '/checkpoints']) {
      await expectError(await fetch(`${server.url}${jobsPath}/ftjob-x${path}`), 404);
    }
    for (const action of ['cancel', 'pause', 'resume']) {
      await expectError(await fetch(`${server.url}${jobsPath}/ftjob-x/${action}`, { method: 'POST' }), 404);
    }
    expect((await expectError(await fetch(`${server.url}${jobsPath}?after=ftjob-x`), 404)).param).toBe('after');
    expect((await expectError(await fetch(`${server.url}${jobsPath}?limit=101`), 400)).param).toBe('limit');
  });

  test('a full queue, and files that jobs still need', async () => {
    const server = await startServer({ limits: { queuedJobs: 1 } });
    server.engine.stepMilliseconds = 5;
    const file = await uploadExamples(server);
    const running = await server.client.fineTuning.jobs.create(jobBody(file, { steps: 1000 }));
    const waiting = await server.client.fineTuning.jobs.create(jobBody(file));
    expect((await expectError(await post(server, jobsPath, jobBody(file)), 429)).code).toBe('queue_full');
    const remove = () => fetch(`${server.url}/v1/files/${file}`, { method: 'DELETE' });
    expect((await expectError(await remove(), 400)).code).toBe('file_in_use');
    await act(server, waiting.id, 'cancel');
    await act(server, running.id, 'cancel');
    expect((await remove()).status).toBe(200);
  });
});

test('Idempotency-Key: the same request makes one job, another body is refused', async () => {
  const server = await startServer();
  const file = await uploadExamples(server);
  const headers = { 'idempotency-key': 'once' };
  const send = (body: unknown) => post(server, jobsPath, body, headers);
  const [first, second] = await Promise.all([send(jobBody(file)), send(jobBody(file))]);
  const job = (await first.json()) as JobBody;
  expect(await second.json()).toEqual(job);
  expect([first, second].filter(({ headers: answer }) => answer.has('idempotent-replayed'))).toHaveLength(1);
  expect((await server.client.fineTuning.jobs.list()).data).toHaveLength(1);
  expect((await expectError(await send(jobBody(file, { steps: 9 })), 400)).code).toBe('idempotency_key_reused');
  await expectError(await post(server, jobsPath, jobBody(file), { 'idempotency-key': 'x'.repeat(256) }), 400);
  // The same key on another path is another request.
  const other = await post(server, `${jobsPath}/${job.id}/pause`, '', headers);
  expect(other.headers.has('idempotent-replayed')).toBe(false);
});

describe('tuned models in memory', () => {
  test('the one unused for longest makes room', async () => {
    const server = await startServer({ limits: { loadedTunedModels: 1 } });
    const names: string[] = [];
    for (let index = 0; index < 2; index++) {
      names.push((await jobWithStatus(server, await startJob(server), 'succeeded')).fine_tuned_model!);
    }
    expect(server.engine.unloaded).toEqual([names[0]]);
    const ask = (model: string) => server.client.completions.create({ model, prompt: 'x', max_tokens: 1 });
    expect((await ask(names[0]!)).choices[0]!.text).toBe('A');
    expect(server.engine.unloaded).toEqual(names);
  });

  test('delete: gone from the list at once, from memory when the last answer has ended', async () => {
    const server = await startServer();
    const model = (await jobWithStatus(server, await startJob(server), 'succeeded')).fine_tuned_model!;
    server.engine.tokenMilliseconds = 10;
    const answer = server.client.completions.create({ model, prompt: 'x', max_tokens: 10 });
    await until(
      () => server.engine.generating,
      (count) => count === 1,
    );
    expect(await server.client.models.delete(model)).toEqual({ id: model, object: 'model', deleted: true });
    expect(server.engine.unloaded).toEqual([]);
    expect((await answer).choices[0]!.text).toBe('ABCDEFGHIJ');
    await until(
      () => server.engine.unloaded,
      (ids) => ids.includes(model),
    );
    await expectError(await post(server, '/v1/completions', { model, prompt: 'x' }), 404);
    await expectError(await fetch(`${server.url}/v1/models/${model}`), 404);
    await expectError(await fetch(`${server.url}/v1/models/base`, { method: 'DELETE' }), 403);
  });
});

describe('method "reinforcement"', () => {
  const rows = [
    { messages: [{ role: 'user', content: 'a' }], answer: 'b' },
    { messages: [{ role: 'user', content: 'b' }], answer: 'c' },
  ];
  const grader = {
    type: 'string_check',
    name: 'same',
    operation: 'eq',
    input: '{{sample.output_text}}',
    reference: '{{item.answer}}',
  } as const;

  test('takes the grader and the hyperparameters of OpenAI, and tells rewards', async () => {
    const server = await startServer();
    server.engine.measures = { reward: 0.5, answerTokens: 3 };
    const { client } = server;
    const training_file = await uploadExamples(server, rows);
    const job = await client.fineTuning.jobs.create({
      ...{ model: 'base', training_file },
      method: {
        type: 'reinforcement',
        reinforcement: {
          grader,
          hyperparameters: { n_epochs: 2, batch_size: 2, compute_multiplier: 4, eval_interval: 1 },
        },
      },
    });
    expect(job.method).toEqual({
      type: 'reinforcement',
      reinforcement: {
        grader,
        hyperparameters: {
          ...{ n_epochs: 2, batch_size: 2, learning_rate_multiplier: 'auto', compute_multiplier: 4, eval_interval: 1 },
        },
      },
    });
    await jobWithStatus(server, job.id, 'succeeded');
    expect(server.engine.trainRequests[0]).toMatchObject({
      configuration: { objective: 'reward', queries: 4, evaluateEvery: 1, steps: 2 },
      grader,
    });
    const { data } = await client.fineTuning.jobs.listEvents(job.id, { limit: 100 });
    const metrics = data.filter(({ type }) => type === 'metrics').map((event) => event.data);
    expect(metrics).toContainEqual(expect.objectContaining({ step: 2, train_reward: 0.5, train_answer_tokens: 3 }));
    expect(data.map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/^Step 2: validation loss=[\d.]+, reward=0\.5000$/),
    );
  });

  test('refuses what has no meaning by name', async () => {
    const server = await startServer();
    const training_file = await uploadExamples(server, rows);
    const start = (method: object) => post(server, jobsPath, { model: 'base', training_file, method });
    const reinforcement = (own: object) => start({ type: 'reinforcement', reinforcement: { grader, ...own } });
    const path = 'method.reinforcement';
    for (const [response, param] of [
      [reinforcement({ hyperparameters: { reasoning_effort: 'low' } }), `${path}.hyperparameters.reasoning_effort`],
      [reinforcement({ response_format: { type: 'json_object' } }), `${path}.response_format`],
      [reinforcement({ grader: { ...grader, operation: 'is' } }), `${path}.grader.operation`],
      [reinforcement({ grader: { type: 'python', name: 'p', source: 'x' } }), `${path}.grader.type`],
      [start({ type: 'reinforcement', reinforcement: {} }), `${path}.grader`],
      [
        start({ type: 'zeroth_order', zeroth_order: { grader, hyperparameters: { objective: 'dpo' } } }),
        'method.zeroth_order.grader',
      ],
      [
        start({ type: 'zeroth_order', zeroth_order: { hyperparameters: { objective: 'reward' } } }),
        'method.zeroth_order.grader',
      ],
    ] as const) {
      expect((await expectError(await response, 400)).param).toBe(param);
    }
    const judge = { type: 'label_model', name: 'j', model: 'elsewhere', input: [{ role: 'user', content: 'x' }] };
    const asked = await reinforcement({ grader: { ...judge, labels: ['a', 'b'], passing_labels: ['a'] } });
    const error = await expectError(asked, 400);
    expect(error).toMatchObject({ param: `${path}.grader.model`, message: expect.stringContaining('"elsewhere"') });
  });
});

describe('the first row of a file', () => {
  const grader = {
    type: 'string_check',
    name: 'same',
    operation: 'eq',
    input: '{{sample.output_text}}',
    reference: 'a',
  };
  const methods = {
    supervised: { type: 'supervised' },
    dpo: { type: 'dpo' },
    reinforcement: { type: 'reinforcement', reinforcement: { grader } },
    zeroth_order: { type: 'zeroth_order', zeroth_order: { hyperparameters: { steps: 2 } } },
  };
  const files = {
    prompts: [{ prompt: 'The film was', answer: 'great' }],
    completions: trainingLines,
    preferences: [{ prompt: 'It was', chosen: 'great', rejected: 'bad' }],
  };
  const fits = {
    supervised: ['completions', 'preferences'],
    dpo: ['preferences'],
    reinforcement: ['prompts', 'completions', 'preferences'],
    zeroth_order: ['completions', 'preferences'],
  };

  test('decides whether a job is taken', async () => {
    const server = await startServer();
    for (const [kind, lines] of Object.entries(files)) {
      const file = await uploadExamples(server, lines);
      for (const [name, method] of Object.entries(methods)) {
        const response = await post(server, jobsPath, { model: 'base', training_file: file, method });
        if (fits[name as keyof typeof fits].includes(kind)) {
          expect({ kind, name, status: response.status }).toEqual({ kind, name, status: 200 });
          continue;
        }
        const { message, param, code } = await expectError(response, 400);
        expect({ param, code }).toEqual({ param: 'training_file', code: 'invalid_training_file' });
        expect(message).toMatch(/^train\.jsonl:1: the objective "(auto|dpo)" learns from .*, and \{/);
        if (kind === 'prompts')
          expect(message).toContain('has no answer; prompts alone are for the method "reinforcement"');
      }
    }
  });

  test('of a validation file has an answer; of a table it is read by the columns of the job', async () => {
    const server = await startServer();
    const [prompts, completions, preferences] = await Promise.all(
      Object.values(files).map((lines) => uploadExamples(server, lines)),
    );
    const job = { model: 'base', training_file: preferences, method: methods.dpo };
    const refused = await post(server, jobsPath, { ...job, validation_file: prompts });
    expect((await expectError(refused, 400)).param).toBe('validation_file');
    expect((await post(server, jobsPath, { ...job, validation_file: completions })).status).toBe(200);
    const file = await toFile(Buffer.from('question,answer\nwhy,so\n'), 'table.csv');
    const { id } = await server.client.files.create({ file, purpose: 'fine-tune' });
    const unmapped = await expectError(await post(server, jobsPath, jobBody(id)), 400);
    expect(unmapped.message).toMatch(/^table\.csv:2: unknown row with fields/);
    const columns = ['prompt=question', 'completion=answer'];
    expect((await post(server, jobsPath, jobBody(id, { columns }))).status).toBe(200);
  });
});
