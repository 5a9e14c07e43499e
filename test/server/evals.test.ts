/** Evaluations through OpenAI's client. */

import { toFile } from 'openai';
import { describe, expect, test } from 'vitest';
import { FakeEngine } from './fake-engine.ts';
import { expectError, jsonLines, post, startServer, type TestServer, temporaryDirectory, until } from './harness.ts';

const item_schema = { type: 'object', properties: { question: { type: 'string' }, answer: { type: 'string' } } };
const config = { type: 'custom' as const, item_schema, include_sample_schema: true };
const same = {
  ...{ type: 'string_check' as const, name: 'same', operation: 'eq' as const },
  ...{ input: '{{sample.output_text}}', reference: '{{item.answer}}' },
};
const near = {
  ...{ type: 'text_similarity' as const, name: 'near', evaluation_metric: 'fuzzy_match' as const, pass_threshold: 0.6 },
  ...{ input: '{{sample.output_text}}', reference: '{{item.answer}}' },
};

const created = ({ client }: TestServer, testing_criteria: object[] = [same, near]) =>
  client.evals.create({ name: 'letters', data_source_config: config, testing_criteria: testing_criteria as never });

const ended = ({ client }: TestServer, eval_id: string, id: string) =>
  until(
    () => client.evals.runs.retrieve(id, { eval_id }),
    ({ status }) => !['queued', 'in_progress'].includes(status),
  );

async function itemsOf({ client }: TestServer, eval_id: string, id: string, query: object = {}) {
  const items = [];
  for await (const item of client.evals.runs.outputItems.list(id, { eval_id, ...query })) items.push(item);
  return items;
}

const template = (content: string) => ({ type: 'template' as const, template: [{ role: 'user' as const, content }] });

describe('a run', () => {
  test('asks a model, and grades what it answers', async () => {
    const server = await startServer({ apiKey: 'secret-key' });
    const { client } = server;
    const evaluation = await created(server);
    expect(evaluation).toMatchObject({
      ...{ object: 'eval', name: 'letters', metadata: null, testing_criteria: [same, near] },
      data_source_config: {
        type: 'custom',
        schema: { properties: { item: item_schema }, required: ['item', 'sample'] },
      },
    });
    const content = ['abc', 'abd', 'xyz'].map((answer, index) => ({ item: { question: `q${index}`, answer } }));
    const started = await client.evals.runs.create(evaluation.id, {
      name: 'first',
      data_source: {
        ...{ type: 'completions', model: 'base', source: { type: 'file_content', content } },
        input_messages: template('Say {{item.question}}'),
        sampling_params: { max_completion_tokens: 3, temperature: 0 },
      },
    });
    expect(started).toMatchObject({ object: 'eval.run', eval_id: evaluation.id, model: 'base', name: 'first' });
    const run = await ended(server, evaluation.id, started.id);
    expect(run).toMatchObject({
      ...{ status: 'completed', error: null, result_counts: { total: 3, passed: 1, failed: 2, errored: 0 } },
      per_testing_criteria_results: [
        { testing_criteria: 'same', passed: 1, failed: 2 },
        { testing_criteria: 'near', passed: 2, failed: 1 },
      ],
      per_model_usage: [{ model_name: 'base', invocation_count: 3, completion_tokens: 9 }],
    });
    const asked = server.engine.generateRequests.map(({ messages }) => messages![0]!.content).toSorted();
    expect(asked).toEqual(['Say q0', 'Say q1', 'Say q2']);
    const items = await itemsOf(server, evaluation.id, run.id, { limit: 2 });
    const second = items.find(({ datasource_item_id }) => datasource_item_id === 1)!;
    expect(second).toMatchObject({
      ...{ object: 'eval.run.output_item', status: 'fail', datasource_item: { answer: 'abd' } },
      sample: {
        ...{ input: [{ role: 'user', content: 'Say q1' }], output: [{ role: 'assistant', content: 'abc' }] },
        ...{ finish_reason: 'length', max_completion_tokens: 3, model: 'base', error: null },
      },
    });
    const [exact, alike] = second.results;
    expect(exact).toMatchObject({ name: 'same', type: 'string_check', score: 0, passed: false });
    expect(alike!.score).toBeCloseTo(2 / 3, 12);
    expect(alike!.passed).toBe(true);
    expect(items).toHaveLength(3);
    expect(await itemsOf(server, evaluation.id, run.id, { status: 'pass' })).toHaveLength(1);
    expect(await client.evals.runs.outputItems.retrieve(second.id, { eval_id: evaluation.id, run_id: run.id })).toEqual(
      second,
    );
  });

  test('grades samples of a file; an item that cannot be graded is an error', async () => {
    const server = await startServer();
    const { client } = server;
    const { id } = await created(server, [same]);
    const lines = [
      { item: { answer: 'yes' }, sample: { output_text: 'yes' } },
      { item: { answer: 'yes' }, sample: { output_text: 'no' } },
      { item: { other: 1 }, sample: { output_text: 'no' } },
      { item: { answer: 'yes' } },
    ];
    const file = await client.files.create({
      ...{ file: await toFile(Buffer.from(jsonLines(lines)), 'items.jsonl'), purpose: 'evals' },
    });
    const data_source = { type: 'jsonl' as const, source: { type: 'file_id' as const, id: file.id } };
    const run = await ended(server, id, (await client.evals.runs.create(id, { data_source })).id);
    expect(run.result_counts).toEqual({ total: 4, passed: 1, failed: 1, errored: 2 });
    const items = await itemsOf(server, id, run.id);
    expect(items.map(({ status }) => status)).toEqual(['pass', 'fail', 'error', 'error']);
    // No sample is no empty text, which a grader could have a verdict of.
    expect(items[3]!.results[0]).toMatchObject({ error: 'there is no {{sample.output_text}} in what is graded' });
    expect(items[2]!.results[0]).toMatchObject({ passed: false, error: expect.stringContaining('item.answer') });
    expect(server.engine.generateRequests).toEqual([]);
  });

  test('of a model that fails has errors, not verdicts', async () => {
    const engine = new FakeEngine();
    engine.generationFailure = { after: 1, error: new Error('a defect') };
    const server = await startServer({ engine });
    const { id } = await created(server);
    const source = {
      type: 'file_content' as const,
      content: [{ item: { messages: [{ role: 'user', content: 'Hi' }] } }],
    };
    const data_source = {
      ...{ type: 'completions' as const, model: 'base', source },
      input_messages: { type: 'item_reference' as const, item_reference: 'item.messages' },
    };
    const run = await ended(server, id, (await server.client.evals.runs.create(id, { data_source })).id);
    expect(run).toMatchObject({ status: 'completed', result_counts: { total: 1, errored: 1 } });
    const [item] = await itemsOf(server, id, run.id);
    expect(item).toMatchObject({ status: 'error', results: [], sample: { error: { code: 'internal' } } });
    expect(engine.generateRequests[0]!.messages).toEqual([{ role: 'user', content: 'Hi' }]);
  });

  test('goes on after a restart with the items that are left', async () => {
    const dataDirectory = temporaryDirectory();
    const slow = new FakeEngine();
    slow.tokenMilliseconds = 30;
    const first = await startServer({ engine: slow, dataDirectory });
    const { id } = await created(first, [same]);
    const content = Array.from({ length: 48 }, (_, index) => ({ item: { question: `q${index}`, answer: 'a' } }));
    const source = { type: 'file_content' as const, content };
    const data_source = {
      ...{ type: 'completions' as const, model: 'base', source, input_messages: template('{{item.question}}') },
      sampling_params: { max_completion_tokens: 1 },
    };
    const { id: runId } = await first.client.evals.runs.create(id, { data_source });
    await until(
      () => first.client.evals.runs.retrieve(runId, { eval_id: id }),
      ({ result_counts }) => result_counts.passed >= 16,
    );
    // What begins from here on does not end.
    slow.tokenMilliseconds = 60_000;
    await first.close();
    const second = await startServer({ dataDirectory });
    expect(await ended(second, id, runId)).toMatchObject({
      ...{ status: 'completed', result_counts: { total: 48, passed: 48 } },
    });
    expect(second.engine.generateRequests.length).toBeGreaterThan(0);
    expect(second.engine.generateRequests.length).toBeLessThanOrEqual(32);
    const indices = (await itemsOf(second, id, runId)).map(({ datasource_item_id }) => datasource_item_id);
    expect(indices.toSorted((a, b) => a - b)).toEqual([...content.keys()]);
  });

  test('whose judge is stopped by the end of the server has no verdict of it', async () => {
    const dataDirectory = temporaryDirectory();
    const slow = new FakeEngine();
    slow.tokenMilliseconds = 60_000;
    const first = await startServer({ engine: slow, dataDirectory });
    const input = [{ role: 'user', content: 'Is {{sample.output_text}} right?' }];
    const { id } = await created(first, [{ type: 'score_model', name: 'judge', model: 'base', input }]);
    const content = [{ item: {}, sample: { output_text: 'it' } }];
    const data_source = { type: 'jsonl' as const, source: { type: 'file_content' as const, content } };
    const { id: runId } = await first.client.evals.runs.create(id, { data_source });
    await until(
      () => slow.generating,
      (count) => count === 1,
    );
    await first.close();
    const second = await startServer({ dataDirectory });
    await ended(second, id, runId);
    // The engine of these tests recites the alphabet.
    const [item] = await itemsOf(second, id, runId);
    expect(item!.results[0]!.error).toContain('expected a score from 0 to 1');
  });

  test('can be cancelled and deleted', async () => {
    const engine = new FakeEngine();
    engine.tokenMilliseconds = 20;
    const server = await startServer({ engine });
    const { client } = server;
    const { id: eval_id } = await created(server);
    const data_source = {
      ...{ type: 'completions' as const, model: 'base', input_messages: template('Hi') },
      source: { type: 'file_content' as const, content: [{ item: { answer: 'a' } }] },
    };
    const run = await client.evals.runs.create(eval_id, { data_source });
    await until(
      () => engine.generating,
      (count) => count === 1,
    );
    // OpenAI's Python client 3.57 cancels at a path of its own.
    const waiting = await client.evals.runs.create(eval_id, { data_source });
    const answer = await post(server, `/v1/evals/${eval_id}/runs/${waiting.id}/cancel`, '');
    expect([answer.status, await answer.json()]).toMatchObject([200, { id: waiting.id, status: 'canceled' }]);
    await client.evals.runs.delete(waiting.id, { eval_id });
    expect(await client.evals.runs.cancel(run.id, { eval_id })).toMatchObject({ status: 'canceled' });
    await until(
      () => engine.generating,
      (count) => count === 0,
    );
    await expectError(await post(server, `/v1/evals/${eval_id}/runs/${run.id}`, ''), 400);
    const listed = [];
    for await (const each of client.evals.runs.list(eval_id, { status: 'canceled' })) listed.push(each.id);
    expect(listed).toEqual([run.id]);
    expect(await client.evals.runs.delete(run.id, { eval_id })).toEqual({
      object: 'eval.run.deleted',
      deleted: true,
      run_id: run.id,
    });
    await expect(client.evals.runs.retrieve(run.id, { eval_id })).rejects.toThrow('404');
    // The queue is free again.
    engine.tokenMilliseconds = 0;
    const next = await client.evals.runs.create(eval_id, { data_source });
    expect(await ended(server, eval_id, next.id)).toMatchObject({ status: 'completed' });
    expect(await client.evals.delete(eval_id)).toEqual({ object: 'eval.deleted', deleted: true, eval_id });
    await expect(client.evals.runs.retrieve(next.id, { eval_id })).rejects.toThrow('404');
  });
});

describe('an evaluation', () => {
  test('is listed, described and named anew', async () => {
    const server = await startServer();
    const { client } = server;
    const ids = [(await created(server)).id, (await created(server)).id];
    const listed = [];
    for await (const { id } of client.evals.list({ limit: 1 })) listed.push(id);
    expect(listed).toEqual(ids);
    expect(await client.evals.update(ids[0]!, { name: 'other', metadata: { a: 'b' } })).toMatchObject({
      name: 'other',
    });
    expect(await client.evals.retrieve(ids[0]!)).toMatchObject({ name: 'other', metadata: { a: 'b' } });
  });

  test('with criteria or sources that cannot be honoured is refused, by name', async () => {
    const server = await startServer();
    const request = { data_source_config: config, testing_criteria: [same] };
    for (const [more, param] of [
      [{ data_source_config: { type: 'logs' } }, 'data_source_config.type'],
      [{ testing_criteria: [same, { ...same, operation: 'near' }] }, 'testing_criteria.1.operation'],
      [{ testing_criteria: [{ type: 'python', name: 'p', source: 'x' }] }, 'testing_criteria.0.type'],
      [{ testing_criteria: [{ ...near, pass_threshold: 'high' }] }, 'testing_criteria.0.pass_threshold'],
      [{ testing_criteria: [same, same] }, 'testing_criteria'],
    ] as const) {
      expect(await expectError(await post(server, '/v1/evals', { ...request, ...more }), 400)).toMatchObject({ param });
    }
    const { id } = await created(server);
    const source = { type: 'file_content', content: [{ item: {} }] };
    const completions = { type: 'completions', model: 'base', source, input_messages: template('Hi') };
    for (const [data_source, status, param] of [
      [{ ...completions, model: 'none' }, 404, 'data_source.model'],
      [{ ...completions, source: { type: 'file_id', id: 'file-x' } }, 400, 'data_source.source.id'],
      [{ type: 'responses', model: 'base' }, 400, 'data_source.type'],
    ] as const) {
      const answer = await post(server, `/v1/evals/${id}/runs`, { data_source });
      expect(await expectError(answer, status)).toMatchObject({ param });
    }
    await expectError(await post(server, '/v1/evals/eval_x/runs', { data_source: completions }), 404);
  });
});
