import { join } from 'node:path';
import type OpenAI from 'openai';
import { expect, test } from 'vitest';
import { Metrics } from '../../server/metrics.ts';
import { openStore } from '../../server/store.ts';
import { jobBody, jobWithStatus, startServer, until, uploadExamples } from './harness.ts';

const member = {
  ...{ name: 'left:1', adapter: 'an "adapter"', here: true, shards: 3, stepsPerSecond: 0.5, tokensPerSecond: 40 },
  ...{ lag: 0, waitingShare: 0.25, bytesPerStep: 0, differs: false, refused: 0 },
};
const worker = { ...member, name: 'right:2', here: false, lag: 2, bytesPerStep: 700, differs: true, refused: 1 };

test('who takes part in a job is in its description and in the metrics while it runs', async () => {
  const server = await startServer();
  const { client, engine } = server;
  engine.stepMilliseconds = 20;
  const report = { type: 'cluster' as const, step: 1, stepsPerSecond: 1, bytesPerStep: 900, members: [member, worker] };
  engine.cluster = report;
  const { id } = await client.fineTuning.jobs.create(jobBody(await uploadExamples(server), { steps: 1000 }));
  const get = async (path: string) => await fetch(`${server.url}${path}`);
  type Described = { cluster?: { workers: Record<string, unknown>[]; bytes_per_step: number } };
  const describe = async () => (await (await get(`/v1/fine_tuning/jobs/${id}`)).json()) as Described;
  await until(describe, (job) => job.cluster !== undefined);
  const { cluster } = await describe();
  expect(cluster).toMatchObject({ steps_per_second: 1, bytes_per_step: 900 });
  expect(cluster!.workers).toEqual([
    expect.objectContaining({ name: 'left:1', leader: true, steps_per_second: 0.5, tokens_per_second: 40 }),
    {
      ...{ name: 'right:2', adapter: 'an "adapter"', leader: false, shards: 3, steps_per_second: 0.5 },
      ...{ tokens_per_second: 40, lag: 2, waiting_share: 0.25, bytes_per_step: 700, differs: true, refused: 1 },
    },
  ]);
  const series = (name: string, value: number) =>
    `subzero_cluster_worker_${name}{worker="right:2",adapter="an \\"adapter\\""} ${value}`;
  const page = await (await get('/metrics')).text();
  expect(page).toContain(series('lag_steps', 2));
  expect(page).toContain(series('waiting_ratio', 0.25));
  expect(page).toContain('subzero_cluster_workers 2');
  // The one that leaves is not on the page any more.
  engine.cluster = { ...report, members: [member] };
  await until(
    async () => await (await get('/metrics')).text(),
    (text) => !text.includes('right:2'),
  );
  await client.fineTuning.jobs.cancel(id);
  await jobWithStatus(server, id, 'cancelled');
  expect((await describe()).cluster).toBeUndefined();
  expect(await (await get('/metrics')).text()).toContain('subzero_cluster_workers 0');
});

test('a job that compares with its base, or generates, trains on the server itself, which says so', async () => {
  const server = await startServer({ cluster: { url: 'nats://nowhere:1' } });
  const { client, engine } = server;
  const file = await uploadExamples(server);
  const events = async (id: string) =>
    (await client.fineTuning.jobs.listEvents(id, { limit: 100 })).data.map(({ message }) => message).join('\n');
  const train = async (hyperparameters: Record<string, unknown>) => {
    const { id } = await client.fineTuning.jobs.create(jobBody(file, hyperparameters));
    await jobWithStatus(server, id, 'succeeded');
    return { told: await events(id), request: engine.trainRequests.at(-1)! };
  };
  const shared = await train({});
  expect(shared.request).toMatchObject({ cluster: { url: 'nats://nowhere:1' } });
  expect(shared.told).not.toMatch(/cluster/);
  const anchored = await train({ anchor: 0.5 });
  expect(anchored.request).not.toHaveProperty('cluster');
  expect(anchored.told).toMatch(/The cluster takes no part in this job, as anchor 0.5 needs what the base says/);
  const answer = (content: string) => [{ role: 'assistant', content }];
  const row = (text: string) => ({
    input: { messages: [{ role: 'user', content: text }], tools: [], parallel_tool_calls: true },
    preferred_output: answer('yes'),
    non_preferred_output: answer('no'),
  });
  const preferences = await uploadExamples(server, [row('a'), row('b'), row('c'), row('d')]);
  const body = {
    model: 'base',
    training_file: preferences,
    method: { type: 'dpo' as const, dpo: { hyperparameters: { n_epochs: 1 } } },
  };
  const { id } = await client.fineTuning.jobs.create(body);
  await jobWithStatus(server, id, 'succeeded');
  expect(engine.trainRequests.at(-1)).not.toHaveProperty('cluster');
  expect(await events(id)).toMatch(/The cluster takes no part in this job, as objective dpo needs what the base says/);
  const grader = { type: 'string_check', name: 'g', input: '{{sample.output_text}}', reference: 'x', operation: 'eq' };
  const prompts = await uploadExamples(server, [
    { messages: [{ role: 'user', content: 'a' }] },
    { messages: [{ role: 'user', content: 'b' }] },
  ]);
  const rewarded = await client.fineTuning.jobs.create({
    ...{ model: 'base', training_file: prompts },
    method: { type: 'reinforcement', reinforcement: { grader, hyperparameters: { n_epochs: 1 } } },
  } as OpenAI.FineTuning.JobCreateParams);
  await jobWithStatus(server, rewarded.id, 'succeeded');
  expect(engine.trainRequests.at(-1)).not.toHaveProperty('cluster');
  expect(await events(rewarded.id)).toMatch(/takes no part in this job, as objective reward generates answers/);
});

test('a job that an earlier version left in the queue, without settings that came later, is shared', async () => {
  const first = await startServer();
  const { id } = await first.client.fineTuning.jobs.create(jobBody(await uploadExamples(first)));
  await jobWithStatus(first, id, 'succeeded');
  await first.close();
  const store = openStore(join(first.dataDirectory, 'subzero.db'));
  const job = store.job(id)!;
  const { objective: _, anchor: __, ...configuration } = job.configuration;
  store.updateJob({ ...job, status: 'queued', step: 0, configuration: configuration as typeof job.configuration });
  store.close();
  const cluster = { url: 'nats://nowhere:1' };
  const second = await startServer({ dataDirectory: first.dataDirectory, cluster });
  await jobWithStatus(second, id, 'succeeded');
  expect(second.engine.trainRequests.at(-1)).toMatchObject({ cluster });
});

test('a gauge that is replaced keeps nothing of before', () => {
  const metrics = new Metrics();
  metrics.replace('speed', 'How fast.', [{ labels: { of: 'a' }, value: 1 }]);
  metrics.replace('speed', 'How fast.', [{ labels: { of: 'b' }, value: 2 }]);
  expect(metrics.text()).toBe('# HELP speed How fast.\n# TYPE speed gauge\nspeed{of="b"} 2\n');
});
