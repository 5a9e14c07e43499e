import { describe, expect, test } from 'vitest';
import { expectError, jsonLines, post, startServer, type TestServer, until } from './harness.ts';

const data = [{ prompt: 'The film was', completion: ' great' }];

async function create(server: { url: string }, hyperparameters: object = {}): Promise<string> {
  const response = await post(server, '/v1/zo/runs', { model: 'base', hyperparameters });
  expect(response.status).toBe(200);
  return ((await response.json()) as { id: string }).id;
}

async function call(server: { url: string }, path: string, body: unknown) {
  const response = await post(server, `/v1/zo/runs/${path}`, body);
  expect(response.status, path).toBe(200);
  return (await response.json()) as Record<string, unknown>;
}

function replay(server: { url: string }, id: string, body: string, query = '') {
  return post(server, `/v1/zo/runs/${id}/trajectory${query}`, body, { 'content-type': 'application/x-ndjson' });
}

const trajectory = async (server: { url: string }, id: string) =>
  (await fetch(`${server.url}/v1/zo/runs/${id}/trajectory`)).text();

const describeRun = async (server: { url: string }, id: string) =>
  (await (await fetch(`${server.url}/v1/zo/runs/${id}`)).json()) as { step: number; hyperparameters: object };

describe('runs', () => {
  test('are created, described, listed, deleted; only so many live', async () => {
    const server = await startServer({ limits: { stepRuns: 2 } });
    const first = await create(server, { optimizer: 'mezo', learning_rate: 0.5, steps: 7 });
    const second = await create(server);
    const described = await describeRun(server, first);
    expect(described).toMatchObject({ id: first, object: 'zo.run', model: 'base', step: 0 });
    expect(described.hyperparameters).toMatchObject({ optimizer: 'mezo', learning_rate: 0.5, steps: 7 });
    expect(described.hyperparameters).not.toHaveProperty('batch_size');
    const full = await expectError(await post(server, '/v1/zo/runs', { model: 'base' }), 400);
    expect(full.code).toBe('too_many_runs');

    const list = async (query: string) =>
      (await (await fetch(`${server.url}/v1/zo/runs${query}`)).json()) as { data: { id: string }[]; has_more: boolean };
    expect((await list('')).data.map(({ id }) => id)).toEqual([second, first]);
    expect(await list('?limit=1')).toMatchObject({ has_more: true, data: [{ id: second }] });
    expect(await list(`?after=${second}`)).toMatchObject({ has_more: false, data: [{ id: first }] });
    await expectError(await fetch(`${server.url}/v1/zo/runs?after=none`), 404);

    const deletion = await fetch(`${server.url}/v1/zo/runs/${first}`, { method: 'DELETE' });
    expect(await deletion.json()).toEqual({ id: first, object: 'zo.run', deleted: true });
    expect(server.engine.unloaded).toEqual([first]);
    await expectError(await fetch(`${server.url}/v1/zo/runs/${first}`), 404);
    await create(server);
    // A run is no model that others can name.
    await expectError(await post(server, '/v1/completions', { model: second, prompt: 'a' }), 404);
    await server.close();
    expect(server.engine.unloaded).toHaveLength(3);
  });

  test('settings and models that cannot be are refused with the field', async () => {
    const server = await startServer();
    for (const [body, param] of [
      [{ model: 'nope' }, 'model'],
      [{ model: 'base', hyperparameters: { rank: 0 } }, 'hyperparameters.rank'],
      [{ model: 'base', hyperparameters: { batch_size: 4 } }, 'hyperparameters.batch_size'],
      [{ model: 'base', hyperparameters: { steps: 1_000_000, queries: 2 } }, 'hyperparameters.steps'],
      [{ model: 'base', learning_rate: 1 }, 'learning_rate'],
      [{}, 'model'],
    ] as const) {
      expect((await expectError(await post(server, '/v1/zo/runs', body), 400)).param).toBe(param);
    }
  });

  test('an Idempotency-Key makes one run', async () => {
    const server = await startServer();
    const make = () => post(server, '/v1/zo/runs', { model: 'base' }, { 'idempotency-key': 'k' });
    const [first, second] = await Promise.all([make(), make()]);
    expect(await second.json()).toEqual(await first.json());
    expect(((await (await fetch(`${server.url}/v1/zo/runs`)).json()) as { data: object[] }).data).toHaveLength(1);
  });
});

describe('steps', () => {
  test('forward and probe move nothing, apply and step do; the trajectory has them', async () => {
    const server = await startServer();
    const id = await create(server, { seed: 9, queries: 2, learning_rate: 0.125 });
    expect(await call(server, `${id}/forward`, { data })).toMatchObject({ step: 0, loss: 1, accuracy: null });
    const probe = await call(server, `${id}/probe`, { data, step: 1 });
    expect(probe).toMatchObject({ step: 1, loss_plus: [1.25, 1.25], loss_minus: [0.75, 0.75], loss_center: null });
    expect((await describeRun(server, id)).step).toBe(0);
    const applied = await call(server, `${id}/apply`, { step: 1, projected_gradients: [1, -2], learning_rate: 0.5 });
    expect(applied).toMatchObject({ step: 1, projected_gradients: [1, -2], learning_rate: 0.5, curvatures: null });
    expect(await call(server, `${id}/step`, { data })).toMatchObject({ step: 2, learning_rate: 0.125 });
    expect((await describeRun(server, id)).step).toBe(2);
    const lines = await trajectory(server, id);
    expect(lines).toBe(
      jsonLines([
        { step: 1, seed: 9, learning_rate: 0.5, projected_gradients: [1, -2] },
        { step: 2, seed: 9, learning_rate: 0.125, projected_gradients: [0.25, 0.25] },
      ]),
    );
    const other = await create(server, { seed: 9, queries: 2 });
    expect(await (await replay(server, other, lines)).json()).toMatchObject({ id: other, step: 2 });
    expect(await trajectory(server, other)).toBe(lines);
  });

  test('a sample is a text of the run', async () => {
    const server = await startServer();
    const id = await create(server);
    const sample = await call(server, `${id}/sample`, { prompt: 'x', max_tokens: 3, seed: 0 });
    // Capital letters: what the fake says of tuned models.
    expect(sample).toMatchObject({ text: 'ABC', finish_reason: 'length', usage: { completion_tokens: 3 } });
    expect((await call(server, `${id}/sample`, { prompt: [97, 98], stop: 'C', seed: 0 })).text).toBe('AB');
    await expectError(await post(server, `/v1/zo/runs/${id}/sample`, { prompt: [9999] }), 400);
  });

  test('bounds of requests', async () => {
    const server = await startServer();
    const id = await create(server);
    for (const [operation, body, param] of [
      ['forward', {}, 'data'],
      ['forward', { data: [] }, 'data'],
      ['forward', { data: Array.from({ length: 1025 }, () => data[0]) }, 'data'],
      ['probe', { data, step: 0 }, 'step'],
      ['apply', { projected_gradients: [1e39] }, 'projected_gradients.0'],
      ['apply', '{"projected_gradients": [1e999]}', 'projected_gradients.0'],
      ['apply', { projected_gradients: [1], learning_rate: 11 }, 'learning_rate'],
      ['apply', { projected_gradients: [1], seq_id: -1 }, 'seq_id'],
      ['step', { data, learning_rat: 1 }, 'learning_rat'],
      ['sample', { prompt: 'a', n: 2 }, 'n'],
    ] as const) {
      const error = await expectError(await post(server, `/v1/zo/runs/${id}/${operation}`, body), 400);
      expect(error.param).toBe(param);
    }
    await expectError(await post(server, '/v1/zo/runs/none/forward', { data }), 404);
    expect((await describeRun(server, id)).step).toBe(0);
  });

  test('a trajectory is checked line by line', async () => {
    const server = await startServer();
    const id = await create(server, { seed: 3 });
    const good = { step: 1, seed: 3, learning_rate: 0.5, projected_gradients: [1] };
    for (const [text, words] of [
      ['', 'no lines'],
      ['{"step":', 'Line 1 of the trajectory: not valid JSON'],
      [jsonLines([good, { ...good, step: 'two' }]), 'Line 2 of the trajectory: "step" is invalid'],
      [jsonLines([{ ...good, seed: 4 }]), 'Line 1 of the trajectory: its seed is 4'],
      [jsonLines([{ ...good, rho: 1 }]), 'Unknown field "rho"'],
    ] as const) {
      expect((await expectError(await replay(server, id, text), 400)).message).toContain(words);
    }
    await expectError(await post(server, `/v1/zo/runs/${id}/trajectory`, jsonLines([good])), 415);
    expect((await replay(server, id, jsonLines([good]))).status).toBe(200);
  });
});

describe('seq_id', () => {
  const number = { seq_id: 5 };

  test('a repeat gets the same answer and happens once, also while the first is under way', async () => {
    const server = await startServer();
    const id = await create(server);
    server.engine.stepMilliseconds = 50;
    const [first, second] = await Promise.all([
      call(server, `${id}/step`, { data, ...number }),
      call(server, `${id}/step`, { data, ...number }),
    ]);
    expect(second).toEqual(first);
    await call(server, `${id}/step`, { data, seq_id: 6 });
    expect(await call(server, `${id}/step`, { data, ...number })).toEqual(first);
    expect((await describeRun(server, id)).step).toBe(2);
    const line = jsonLines([{ step: 3, learning_rate: 0.5, projected_gradients: [1] }]);
    const [once, twice] = [await replay(server, id, line, '?seq_id=7'), await replay(server, id, line, '?seq_id=7')];
    expect(await twice.json()).toEqual(await once.json());
    expect((await describeRun(server, id)).step).toBe(3);
  });

  test('another body or another operation under the same number is refused', async () => {
    const server = await startServer();
    const id = await create(server);
    await call(server, `${id}/step`, { data, ...number });
    for (const [operation, body] of [
      ['step', { data: [...data, ...data], ...number }],
      ['probe', { data, ...number }],
      ['sample', { prompt: 'a', ...number }],
    ] as const) {
      const error = await expectError(await post(server, `/v1/zo/runs/${id}/${operation}`, body), 400);
      expect(error).toMatchObject({ param: 'seq_id', code: 'seq_id_reused' });
    }
    // Another run counts by itself.
    await call(server, `${await create(server)}/probe`, { data, ...number });
  });

  test('a failure is not kept', async () => {
    const server: TestServer = await startServer();
    const id = await create(server);
    await expectError(await post(server, `/v1/zo/runs/${id}/probe`, { data, step: 2, ...number }), 400);
    await call(server, `${id}/step`, { data });
    expect(await call(server, `${id}/probe`, { data, step: 2, ...number })).toMatchObject({ step: 2 });
  });
});

test('the metrics count live runs', async () => {
  const server = await startServer();
  await create(server);
  await until(
    async () => (await fetch(`${server.url}/metrics`)).text(),
    (text) => text.includes('subzero_step_runs 1'),
  );
});
