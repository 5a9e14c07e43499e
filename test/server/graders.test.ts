/** Graders through OpenAI's client. */

import { describe, expect, test } from 'vitest';
import { expectError, post, startServer } from './harness.ts';

const check = {
  type: 'string_check',
  name: 'right',
  input: '{{sample.output_text}}',
  reference: '{{item.answer}}',
  operation: 'eq',
} as const;
const near = {
  type: 'text_similarity',
  name: 'near',
  input: '{{sample.output_text}}',
  reference: '{{item.answer}}',
  evaluation_metric: 'fuzzy_match',
} as const;
const item = { answer: 'Paris' };

describe('run', () => {
  test('a check and a similarity', async () => {
    const { client } = await startServer();
    const { graders } = client.fineTuning.alpha;
    const right = await graders.run({ grader: check, model_sample: 'Paris', item });
    expect(right).toMatchObject({
      ...{ reward: 1, sub_rewards: {}, model_grader_token_usage_per_model: {} },
      metadata: {
        name: 'right',
        type: 'string_check',
        scores: { right: 1 },
        token_usage: null,
        sampled_model_name: null,
      },
    });
    expect(Object.values(right.metadata.errors).filter((value) => value === true)).toEqual([]);
    expect((await graders.run({ grader: near, model_sample: 'Pari', item })).reward).toBeCloseTo(8 / 9, 12);
  });

  test('several by a formula, a program among them', async () => {
    const { client } = await startServer();
    const short = {
      type: 'javascript',
      name: 'short',
      source: 'const grade = (sample) => 1 / sample.output_text.length;',
    };
    const grader = {
      type: 'multi',
      name: 'all',
      graders: { check, near, short },
      calculate_output: 'check + near + short',
    };
    const result = await client.fineTuning.alpha.graders.run({ grader: grader as never, model_sample: 'Paris', item });
    expect(result).toMatchObject({ reward: 2.2, sub_rewards: { check: 1, near: 1, short: 0.2 } });
  });

  test('served models judge', async () => {
    const server = await startServer();
    const { graders } = server.client.fineTuning.alpha;
    const input = [{ role: 'user' as const, content: 'Is {{sample.output_text}} right?' }];
    const sampling_params = { max_completions_tokens: 4, seed: 2 };
    const judge = { type: 'score_model' as const, name: 'judge', model: 'base', input, sampling_params };
    // The engine of these tests recites the alphabet.
    const unread = await graders.run({ grader: judge, model_sample: 'it' });
    expect(unread).toMatchObject({
      reward: 0,
      metadata: { sampled_model_name: 'base', errors: { model_grader_parse_error: true } },
    });
    expect(unread.metadata.token_usage).toBeGreaterThan(4);
    expect(server.engine.generateRequests[0]).toMatchObject({ maxTokens: 4, messages: [{ content: 'Is it right?' }] });
    const label = { type: 'label_model', name: 'l', model: 'base', input, labels: ['ab'], passing_labels: ['ab'] };
    expect(await graders.run({ grader: label as never, model_sample: 'it' })).toMatchObject({ reward: 0 });
    const lost = await graders.run({ grader: { ...judge, model: 'none' }, model_sample: 'it' });
    expect(lost.metadata.errors).toMatchObject({
      model_grader_server_error: true,
      model_grader_server_error_details: expect.stringContaining('none'),
    });
    const cosine = { ...near, evaluation_metric: 'cosine' as const, model: 'base' };
    const alike = await graders.run({ grader: cosine, model_sample: 'Paris', item });
    expect(alike.reward).toBeCloseTo(1, 5);
  });

  test('what goes wrong with the sample is told', async () => {
    const { client } = await startServer();
    const source = 'function grade() { throw new Error("no"); }';
    const failing = { type: 'javascript', name: 'p', source } as never;
    const result = await client.fineTuning.alpha.graders.run({ grader: failing, model_sample: 'x' });
    expect(result.metadata.errors).toMatchObject({
      python_grader_runtime_error: true,
      python_grader_runtime_error_details: 'the program threw Error: no',
    });
    const missing = await client.fineTuning.alpha.graders.run({ grader: check, model_sample: 'x' });
    expect(missing.metadata.errors).toMatchObject({ invalid_variable_error: true });
  });
});

test('validate', async () => {
  const { client, url } = await startServer();
  const { graders } = client.fineTuning.alpha;
  expect(await graders.validate({ grader: check })).toEqual({ grader: check });
  const path = '/v1/fine_tuning/alpha/graders/validate';
  const refused = async (grader: unknown) => expectError(await post({ url }, path, { grader }), 400);
  expect(await refused({ ...check, operation: 'near' })).toMatchObject({ param: 'grader.operation' });
  const python = { type: 'python', name: 'p', source: 'def grade(sample, item): return 1' } as const;
  expect(await refused(python)).toMatchObject({
    param: 'grader.type',
    message: expect.stringContaining('write the function in JavaScript'),
  });
  expect(await refused({ type: 'multi', name: 'm', graders: { a: check }, calculate_output: 'b' })).toMatchObject({
    param: 'grader.calculate_output',
  });
});

test('a judge is one of the served models; fields of its sampling that nothing here has are taken', async () => {
  const { client, url } = await startServer();
  const input = [{ role: 'user' as const, content: 'Is {{sample.output_text}} right?' }];
  const judge = { type: 'score_model' as const, name: 'judge', model: 'base', input };
  const sampling_params = { reasoning_effort: 'low' as const, temperature: 0, max_completions_tokens: 4 };
  const { grader } = await client.fineTuning.alpha.graders.validate({ grader: { ...judge, sampling_params } });
  expect(grader).toEqual({ ...judge, sampling_params, range: [0, 1] });
  const path = '/v1/fine_tuning/alpha/graders/validate';
  const refused = async (value: unknown) => expectError(await post({ url }, path, { grader: value }), 400);
  const unknown = { ...judge, model: 'gpt-9' };
  const problem = { code: 'model_not_found', message: expect.stringContaining('asks "gpt-9"') };
  expect(await refused(unknown)).toMatchObject({ ...problem, param: 'grader.model' });
  const several = { type: 'multi', name: 'm', graders: { a: judge, b: unknown }, calculate_output: 'a + b' };
  expect(await refused(several)).toMatchObject({ ...problem, param: 'grader.graders.b.model' });
  const alone = { type: 'multi', name: 'm', graders: unknown, calculate_output: 'judge' };
  expect(await refused(alone)).toMatchObject({ ...problem, param: 'grader.graders.model' });
  const cosine = { ...near, evaluation_metric: 'cosine', model: 'gpt-9' };
  expect(await refused(cosine)).toMatchObject({ ...problem, param: 'grader.model' });
  expect(await refused({ ...judge, sampling_params: { reasoning_effort: 'utter' } })).toMatchObject({
    param: 'grader.sampling_params.reasoning_effort',
  });
});
