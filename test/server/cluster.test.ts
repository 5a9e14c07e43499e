import { expect, test } from 'vitest';
import { Metrics } from '../../server/metrics.ts';
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

test('a gauge that is replaced keeps nothing of before', () => {
  const metrics = new Metrics();
  metrics.replace('speed', 'How fast.', [{ labels: { of: 'a' }, value: 1 }]);
  metrics.replace('speed', 'How fast.', [{ labels: { of: 'b' }, value: 2 }]);
  expect(metrics.text()).toBe('# HELP speed How fast.\n# TYPE speed gauge\nspeed{of="b"} 2\n');
});
