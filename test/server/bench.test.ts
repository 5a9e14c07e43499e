import { describe, expect, test } from 'vitest';
import { expectError, jobBody, startServer, type TestServer, until, uploadExamples } from './harness.ts';

function bench({ url }: TestServer, body: object = {}, signal?: AbortSignal): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(`${url}/v1/bench`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
}

test('answers with the table', async () => {
  const server = await startServer();
  const response = await bench(server);
  expect(response.status).toBe(200);
  const times = {
    ...{ gpu_milliseconds: null, wall_milliseconds: 2, gigaflops_per_second: 3, gigabytes_per_second: 4 },
    ...{ error: 1e-9, roofline_share: 0.5 },
  };
  expect(await response.json()).toEqual({
    ...{ object: 'bench', adapter: 'fake adapter', suite: 'quick', seed: 1, disturbed: false, wrong: [] },
    roofline: { bytes_per_second: 1e9, flops_per_second: 2e9 },
    cases: [
      { operation: 'norm', name: 'small', ...times },
      { operation: 'linear', name: 'large', ...times },
    ],
  });
  const { cases } = (await (await bench(server, { filter: 'norm' })).json()) as { cases: object[] };
  expect(cases).toHaveLength(1);
});

test('tells its progress where that is asked for', async () => {
  const server = await startServer();
  const text = await (await bench(server, { stream: true, filter: 'linear' })).text();
  const events = text.split('\n\n').slice(0, -1);
  expect(events).toHaveLength(3);
  expect(JSON.parse(events[0]!.slice(6))).toEqual({ object: 'bench.case', case: 'linear: large', done: 0, total: 1 });
  expect(JSON.parse(events[1]!.slice(6))).toMatchObject({ object: 'bench', cases: [{ name: 'large' }] });
  expect(events[2]).toBe('data: [DONE]');
  const failed = await (await bench(server, { stream: true, filter: 'nothing' })).text();
  expect(JSON.parse(failed.slice(6))).toMatchObject({ error: { type: 'invalid_request_error' } });
});

describe('is refused', () => {
  test('beyond its bounds', async () => {
    const server = await startServer();
    for (const [field, value] of Object.entries({ suite: 'all', seconds: 2, filter: 'x'.repeat(300), repeat: 3 })) {
      expect((await expectError(await bench(server, { [field]: value }), 400)).param).toBe(field);
    }
    await expectError(await bench(server, { filter: 'no such kernel' }), 400);
  });

  test('while a job runs, texts are generated or another one runs', async () => {
    const server = await startServer();
    server.engine.stepMilliseconds = 20;
    const file = await uploadExamples(server);
    const { id } = await server.client.fineTuning.jobs.create(jobBody(file, { steps: 1000 }));
    await until(
      () => server.client.fineTuning.jobs.retrieve(id),
      ({ status }) => status === 'running',
    );
    const error = await expectError(await bench(server), 409);
    expect(error.message).toContain(id);
    expect(error.code).toBe('conflict');
    await server.client.fineTuning.jobs.cancel(id);

    server.engine.tokenMilliseconds = 20;
    const stream = await server.client.completions.create({
      model: 'base',
      prompt: 'x',
      max_tokens: 100,
      stream: true,
    });
    await stream[Symbol.asyncIterator]().next();
    expect((await expectError(await bench(server), 409)).message).toContain('being generated');
    stream.controller.abort();
    await until(
      () => server.engine.generating,
      (count) => count === 0,
    );

    server.engine.stepMilliseconds = 300;
    const first = bench(server);
    await until(
      () => server.engine.benching,
      (count) => count === 1,
    );
    expect((await expectError(await bench(server), 409)).message).toContain('another benchmark');
    expect((await first).status).toBe(200);
    server.engine.stepMilliseconds = 0;
    expect((await bench(server)).status).toBe(200);
  });
});

test.each([false, true])('ends when its connection is closed (stream: %s)', async (stream) => {
  const server = await startServer();
  server.engine.stepMilliseconds = 60_000;
  const abort = new AbortController();
  const request = bench(server, { stream }, abort.signal).then((response) => response.text());
  await until(
    () => server.engine.benching,
    (count) => count === 1,
  );
  abort.abort();
  await expect(request).rejects.toThrow();
  await until(
    () => server.engine.benching,
    (count) => count === 0,
  );
  server.engine.stepMilliseconds = 0;
  expect((await bench(server)).status).toBe(200);
});
