/**
 * SIGKILL in the middle of a job of the real engine: the next server goes on, and the job ends as an undisturbed one
 * does.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { expect, onTestFinished, test } from 'vitest';
import { openJournal } from '../../src/zo/journal.ts';
import { temporaryDirectory, until } from './harness.ts';
import { sentimentExamples, startRealServer, upload, zerothOrderJob } from './real-server.ts';

const steps = 40;

/** The events of type metrics, without what the clock says. */
async function metricsOf(client: OpenAI, id: string) {
  const metrics: Record<string, unknown>[] = [];
  for await (const event of client.fineTuning.jobs.listEvents(id, { limit: 100 })) {
    if (event.type !== 'metrics') continue;
    const values = event.data as Record<string, unknown>;
    metrics.push(Object.fromEntries(Object.entries(values).filter(([name]) => !/second|eta|elapsed/.test(name))));
  }
  return metrics.reverse();
}

async function succeeded(client: OpenAI, id: string) {
  const job = await until(
    () => client.fineTuning.jobs.retrieve(id),
    ({ status }) => ['succeeded', 'failed', 'cancelled'].includes(status),
    60,
  );
  expect({ status: job.status, error: job.error }).toEqual({ status: 'succeeded', error: null });
  return job;
}

test('killed in mid-job, a server goes on from the journal and ends with the same numbers', async () => {
  const dataDirectory = temporaryDirectory();
  const script = fileURLToPath(new URL('killed-real-server.ts', import.meta.url));
  const child = spawn(process.execPath, [script, dataDirectory], { stdio: ['ignore', 'pipe', 'ignore'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [address] = (await once(child.stdout, 'data')) as [Buffer];
  const killed = new OpenAI({ baseURL: `${String(address).trim()}/v1`, apiKey: 'unused', maxRetries: 0 });
  const examples = sentimentExamples(6);
  const trainingFile = await upload(killed, examples);
  const validationFile = await upload(killed, examples.slice(0, 2), 'valid.jsonl');
  const body = zerothOrderJob(
    trainingFile,
    { steps, learning_rate: 5e-5, refresh_interval: 7, evaluate_every: 10 },
    { validation_file: validationFile, seed: 8 },
  );
  const { id } = await killed.fineTuning.jobs.create(body);
  const seen = await until(
    () => metricsOf(killed, id),
    (metrics) => metrics.length >= 12,
    60,
  );
  child.kill('SIGKILL');
  await once(child, 'close');
  const journalOf = (job: string) => join(dataDirectory, 'runs', job, 'journal.subzero');
  const left = (await openJournal(journalOf(id))).records.length;
  expect(left).toBeGreaterThanOrEqual(10);
  expect(left).toBeLessThan(steps);

  const server = await startRealServer({ dataDirectory });
  onTestFinished(() => server.close());
  const { client } = server;
  const resumed = await succeeded(client, id);
  const undisturbed = await succeeded(client, (await client.fineTuning.jobs.create(body)).id);

  const [one, other] = await Promise.all(
    [id, undisturbed.id].map(async (job) => (await openJournal(journalOf(job))).records),
  );
  expect(one).toHaveLength(steps);
  expect(one).toEqual(other);

  expect(one!.every(({ projectedGradients }) => projectedGradients[0] !== 0)).toBe(true);

  const metrics = await metricsOf(client, id);
  expect(metrics.slice(0, seen.length)).toEqual(seen);
  expect(metrics).toEqual(await metricsOf(client, undisturbed.id));
  expect(resumed.result_files).toHaveLength(undisturbed.result_files.length);

  const answers = await Promise.all(
    [resumed, undisturbed].map(({ fine_tuned_model: model }) =>
      client.completions.create({
        model: model!,
        prompt: examples[0]!.prompt,
        max_tokens: 4,
        temperature: 0,
        logprobs: 1,
      }),
    ),
  );
  expect(answers[0]!.choices).toEqual(answers[1]!.choices);
  expect(answers[0]!.choices[0]!.text).toMatch(/\S/);
});
