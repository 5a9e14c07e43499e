/**
 * The same life of a server on Node, Bun and Deno: run by `runtimes.test.ts`, prints what went wrong, exits with 0 or
 * 1.
 *
 * @module
 */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from '../../server/serve.ts';
import { FakeEngine } from './fake-engine.ts';

const temporary = mkdtempSync(join(tmpdir(), 'subzero-runtime-'));
const dataDirectory = join(temporary, 'first');
const engine = new FakeEngine();
const common = { engine, port: 0, logLevel: 'silent' as const, graceSeconds: 0.3 };
const server = await serve({ ...common, models: [{ id: 'base', path: 'fake:base' }], dataDirectory });
const port = Number(new URL(server.url).port);
const failures: string[] = [];

function check(what: string, holds: boolean, seen: unknown = ''): void {
  if (!holds) failures.push(`${what} ${String(seen)}`);
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let waited = 0; waited < 3000 && !holds(); waited += 10) await sleep(10);
  check(what, holds());
}

function post(path: string, body: object, signal?: AbortSignal): Promise<Response> {
  return fetch(server.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
}

async function upload(text: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const form = new FormData();
  form.set('file', new Blob([text]), 'a.jsonl');
  form.set('purpose', 'fine-tune');
  const response = await fetch(`${server.url}/v1/files`, { method: 'POST', body: form });
  return { status: response.status, body: await response.json() };
}

const completion = { model: 'base', prompt: 'x', max_tokens: 2 };
const plain = await post('/v1/completions', completion);
check('a completion', (await plain.json()).choices[0].text === 'ab');
const streamed = await (await post('/v1/completions', { ...completion, stream: true })).text();
check('a stream', streamed.includes('"text":"b"') && streamed.endsWith('data: [DONE]\n\n'), streamed);

const dashboard = await fetch(`${server.url}/`);
check('the dashboard', (await dashboard.text()).startsWith('<!doctype html>'), dashboard.status);
const script = await fetch(`${server.url}/dashboard/application.js`);
check('its script', script.headers.get('content-type') === 'text/javascript; charset=utf-8', script.status);
await script.body?.cancel();

const good = await upload('{"prompt":"a","completion":"b"}\n'.repeat(5000));
check('an upload', good.status === 200 && good.body.lines === 5000, JSON.stringify(good));
const bad = await upload('x\n'.repeat(500_000));
check('a faulty upload', bad.status === 400, JSON.stringify(bad));

const created = await post('/v1/fine_tuning/jobs', { model: 'base', training_file: good.body.id });
const job = await created.json();
const cancelled = await fetch(`${server.url}/v1/fine_tuning/jobs/${job.id}/cancel`, { method: 'POST' });
check('cancel', (await cancelled.json()).status === 'cancelled');
const method = { type: 'zeroth_order', zeroth_order: { hyperparameters: { steps: 3 } } };
const second = await (
  await post('/v1/fine_tuning/jobs', { model: 'base', training_file: good.body.id, method })
).json();
const events = await (await fetch(`${server.url}/v1/fine_tuning/jobs/${second.id}/events?stream=true`)).text();
check('events', events.includes('Step 3/3') && events.endsWith('data: [DONE]\n\n'), events);
const done = await (await fetch(`${server.url}/v1/fine_tuning/jobs/${second.id}`)).json();
const tuned = await (await post('/v1/completions', { ...completion, model: done.fine_tuned_model })).json();
check('the tuned model', tuned.choices?.[0].text === 'AB', JSON.stringify(tuned));

engine.tokenMilliseconds = 5;
for (const stream of [true, false]) {
  const leave = new AbortController();
  const answer = post('/v1/completions', { ...completion, max_tokens: 400, stream }, leave.signal);
  answer.catch(() => {});
  if (stream) await (await answer).body!.getReader().read();
  await until(`generating, stream ${stream}`, () => engine.generating === 1);
  leave.abort();
  await until(`a dropped connection, stream ${stream}`, () => engine.generating === 0);
}
check('aborted generations', engine.aborted === 2, engine.aborted);

const incoming = () => readdirSync(join(dataDirectory, 'files', 'incoming')).length;
const part = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{"text":"a"}\n';
const socket = connect(port, '127.0.0.1');
socket.write(
  'POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n' +
    `Transfer-Encoding: chunked\r\n\r\n${part.length.toString(16)}\r\n${part}\r\n`,
);
await until('half an upload', () => incoming() === 1);
socket.destroy();
await until('half an upload is removed', () => incoming() === 0);

const rebound = await new Promise<string>((resolve) => {
  const visitor = connect(port, '127.0.0.1');
  visitor.once('data', (data) => {
    visitor.destroy();
    resolve(String(data));
  });
  visitor.write('GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n');
});
check('a foreign host', rebound.startsWith('HTTP/1.1 403'), rebound);

const taken = serve({ ...common, models: [], port, dataDirectory: join(temporary, 'second') });
const refusal = await taken.then(
  () => 'it listens',
  (error) => String(error.message),
);
check('a taken port', refusal.includes('another program uses that port'), refusal);

const long = (await post('/v1/completions', { ...completion, max_tokens: 500, stream: true })).text();
await server.close();
check('a stopping server says so', (await long).includes('The server is stopping'));
await fetch(`${server.url}/health`).then(
  () => failures.push('the server still answers'),
  () => {},
);

rmSync(temporary, { recursive: true, force: true });
for (const failure of failures) console.log(`failed: ${failure}`);
console.log(`${failures.length} failures`);
process.exit(failures.length === 0 ? 0 : 1);
