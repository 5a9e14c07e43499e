/**
 * The bytes of event streams, compared with recorded ones: what a client's parser sees must not change unnoticed.
 * `SUBZERO_RECORD=1` records them anew.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { jobBody, jobWithStatus, startServer, type TestServer, uploadExamples } from './harness.ts';

/** Names and times that differ from run to run, each replaced by what it is. */
const changing: [RegExp, string][] = [
  [/\b(chatcmpl|cmpl|ftjob|file|ftevent|ftckpt|ft)-[A-Za-z0-9]{12,}/g, '$1-ID'],
  [/"created(_at)?":\d+/g, '"created$1":TIME'],
  [/^id: .*$/gm, 'id: ID'],
  [/"(elapsed_seconds|eta_seconds|tokens_per_second|seconds)":[-+.\de]+/g, '"$1":NUMBER'],
  // How often it comes depends on the machine.
  [/: heartbeat\n\n/g, ''],
];

async function compareWithRecorded(name: string, response: Response): Promise<void> {
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  const text = changing.reduce((all, [pattern, by]) => all.replace(pattern, by), await response.text());
  const file = fileURLToPath(new URL(`../fixtures/streams/${name}.txt`, import.meta.url));
  if (process.env.SUBZERO_RECORD) writeFileSync(file, text);
  expect(text).toBe(readFileSync(file, 'utf8'));
}

function post({ url }: TestServer, path: string, body: object): Promise<Response> {
  return fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

test('completions, with log-probabilities and usage', async () => {
  const server = await startServer();
  const body = { model: 'base', prompt: 'go', max_tokens: 3, logprobs: 2, n: 1, seed: 1, stream: true };
  const response = await post(server, '/v1/completions', { ...body, stream_options: { include_usage: true } });
  await compareWithRecorded('completions', response);
});

test('chat completions', async () => {
  const server = await startServer();
  const messages = [{ role: 'user', content: 'Say “é”.' }];
  const body = { model: 'base', messages, max_completion_tokens: 4, seed: 1, stream: true };
  await compareWithRecorded('chat-completions', await post(server, '/v1/chat/completions', body));
});

test('a failure on the way', async () => {
  const server = await startServer();
  server.engine.generationFailure = { after: 2, error: new Error('a defect') };
  const body = { model: 'base', prompt: 'go', max_tokens: 5, stream: true };
  await compareWithRecorded('failure', await post(server, '/v1/completions', body));
});

test('events of a job', async () => {
  const server = await startServer();
  const file = await uploadExamples(server);
  const { id } = await server.client.fineTuning.jobs.create(jobBody(file, { steps: 2 }));
  await jobWithStatus(server, id, 'succeeded');
  await compareWithRecorded('job-events', await fetch(`${server.url}/v1/fine_tuning/jobs/${id}/events?stream=true`));
});
