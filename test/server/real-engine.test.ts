import { readFileSync } from 'node:fs';
import type OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectError, parseEvents, post, until } from './harness.ts';
import { modelId, type RealServer, sentimentExamples, startRealServer, upload, zerothOrderJob } from './real-server.ts';

let server: RealServer;
let client: OpenAI;

beforeAll(async () => {
  server = await startRealServer();
  ({ client } = server);
});

afterAll(() => server.close());

const prompt = 'The film was';

interface Golden {
  reference: { ids: number[] };
  sst2_dev_first8: { prompt_ids: number[]; option_ids: number[][]; option_token_logprobs: number[][] }[];
}

const golden = new URL('../fixtures/golden/reviews-3m.json', import.meta.url);
const { reference, sst2_dev_first8 } = JSON.parse(readFileSync(golden, 'utf8')) as Golden;

function completion(extra: object = {}) {
  return client.completions.create({
    model: modelId,
    prompt,
    max_tokens: 8,
    ...extra,
  }) as Promise<OpenAI.Completion>;
}

/** Waits for a job's status, or fails with the job if it ends otherwise. */
async function jobWithStatus(id: string, status: string) {
  const job = await until(
    () => client.fineTuning.jobs.retrieve(id),
    (now) => [status, 'succeeded', 'failed', 'cancelled'].includes(now.status),
    60,
  );
  expect({ status: job.status, error: job.error }).toEqual({ status, error: null });
  return job;
}

async function eventsOf(id: string) {
  const events: OpenAI.FineTuning.FineTuningJobEvent[] = [];
  for await (const event of client.fineTuning.jobs.listEvents(id, { limit: 50 })) events.push(event);
  return events.reverse();
}

/** The steps that a job announced, in order. */
async function stepsOf(id: string): Promise<number[]> {
  const data = (await eventsOf(id)).map((event) => event.data as Record<string, number> | null);
  return data.flatMap((values) => (values?.train_loss === undefined ? [] : [values.step!]));
}

describe('inference', () => {
  test('models are listed with what is known of them', async () => {
    const [model, ...others] = (await client.models.list()).data;
    expect(others.filter(({ owned_by }) => owned_by !== 'subzero')).toEqual([]);
    expect(model).toMatchObject({ id: modelId, architecture: 'llama', context_length: 256, parent: null });
    const ready = (await (await fetch(`${server.url}/ready`)).json()) as { adapter: string; models: string[] };
    expect(ready.models).toContain(modelId);
    expect(ready.adapter).toMatch(/\S/);
  });

  test('a seed repeats an answer, plain and streaming; another seed gives another', async () => {
    const first = await completion({ seed: 7 });
    expect(first.choices[0]!.text).toMatch(/\w/);
    expect(first.usage).toEqual({ prompt_tokens: 4, completion_tokens: 8, total_tokens: 12 });
    expect(first.choices[0]!.finish_reason).toBe('length');
    expect((await completion({ seed: 7 })).choices[0]!.text).toBe(first.choices[0]!.text);
    const texts = await Promise.all([8, 9, 10].map(async (seed) => (await completion({ seed })).choices[0]!.text));
    expect(new Set([...texts, first.choices[0]!.text]).size).toBeGreaterThan(1);

    const stream = await client.completions.create({
      model: modelId,
      prompt,
      max_tokens: 8,
      seed: 7,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let usage: unknown;
    let chunks = 0;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.text ?? '';
      usage = chunk.usage ?? usage;
      chunks++;
    }
    expect(text).toBe(first.choices[0]!.text);
    expect(usage).toEqual(first.usage);
    expect(chunks).toBeGreaterThan(4);
  });

  test('greedy answers are the most likely tokens, alone and among others in one batch', async () => {
    const greedy = { temperature: 0, logprobs: 3, max_tokens: 6 };
    const alone = await completion(greedy);
    const { tokens, token_logprobs: logprobs, top_logprobs: top } = alone.choices[0]!.logprobs!;
    expect(tokens!.join('')).toBe(alone.choices[0]!.text);
    for (const [index, alternatives] of top!.entries()) {
      expect(Math.max(...Object.values(alternatives))).toBe(logprobs![index]);
      expect(Object.keys(alternatives)).toHaveLength(3);
      expect(Object.values(alternatives).reduce((sum, value) => sum + Math.exp(value), 0)).toBeLessThanOrEqual(1);
    }
    const together = await completion({ ...greedy, prompt: [prompt, 'I hated', 'a long and winding tale , but'] });
    expect(together.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(together.choices[0]!.text).toBe(alone.choices[0]!.text);
    const tokenIds = (await (await post(server, '/v1/tokenize', { model: modelId, prompt })).json()) as {
      tokens: number[];
    };
    expect((await completion({ ...greedy, prompt: tokenIds.tokens })).choices[0]!.text).toBe(alone.choices[0]!.text);
    const back = await post(server, '/v1/detokenize', { model: modelId, tokens: tokenIds.tokens.slice(1) });
    expect(await back.json()).toEqual({ prompt });
  });

  test('tokens of a conversation are those that its answer was made from', async () => {
    const messages = [{ role: 'user' as const, content: 'Hello' }];
    const answer = await client.chat.completions.create({ model: modelId, messages, max_tokens: 1 });
    const chat = await (await post(server, '/tokenize', { messages, return_token_strs: true })).json();
    expect(chat.count).toBe(answer.usage!.prompt_tokens);
    expect(chat.token_strs.at(-1)).toBe('<|assistant|>');
    const called = { role: 'assistant', tool_calls: [{ id: 'a', type: 'function', function: { name: 'now' } }] };
    for (const path of ['/tokenize', '/v1/chat/completions']) {
      const refused = await post(server, path, { model: modelId, messages: [...messages, called] });
      const error = await expectError(refused, 400);
      expect(error).toMatchObject({ param: 'messages.1.tool_calls.0', code: 'unsupported' });
    }
    const info = await (await fetch(`${server.url}/tokenizer_info`)).json();
    expect(info).toMatchObject({ bos_token: '<|endoftext|>', eos_token: '<|endoftext|>', pad_token: '<|pad|>' });
    expect(info.chat_template).toContain('add_generation_prompt');
  });

  test('texts are scored as evaluation harnesses ask for it', async () => {
    const contexts = sst2_dev_first8.flatMap(({ prompt_ids, option_ids, option_token_logprobs }) =>
      option_ids.map((option, index) => ({ prompt_ids, option, expected: option_token_logprobs[index]! })),
    );
    // Its most likely continuation is the end of the text, which must be told, too, since harnesses leave out the last
    // token.
    contexts.push({ prompt_ids: reference.ids.slice(0, -1), option: reference.ids.slice(-1), expected: [] });
    const prompt = contexts.map(({ prompt_ids, option }) => [...prompt_ids, ...option]);
    const answer = await completion({ prompt, max_tokens: 1, logprobs: 1, echo: true, temperature: 0, seed: 1234 });
    expect(answer.choices.at(-1)).toMatchObject({ finish_reason: 'stop' });
    expect(answer.choices.at(-1)!.logprobs!.tokens!.at(-1)).toBe('<|endoftext|>');
    for (const [index, { prompt_ids, option, expected }] of contexts.entries()) {
      const { logprobs, text } = answer.choices[index]!;
      const { tokens, token_logprobs: own, top_logprobs: top, text_offset: offsets } = logprobs!;
      for (const list of [tokens, own, top, offsets]) expect(list).toHaveLength(prompt[index]!.length + 1);
      expect([own![0], top![0]]).toEqual([null, null]);
      const scores = own!.slice(prompt_ids.length, -1);
      for (const [place, value] of expected.entries()) expect(scores[place]).toBeCloseTo(value, 3);
      expect(scores).toHaveLength(option.length);
      for (const [place, alternatives] of top!.slice(1).entries()) {
        expect(Math.max(...Object.values(alternatives))).toBeGreaterThanOrEqual(own![place + 1]!);
      }
      for (const [place, token] of tokens!.slice(0, -1).entries()) {
        expect(text.slice(offsets![place], offsets![place]! + token.length)).toBe(token);
      }
    }
    expect(answer.usage!.prompt_tokens).toBe(prompt.flat().length);
  });

  test('scores of a text are those of its generation, streamed or not, beside a running generation', async () => {
    const long = await client.completions.create({
      ...{ model: modelId, prompt, max_tokens: 200, stream: true, seed: 3, logit_bias: { 0: -100 } },
    });
    const running = (async () => {
      let pieces = 0;
      for await (const chunk of long) if (chunk.choices[0]!.text) pieces++;
      return pieces;
    })();
    const made = await completion({ temperature: 0, max_tokens: 6, logprobs: 2, echo: true });
    const { text } = made.choices[0]!;
    expect(text.startsWith(prompt)).toBe(true);
    const body = { prompt: Array<string>(20).fill(text), max_tokens: 0, logprobs: 2, echo: true };
    const scored = await completion(body);
    expect(scored.usage!.completion_tokens).toBe(0);
    for (const { logprobs, text: same } of scored.choices) {
      expect(same).toBe(text);
      expect(logprobs!.tokens).toEqual(made.choices[0]!.logprobs!.tokens);
      expect(logprobs!.text_offset).toEqual(made.choices[0]!.logprobs!.text_offset);
      for (const [place, value] of logprobs!.token_logprobs!.entries()) {
        expect(Math.abs(value - made.choices[0]!.logprobs!.token_logprobs![place]!)).toBeLessThan(1e-4);
      }
    }
    const response = await post(server, '/v1/completions', { model: modelId, ...body, prompt: text, stream: true });
    const chunks = parseEvents(await response.text()).slice(0, -1);
    const streamed = chunks.map(({ data }) => (data as OpenAI.Completion).choices[0]!);
    expect(streamed.map((choice) => choice.text).join('')).toBe(text);
    expect(streamed.flatMap(({ logprobs }) => logprobs!.text_offset!)).toEqual(
      scored.choices[0]!.logprobs!.text_offset,
    );
    expect(await running).toBeGreaterThan(150);
  });

  test('a stop sequence ends the text before it, also in a stream', async () => {
    const full = (await completion({ temperature: 0, max_tokens: 12 })).choices[0]!.text;
    const words = full.trim().split(' ');
    const stop = ` ${words[3]}`;
    const expected = full.slice(0, full.indexOf(stop));
    const stopped = await completion({ temperature: 0, max_tokens: 12, stop });
    expect(stopped.choices[0]).toMatchObject({ text: expected, finish_reason: 'stop' });
    const body = { model: modelId, prompt, temperature: 0, max_tokens: 12, stop: [stop], stream: true };
    const events = parseEvents(await (await post(server, '/v1/completions', body)).text());
    const choices = events.slice(0, -1).map(({ data }) => (data as OpenAI.Completion).choices[0]!);
    expect(choices.map(({ text }) => text).join('')).toBe(expected);
    expect(choices.at(-1)!.finish_reason).toBe('stop');
    expect(events.at(-1)!.data).toBe('[DONE]');
  });

  test('penalties and biases change what comes', async () => {
    const { tokens } = (await (
      await post(server, '/v1/tokenize', { model: modelId, prompt: ' movie', add_special_tokens: false })
    ).json()) as { tokens: number[] };
    const forced = await completion({ logit_bias: { [tokens[0]!]: 100 }, max_tokens: 4, temperature: 0 });
    expect(forced.choices[0]!.text).toBe(' movie movie movie movie');
    const varied = await completion({
      logit_bias: { [tokens[0]!]: 2 },
      frequency_penalty: 2,
      presence_penalty: 2,
      max_tokens: 8,
      temperature: 0,
    });
    expect(varied.choices[0]!.text).not.toContain(' movie movie');
  });

  test('a conversation, plain and streaming', async () => {
    const request = {
      model: modelId,
      messages: [{ role: 'user' as const, content: 'Was the film good?' }],
      max_completion_tokens: 6,
      seed: 3,
    };
    const answer = await client.chat.completions.create({ ...request, logprobs: true, top_logprobs: 2 });
    const { message, logprobs } = answer.choices[0]!;
    expect(message.content).toMatch(/\S/);
    expect(logprobs!.content!.map(({ token }) => token).join('')).toBe(message.content);
    expect(logprobs!.content![0]!.top_logprobs).toHaveLength(2);
    const final = await client.chat.completions
      .stream({ ...request, stream_options: { include_usage: true } })
      .finalChatCompletion();
    expect(final.choices[0]!.message.content).toBe(message.content);
    expect(final.usage).toEqual(answer.usage);
  });

  test('what cannot be is refused with the reason', async () => {
    for (const [body, status, code, words] of [
      [{ model: 'nope', prompt }, 404, 'model_not_found', '"nope" does not exist'],
      [{ model: '../../etc/passwd', prompt }, 404, 'model_not_found', 'does not exist'],
      [
        { model: modelId, prompt: 'word '.repeat(400) },
        400,
        'context_length_exceeded',
        "this model's maximum context length is 256 tokens",
      ],
      [{ model: modelId, prompt, max_tokens: 1e30 }, 400, 'invalid_value', 'at most 1000000 (got 1e+30)'],
      [{ model: modelId, prompt, temperature: -1 }, 400, 'invalid_value', 'at least 0 (got -1)'],
      [{ model: modelId, prompt: [4096] }, 400, null, '0 to 4095'],
      ['{"model":', 400, 'invalid_json', 'not valid JSON'],
    ] as const) {
      const error = await expectError(await post(server, '/v1/completions', body), status);
      expect(error.code).toBe(code);
      expect(error.message).toContain(words);
    }
  });

  test('embeddings: of length 1, the same alone and among others, near for near texts', async () => {
    const input = ['a wonderful , moving film', 'a wonderful and moving movie', 'tax forms are due in april'];
    const embed = async (texts: string[], extra: object = {}) =>
      (await client.embeddings.create({ model: modelId, input: texts, ...extra })).data.map(
        ({ embedding }) => embedding,
      );
    const dot = (a: number[], b: number[]) => a.reduce((sum, value, index) => sum + value * b[index]!, 0);
    const [film, movie, taxes] = await embed(input);
    expect(film).toHaveLength(192);
    for (const vector of [film!, movie!, taxes!]) expect(dot(vector, vector)).toBeCloseTo(1, 5);
    expect(dot(film!, movie!)).toBeGreaterThan(dot(film!, taxes!));
    const [alone] = await embed([input[1]!]);
    expect(dot(alone!, movie!)).toBeCloseTo(1, 5);
    const [last] = await embed([input[0]!], { pooling: 'last' });
    expect(dot(last!, film!)).toBeLessThan(0.999);
    const { tokens } = (await (await post(server, '/v1/tokenize', { model: modelId, prompt: input[0] })).json()) as {
      tokens: number[];
    };
    const single = await client.embeddings.create({ model: modelId, input: [tokens.slice(0, 1), tokens] });
    expect(single.usage.prompt_tokens).toBe(1 + tokens.length);
    const refused = await post(server, '/v1/embeddings', { model: modelId, input: 'word '.repeat(400) });
    expect((await expectError(refused, 400)).message).toContain("this model's maximum context length is 256 tokens");
  });

  test('a client who leaves stops the work', async () => {
    const leave = new AbortController();
    const stream = await client.completions.create(
      { model: modelId, prompt, max_tokens: 250, stream: true, n: 4, logit_bias: { 3: -100 } },
      { signal: leave.signal },
    );
    for await (const chunk of stream) {
      expect(chunk.object).toBe('text_completion');
      leave.abort();
    }
    await until(
      async () => (await fetch(`${server.url}/metrics`)).text(),
      (text) => text.includes('subzero_generations_active 0'),
    );
  });
});

describe('fine-tuning', () => {
  test('from upload to an answer of the tuned model, usable at once', async () => {
    const examples = sentimentExamples(12);
    const trainingFile = await upload(client, examples.slice(0, 8));
    const validationFile = await upload(client, examples.slice(8), 'valid.jsonl');
    const before = await completion({ prompt: examples[0]!.prompt, max_tokens: 1, temperature: 0, logprobs: 1 });
    const created = await client.fineTuning.jobs.create(
      zerothOrderJob(
        trainingFile,
        { learning_rate: 1e-3, evaluate_every: 2 },
        { validation_file: validationFile, suffix: 'mood', seed: 5 },
      ),
    );
    expect(['queued', 'running']).toContain(created.status);
    const stream = await fetch(`${server.url}/v1/fine_tuning/jobs/${created.id}/events?stream=true`);
    const live = parseEvents(await stream.text());
    expect(live.at(-1)!.data).toBe('[DONE]');

    const job = await jobWithStatus(created.id, 'succeeded');
    expect(job.fine_tuned_model).toMatch(/^ft:reviews-3m:mood:/);
    expect(job.trained_tokens).toBeGreaterThan(0);
    const events = await eventsOf(job.id);
    expect(live.slice(0, -1).map(({ id }) => id)).toEqual(events.map(({ id }) => id));
    const data = events.map((event) => event.data as Record<string, number> | null);
    const steps = data.filter((values) => values?.train_loss !== undefined);
    expect(steps.map((values) => values!.step)).toEqual([1, 2, 3, 4]);
    for (const values of steps) {
      expect(values!.train_loss).toBeGreaterThan(0);
      expect([0, 0.25, 0.5, 0.75, 1]).toContain(values!.train_accuracy);
      expect(values!.projected_gradient).not.toBe(0);
      expect(values!.tokens_per_second).toBeGreaterThan(0);
    }
    const evaluated = data.filter((values) => values?.valid_loss !== undefined);
    expect(evaluated.map((values) => values!.step)).toEqual([2, 4]);

    const after = await completion({
      model: job.fine_tuned_model!,
      prompt: examples[0]!.prompt,
      max_tokens: 1,
      temperature: 0,
      logprobs: 1,
    });
    expect(after.choices[0]!.logprobs!.token_logprobs![0]).not.toBe(before.choices[0]!.logprobs!.token_logprobs![0]);

    const checkpoints = await client.fineTuning.jobs.checkpoints.list(job.id);
    expect(checkpoints.data.map(({ step_number }) => step_number)).toEqual([4, 2]);
    const ask = (model: string) => completion({ model, max_tokens: 1, temperature: 0, logprobs: 1, prompt });
    const logprobOf = async (model: string) => (await ask(model)).choices[0]!.logprobs!.token_logprobs![0]!;
    const [last, middle] = checkpoints.data.map((checkpoint) => checkpoint.fine_tuned_model_checkpoint);
    expect(await logprobOf(last!)).toBe(await logprobOf(job.fine_tuned_model!));
    expect(await logprobOf(middle!)).not.toBe(await logprobOf(last!));

    const again = await expectError(
      await post(server, '/v1/fine_tuning/jobs', { model: job.fine_tuned_model, training_file: trainingFile }),
      400,
    );
    expect(again).toMatchObject({ param: 'model', code: 'unsupported' });
  });

  test('prompts with completions; base and tuned models answer while a job trains', async () => {
    const reference = (await completion({ seed: 11 })).choices[0]!.text;
    const tuned = (await client.models.list()).data.find(({ id }) => id.startsWith('ft:') && !id.includes('ckpt'))!.id;
    const tunedReference = (await completion({ model: tuned, seed: 11 })).choices[0]!.text;
    const trainingFile = await upload(client, [
      { prompt: 'The film was', completion: ' great' },
      { prompt: 'The play was', completion: ' terrible' },
    ]);
    const { id } = await client.fineTuning.jobs.create(zerothOrderJob(trainingFile, { steps: 500 }));
    await until(
      () => stepsOf(id),
      (steps) => steps.length > 0,
      60,
    );
    const answers = await Promise.all([completion({ seed: 11 }), completion({ model: tuned, seed: 11 })]);
    expect(answers.map(({ choices }) => choices[0]!.text)).toEqual([reference, tunedReference]);
    const seen = (await stepsOf(id)).at(-1)!;
    await until(
      () => stepsOf(id),
      (steps) => steps.at(-1)! > seen,
      60,
    );
    await client.fineTuning.jobs.cancel(id);
    const job = await jobWithStatus(id, 'cancelled');
    expect(job.fine_tuned_model).toBeNull();
    await expectError(await post(server, `/v1/fine_tuning/jobs/${id}/cancel`, {}), 400);
  });

  test('pause and resume: the steps go on where they stood, and the model is the same as without', async () => {
    const trainingFile = await upload(client, sentimentExamples(6));
    const body = () => zerothOrderJob(trainingFile, { steps: 10 }, { seed: 2 });
    const straight = await jobWithStatus((await client.fineTuning.jobs.create(body())).id, 'succeeded');

    const { id } = await client.fineTuning.jobs.create(body());
    await until(
      () => stepsOf(id),
      (steps) => steps.length > 1,
      60,
    );
    const paused = await (await post(server, `/v1/fine_tuning/jobs/${id}/pause`, {})).json();
    expect(paused).toMatchObject({ status: 'paused', fine_tuned_model: null });
    const steps = await stepsOf(id);
    expect(steps.length).toBeLessThan(10);
    await expectError(await post(server, `/v1/fine_tuning/jobs/${id}/pause`, {}), 400);
    expect((await post(server, `/v1/fine_tuning/jobs/${id}/resume`, {})).status).toBe(200);
    const job = await jobWithStatus(id, 'succeeded');
    expect(await stepsOf(id)).toEqual(Array.from({ length: 10 }, (_, index) => index + 1));

    const losses = async (of: string) =>
      (await eventsOf(of)).flatMap((event) => (event.data as { train_loss?: number } | null)?.train_loss ?? []);
    expect(await losses(id)).toEqual(await losses(straight.id));
    const answers = await Promise.all(
      [straight, job].map(({ fine_tuned_model: model }) => completion({ model, seed: 1, logprobs: 1 })),
    );
    expect(answers[1]!.choices[0]!.text).toBe(answers[0]!.choices[0]!.text);
    expect(answers[1]!.choices[0]!.logprobs!.token_logprobs).toEqual(answers[0]!.choices[0]!.logprobs!.token_logprobs);
  });

  test('data that only training can judge fails the job with the line, not the server', async () => {
    const long = { prompt: 'a', completion: ' word'.repeat(400) };
    const trainingFile = await upload(client, [{ prompt: 'a', completion: ' b' }, long], 'long.jsonl');
    const { id } = await client.fineTuning.jobs.create(zerothOrderJob(trainingFile));
    const job = await until(
      () => client.fineTuning.jobs.retrieve(id),
      ({ status }) => status === 'failed',
      60,
    );
    expect(job.error!.message).toMatch(/long\.jsonl:2/);
    expect(job.error!.message).not.toContain(server.dataDirectory);
    expect((await completion()).choices).toHaveLength(1);
  });

  test('a job that can no longer learn fails with the reason, having said so at once', async () => {
    const file = await upload(client, sentimentExamples(6));
    const { id } = await client.fineTuning.jobs.create(zerothOrderJob(file, { steps: 60, learning_rate: 10 }));
    const job = await until(
      () => client.fineTuning.jobs.retrieve(id),
      ({ status }) => ['succeeded', 'failed'].includes(status),
      60,
    );
    expect(job).toMatchObject({ status: 'failed', fine_tuned_model: null, error: { code: 'cannot_learn' } });
    expect(job.error!.message).toMatch(/ρ has been 0 since step \d+.*learning rate \(10\) is too high/);
    const events = await eventsOf(id);
    const warning = events.findIndex(({ data }) => (data as { code?: string } | null)?.code === 'no_slope');
    expect(events[warning]).toMatchObject({ level: 'warn', data: { step: expect.any(Number) } });
    expect(events.at(-1)).toMatchObject({ level: 'error', message: expect.stringContaining('no longer learn') });
    expect(events.slice(warning).length).toBeGreaterThan(10);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toContain('subzero_training_warnings_total{code="no_slope"} 1');
  });

  test('settings out of bounds are refused with the field', async () => {
    const trainingFile = await upload(client, sentimentExamples(2));
    for (const [settings, field] of [
      [{ steps: 1e30 }, 'steps'],
      [{ optimizer: 'adam' }, 'optimizer'],
      [{ rank: 0 }, 'rank'],
      [{ learning_rate: 'big' }, 'learning_rate'],
    ] as const) {
      const response = await post(server, '/v1/fine_tuning/jobs', zerothOrderJob(trainingFile, settings));
      const error = await expectError(response, 400);
      expect(error.param).toBe(`method.zeroth_order.hyperparameters.${field}`);
    }
  });
});

test('nothing in the log is an error that nobody was told of', () => {
  const errors = server.logLines.map((line) => JSON.parse(line)).filter(({ level }) => level === 'error');
  expect(errors.map(({ message }) => message)).toEqual(['job failed', 'job failed']);
});
