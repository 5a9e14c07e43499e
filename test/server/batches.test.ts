/** Batches through OpenAI's client. */

import { appendFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toFile } from 'openai';
import { describe, expect, test } from 'vitest';
import { openStore } from '../../server/store.ts';
import { FakeEngine } from './fake-engine.ts';
import {
  expectError,
  jsonLines,
  post,
  startServer,
  type TestServer,
  temporaryDirectory,
  until,
  uploadExamples,
} from './harness.ts';

interface Line {
  custom_id: string;
  response: { status_code: number; request_id: string; body: { choices: [{ message: { content: string } }] } } | null;
  error: { code: string } | null;
}

const messages = [{ role: 'user', content: 'Hi' }];

function requests(count: number, body: (index: number) => object, url = '/v1/chat/completions') {
  return Array.from({ length: count }, (_, index) => ({
    custom_id: `r${index}`,
    method: 'POST',
    url,
    body: body(index),
  }));
}

const chats = (count: number) =>
  requests(count, (index) => ({ model: 'base', messages, max_completion_tokens: 3, seed: index }));

async function uploadBatch({ client }: TestServer, lines: object[] | string): Promise<string> {
  const text = typeof lines === 'string' ? lines : jsonLines(lines);
  return (await client.files.create({ file: await toFile(Buffer.from(text), 'batch.jsonl'), purpose: 'batch' })).id;
}

async function create(server: TestServer, lines: object[] | string, endpoint = '/v1/chat/completions') {
  const input_file_id = await uploadBatch(server, lines);
  return server.client.batches.create({ input_file_id, endpoint: endpoint as never, completion_window: '24h' });
}

const ended = (server: TestServer, id: string) =>
  until(
    () => server.client.batches.retrieve(id),
    ({ status }) => ['completed', 'failed', 'cancelled', 'expired'].includes(status),
  );

async function linesOf({ client }: TestServer, file: string): Promise<Line[]> {
  const text = await (await client.files.content(file)).text();
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

describe('a batch', () => {
  test('of chats is answered; requests that are refused are in the error file', async () => {
    const server = await startServer({ apiKey: 'secret-key' });
    const wrong = {
      custom_id: 'wrong',
      method: 'POST',
      url: '/v1/chat/completions',
      body: { model: 'none', messages },
    };
    const created = await create(server, [...chats(40), wrong]);
    expect(created).toMatchObject({ object: 'batch', status: 'validating', completion_window: '24h', errors: null });
    const batch = await ended(server, created.id);
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 41, completed: 40, failed: 1 } });
    expect([batch.in_progress_at, batch.finalizing_at, batch.completed_at]).toEqual(Array(3).fill(expect.any(Number)));
    expect(batch.expires_at! - batch.created_at).toBe(24 * 60 * 60);
    const output = await linesOf(server, batch.output_file_id!);
    expect(output.map(({ custom_id }) => custom_id).toSorted()).toEqual(
      chats(40)
        .map(({ custom_id }) => custom_id)
        .toSorted(),
    );
    const third = output.find(({ custom_id }) => custom_id === 'r2')!;
    expect(third).toMatchObject({
      error: null,
      response: { status_code: 200, request_id: expect.stringMatching(/^req_/) },
    });
    // The seed moves the beginning: the answer belongs to its request.
    expect(third.response!.body.choices[0].message.content).toBe('cde');
    const [error, ...others] = await linesOf(server, batch.error_file_id!);
    expect(others).toEqual([]);
    expect(error).toMatchObject({
      custom_id: 'wrong',
      response: { status_code: 404, body: { error: { message: expect.stringContaining('none') } } },
    });
    expect(await server.client.files.retrieve(batch.output_file_id!)).toMatchObject({
      purpose: 'batch_output',
      lines: 40,
    });
    // Its files go when its end is written down.
    await until(
      () => readdirSync(join(server.dataDirectory, 'batches')),
      (names) => names.length === 0,
    );
  });

  test.each([
    {
      endpoint: '/v1/completions',
      body: { model: 'base', prompt: 'Hi', max_tokens: 2 },
      answer: { choices: [{ text: 'ab' }] },
    },
    {
      endpoint: '/v1/embeddings',
      body: { model: 'base', input: 'Hi' },
      answer: { data: [{ embedding: [3, 72, 0.5] }] },
    },
  ])('of $endpoint', async ({ endpoint, body, answer }) => {
    const server = await startServer();
    const batch = await ended(
      server,
      (
        await create(
          server,
          requests(2, () => body, endpoint),
          endpoint,
        )
      ).id,
    );
    expect(batch).toMatchObject({ status: 'completed', error_file_id: null });
    for (const line of await linesOf(server, batch.output_file_id!)) expect(line.response!.body).toMatchObject(answer);
  });

  test('with faulty lines fails, and names them', async () => {
    const server = await startServer();
    const [good] = chats(1);
    const faulty = [
      good,
      good,
      { ...good, custom_id: 'a', method: 'GET' },
      { ...good, custom_id: 'b', url: '/v1/embeddings' },
      { ...good, custom_id: 'c', body: 'x' },
      { ...good, custom_id: 7 },
      { ...good, custom_id: 'd', body: { ...good!.body, stream: true } },
    ];
    const batch = await ended(server, (await create(server, faulty as object[])).id);
    expect(batch).toMatchObject({ status: 'failed', output_file_id: null, request_counts: { total: 0 } });
    expect(batch.errors!.data!.map(({ line, param }) => [line, param])).toEqual([
      [2, 'custom_id'],
      [3, 'method'],
      [4, 'url'],
      [5, 'body'],
      [6, 'custom_id'],
      [7, 'body.stream'],
    ]);
    expect(server.engine.generateRequests).toEqual([]);
  });

  test('that is cancelled keeps what has been answered; the next one runs', async () => {
    const engine = new FakeEngine();
    engine.tokenMilliseconds = 10;
    const server = await startServer({ engine });
    const lines = requests(200, (index) => ({ model: 'base', messages, max_completion_tokens: index < 32 ? 1 : 400 }));
    const { id } = await create(server, lines);
    const next = await create(server, chats(1));
    await until(
      () => server.client.batches.retrieve(id),
      ({ request_counts }) => request_counts!.completed >= 32,
    );
    await expect(server.client.files.delete((await server.client.batches.retrieve(id)).input_file_id)).rejects.toThrow(
      `in use by "${id}"`,
    );
    expect((await server.client.batches.cancel(id)).status).toMatch(/^cancell/);
    const batch = await ended(server, id);
    expect(batch).toMatchObject({ status: 'cancelled', request_counts: { total: 200, completed: 32, failed: 0 } });
    expect(await linesOf(server, batch.output_file_id!)).toHaveLength(32);
    await until(
      () => server.engine.generating,
      (count) => count <= 1,
    );
    expect(await ended(server, next.id)).toMatchObject({ status: 'completed' });
    await expectError(await post(server, `/v1/batches/${id}/cancel`, ''), 400);
  });

  test('goes on after a restart, and answers nothing twice', async () => {
    const dataDirectory = temporaryDirectory();
    const slow = new FakeEngine();
    slow.tokenMilliseconds = 20;
    const first = await startServer({ engine: slow, dataDirectory });
    const lines = requests(80, (index) => ({ model: 'base', messages, max_completion_tokens: index < 32 ? 1 : 20 }));
    const { id } = await create(first, lines);
    await until(
      () => first.client.batches.retrieve(id),
      ({ request_counts }) => request_counts!.completed >= 32,
    );
    await first.close();
    // A line that was being written when the power failed is no answer.
    appendFileSync(join(dataDirectory, 'batches', `${id}.output.jsonl`), '{"custom_id": "r79", "respo');
    const second = await startServer({ dataDirectory });
    const batch = await ended(second, id);
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 80, completed: 80, failed: 0 } });
    const ids = (await linesOf(second, batch.output_file_id!)).map(({ custom_id }) => custom_id);
    expect(new Set(ids).size).toBe(80);
    expect(ids).toHaveLength(80);
    expect(second.engine.generateRequests.length).toBeLessThanOrEqual(48);
  });

  test('that was being made into files when the server was killed has them in the end', async () => {
    const dataDirectory = temporaryDirectory();
    const first = await startServer({ dataDirectory });
    const { id } = await create(first, chats(2));
    await ended(first, id);
    await first.close();
    const store = openStore(join(dataDirectory, 'subzero.db'));
    const batches = store.collection<{ id: string; status: string; outputFile: string | null }>('batch');
    batches.update({ ...batches.get(id)!, status: 'finalizing', outputFile: null });
    store.close();
    writeFileSync(
      join(dataDirectory, 'batches', `${id}.output.jsonl`),
      jsonLines([{ custom_id: 'r0' }, { custom_id: 'r1' }]),
    );
    const second = await startServer({ dataDirectory });
    const batch = await ended(second, id);
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 2, completed: 2 } });
    expect(await linesOf(second, batch.output_file_id!)).toHaveLength(2);
  });

  test('whose window is over ends with what there is', async () => {
    const dataDirectory = temporaryDirectory();
    const slow = new FakeEngine();
    slow.tokenMilliseconds = 20;
    const first = await startServer({ engine: slow, dataDirectory });
    const lines = requests(40, (index) => ({ model: 'base', messages, max_completion_tokens: index < 8 ? 1 : 300 }));
    const { id } = await create(first, lines);
    await until(
      () => first.client.batches.retrieve(id),
      ({ request_counts }) => request_counts!.completed >= 8,
    );
    await first.close();
    const store = openStore(join(dataDirectory, 'subzero.db'));
    const batches = store.collection<{ id: string; expiresAt: number }>('batch');
    batches.update({ ...batches.get(id)!, expiresAt: 1 });
    store.close();
    const second = await startServer({ dataDirectory });
    const batch = await ended(second, id);
    expect(batch).toMatchObject({ status: 'expired', request_counts: { total: 40, completed: 8, failed: 32 } });
    expect((await linesOf(second, batch.error_file_id!))[0]).toMatchObject({
      response: null,
      error: { code: 'batch_expired' },
    });
  });
});

describe('the list of batches', () => {
  test('is paged, newest first', async () => {
    const server = await startServer();
    const ids: string[] = [];
    for (let index = 0; index < 3; index++) ids.unshift((await create(server, chats(1))).id);
    const listed: string[] = [];
    for await (const { id } of server.client.batches.list({ limit: 2 })) listed.push(id);
    expect(listed).toEqual(ids);
    await expectError(await fetch(`${server.url}/v1/batches?after=batch_x`), 404);
    await expectError(await fetch(`${server.url}/v1/batches/batch_x`), 404);
  });
});

describe('refused are', () => {
  test('files of other purposes, other endpoints and windows', async () => {
    const server = await startServer();
    const training = await uploadExamples(server);
    const request = { endpoint: '/v1/chat/completions', completion_window: '24h', input_file_id: training };
    expect(await expectError(await post(server, '/v1/batches', request), 400)).toMatchObject({
      param: 'input_file_id',
    });
    const input_file_id = await uploadBatch(server, chats(1));
    for (const [more, param] of [
      [{ endpoint: '/v1/responses' }, 'endpoint'],
      [{ completion_window: '1h' }, 'completion_window'],
      [{ output_expires_after: { anchor: 'created_at', seconds: 3600 } }, 'output_expires_after'],
      [{ input_file_id: 'file-x' }, 'input_file_id'],
    ] as const) {
      const answer = await post(server, '/v1/batches', { ...request, input_file_id, ...more });
      expect(await expectError(answer, 400)).toMatchObject({ param });
    }
    // A job does not train on requests.
    const job = { model: 'base', training_file: input_file_id };
    expect(await expectError(await post(server, '/v1/fine_tuning/jobs', job), 400)).toMatchObject({
      param: 'training_file',
    });
  });

  test('files whose lines are not what their purpose says, wherever the field stands', async () => {
    const server = await startServer();
    const upload = async (lines: object[] | string, purpose: string, isFirst: boolean) => {
      const form = new FormData();
      if (isFirst) form.set('purpose', purpose);
      form.set('file', new Blob([typeof lines === 'string' ? lines : jsonLines(lines)]), 'lines.jsonl');
      if (!isFirst) form.set('purpose', purpose);
      return fetch(`${server.url}/v1/files`, { method: 'POST', body: form });
    };
    for (const isFirst of [true, false]) {
      expect((await upload(chats(20), 'batch', isFirst)).status).toBe(200);
      expect((await upload([{ item: { a: 1 } }], 'evals', isFirst)).status).toBe(200);
      for (const [lines, purpose] of [
        [chats(1), 'fine-tune'],
        [[{ prompt: 'a', completion: 'b' }], 'batch'],
        [chats(1), 'evals'],
      ] as const) {
        expect(await expectError(await upload([...lines], purpose, isFirst), 400)).toMatchObject({
          code: 'invalid_file',
        });
      }
      const broken = await upload(`${jsonLines(chats(1))}nonsense\n`, 'batch', isFirst);
      expect((await expectError(broken, 400)).message).toContain('lines.jsonl:2: the line is not a JSON object');
    }
  });
});
