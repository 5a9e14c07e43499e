import type OpenAI from 'openai';
import { describe, expect, test } from 'vitest';
import { SubzeroError } from '../../src/errors.ts';
import { expectError, parseEvents, post, startServer, until } from './harness.ts';

describe('completions', () => {
  test('a prompt is continued', async () => {
    const { client, engine } = await startServer();
    const answer = await client.completions.create({ model: 'base', prompt: 'Hi', max_tokens: 3, temperature: 0 });
    expect(answer).toMatchObject({
      object: 'text_completion',
      model: 'base',
      choices: [{ index: 0, text: 'abc', finish_reason: 'length', logprobs: null }],
      usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 },
    });
    expect(answer.id).toMatch(/^cmpl-\w{24}$/);
    expect(engine.generateRequests).toMatchObject([{ prompt: 'Hi', maxTokens: 3, temperature: 0 }]);
  });

  test('several prompts with n choices each keep their order and differ by seed', async () => {
    const { client } = await startServer();
    const answer = await client.completions.create({
      model: 'base',
      prompt: ['x', 'yy'],
      n: 2,
      seed: 5,
      max_tokens: 2,
      echo: true,
    });
    expect(answer.choices.map(({ index, text }) => [index, text])).toEqual([
      [0, 'xfg'],
      [1, 'xgh'],
      [2, 'yyhi'],
      [3, 'yyij'],
    ]);
    expect(answer.usage).toEqual({ prompt_tokens: 5, completion_tokens: 8, total_tokens: 13 });
  });

  test('token ids, stop strings, bias and log-probabilities', async () => {
    const { client, engine } = await startServer();
    const stopped = await client.completions.create({ model: 'base', prompt: [1, 72], stop: ['de'], max_tokens: 20 });
    expect(stopped.choices[0]).toMatchObject({ text: 'abc', finish_reason: 'stop' });
    expect(engine.generateRequests[0]).toMatchObject({ tokens: [1, 72], stop: ['de'] });
    const answer = await client.completions.create({
      model: 'base',
      prompt: 'x',
      max_tokens: 2,
      logprobs: 2,
      logit_bias: { 120: 100 },
      presence_penalty: 0.5,
    });
    expect(answer.choices[0]!.logprobs).toEqual({
      tokens: ['x', 'x'],
      token_logprobs: [-0.5, -0.5],
      top_logprobs: [
        { x: -0.5, y: -1.5 },
        { x: -0.5, y: -1.5 },
      ],
      text_offset: [0, 1],
    });
    expect(engine.generateRequests[1]).toMatchObject({ logitBias: { 120: 100 }, presencePenalty: 0.5, topLogprobs: 2 });
  });

  test('echo with log-probabilities tells those of the prompt, too', async () => {
    const { client, engine } = await startServer();
    const answer = await client.completions.create({
      model: 'base',
      prompt: [
        [1, 72, 105],
        [1, 72],
      ],
      n: 2,
      seed: 0,
      max_tokens: 1,
      echo: true,
      logprobs: 1,
    });
    expect(answer.choices.map(({ index, text }) => [index, text])).toEqual([
      [0, 'Hia'],
      [1, 'Hib'],
      [2, 'Hc'],
      [3, 'Hd'],
    ]);
    expect(answer.choices[1]!.logprobs as unknown).toEqual({
      tokens: ['<s>', 'H', 'i', 'b'],
      token_logprobs: [null, -0.5, -0.5, -0.5],
      top_logprobs: [null, { H: -0.5 }, { i: -0.5 }, { b: -0.5 }],
      text_offset: [0, 0, 1, 2],
    });
    expect(answer.choices[2]!.logprobs!.text_offset).toEqual([0, 0, 1]);
    expect(answer.usage).toEqual({ prompt_tokens: 5, completion_tokens: 4, total_tokens: 9 });
    expect(engine.generateRequests.every(({ scorePrompt }) => scorePrompt)).toBe(true);
  });

  test('half a surrogate pair comes back as U+FFFD, whole pairs as they are', async () => {
    const server = await startServer();
    const body = { model: 'base', prompt: '😀a\ud83d', max_tokens: 0, echo: true };
    const answer = await (await post(server, '/v1/completions', body)).json();
    expect(answer.choices[0].text).toBe('😀a\ufffd');
  });

  test('a prompt alone is scored with max_tokens 0, also in a stream', async () => {
    const server = await startServer();
    const body = { model: 'base', prompt: 'Hié', max_tokens: 0, echo: true };
    const scored = { ...body, logprobs: 2, temperature: 0 };
    const whole = await (await post(server, '/v1/completions', scored)).json();
    expect(whole.choices[0]).toMatchObject({ text: 'Hié', finish_reason: 'length' });
    expect(whole.choices[0].logprobs.tokens.slice(0, 3)).toEqual(['<s>', 'H', 'i']);
    expect(whole.choices[0].logprobs.top_logprobs[1]).toEqual({ H: -0.5, I: -1.5 });
    expect(whole.usage).toEqual({ prompt_tokens: 5, completion_tokens: 0, total_tokens: 5 });
    const streamed = parseEvents(await (await post(server, '/v1/completions', { ...scored, stream: true })).text());
    const choices = streamed.slice(0, -1).map(({ data }) => (data as OpenAI.Completion).choices[0]!);
    expect(choices.map(({ text }) => text).join('')).toBe('Hié');
    expect(choices.at(-1)!.finish_reason).toBe('length');
    for (const field of ['tokens', 'token_logprobs', 'top_logprobs', 'text_offset'] as const) {
      expect(choices.flatMap(({ logprobs }) => logprobs![field] as unknown[])).toEqual(
        whole.choices[0].logprobs[field],
      );
    }
    // Without log-probabilities the prompt comes back, and that is all.
    const plain = await (await post(server, '/v1/completions', body)).json();
    expect(plain.choices[0]).toEqual({ index: 0, text: 'Hié', finish_reason: 'length', logprobs: null });
    expect(server.engine.generateRequests.at(-1)).not.toHaveProperty('scorePrompt');
  });

  test('what a prompt leaves open is told once, unless the answer completes it', async () => {
    const server = await startServer();
    const body = { model: 'base', prompt: [72, 0xf0, 0x9f], echo: true, logprobs: 1 };
    for (const [extra, text, offsets] of [
      [{ max_tokens: 0 }, 'H\ufffd', [0, 1, 2]],
      [{ max_tokens: 1, seed: 0 }, 'Ha', [0, 1, 2, 1]],
    ] as const) {
      const whole = await (await post(server, '/v1/completions', { ...body, ...extra })).json();
      expect(whole.choices[0]).toMatchObject({ text, logprobs: { text_offset: offsets } });
      const streamed = await (await post(server, '/v1/completions', { ...body, ...extra, stream: true })).text();
      const pieces = parseEvents(streamed).slice(0, -1);
      expect(pieces.map(({ data }) => (data as OpenAI.Completion).choices[0]!.text).join('')).toBe(text);
    }
  });

  test('streaming gives the same text, usage on request, and [DONE]', async () => {
    const server = await startServer();
    const request = {
      model: 'base',
      prompt: 'Hi',
      max_tokens: 6,
      stop: 'fz',
      stream: true,
      stream_options: { include_usage: true },
    } as const;
    const stream = await server.client.completions.create(request);
    let text = '';
    let reason: string | null = null;
    let usage: unknown;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.text ?? '';
      reason = chunk.choices[0]?.finish_reason ?? reason;
      usage = chunk.usage ?? usage;
    }
    expect({ text, reason, usage }).toEqual({
      text: 'abcdef',
      reason: 'length',
      usage: { prompt_tokens: 3, completion_tokens: 6, total_tokens: 9 },
    });
    const raw = await post(server, '/v1/completions', request);
    expect(raw.headers.get('content-type')).toMatch(/^text\/event-stream/);
    expect(parseEvents(await raw.text()).at(-1)!.data).toBe('[DONE]');
  });

  test('what cannot be honoured is refused', async () => {
    const server = await startServer();
    for (const [extra, param] of [
      [{ suffix: 'end' }, 'suffix'],
      [{ best_of: 3 }, 'best_of'],
      [{ echo: true, logprobs: 6 }, 'logprobs'],
      [{ max_tokens: 0 }, 'max_tokens'],
      [{ max_tokens: 0, logprobs: 1 }, 'max_tokens'],
      [{ prompt: 'x'.repeat(520), echo: true, logprobs: 1, max_tokens: 0 }, 'prompt'],
      [{ stream_options: { include_usage: true } }, 'stream_options'],
      [{ logit_bias: { 999: 1 } }, 'logit_bias'],
      [{ prompt: [999] }, 'prompt'],
      [{ prompt: Array(64).fill('x'), n: 2 }, 'n'],
    ] as const) {
      const response = await post(server, '/v1/completions', { model: 'base', prompt: 'x', ...extra });
      expect((await expectError(response, 400)).param).toBe(param);
    }
    expect(server.engine.generating).toBe(0);
  });
});

describe('chat completions', () => {
  const messages = [
    { role: 'developer' as const, content: 'Be short.' },
    { role: 'user' as const, content: [{ type: 'text' as const, text: 'Hello' }] },
  ];

  test('a conversation is answered', async () => {
    const { client, engine } = await startServer();
    const answer = await client.chat.completions.create({
      model: 'base',
      messages,
      max_completion_tokens: 2,
      n: 2,
      seed: 0,
      logprobs: true,
      top_logprobs: 1,
    });
    expect(answer.object).toBe('chat.completion');
    expect(answer.choices.map(({ message }) => message.content)).toEqual(['ab', 'bc']);
    expect(answer.choices[0]!.logprobs!.content![0]).toEqual({
      token: 'a',
      logprob: -0.5,
      bytes: [97],
      top_logprobs: [{ token: 'a', logprob: -0.5, bytes: [97] }],
    });
    expect(answer.usage!.prompt_tokens).toBe(16);
    expect(engine.generateRequests[0]!.messages).toEqual([
      { role: 'system', content: 'Be short.' },
      { role: 'user', content: 'Hello' },
    ]);
  });

  test('streaming, through the client of OpenAI', async () => {
    const { client } = await startServer();
    const stream = client.chat.completions.stream({
      model: 'base',
      messages,
      n: 2,
      seed: 0,
      max_tokens: 4,
      stream_options: { include_usage: true },
    });
    const final = await stream.finalChatCompletion();
    expect(final.choices.map(({ message, finish_reason }) => [message.content, finish_reason])).toEqual([
      ['abcd', 'length'],
      ['bcde', 'length'],
    ]);
    expect(final.usage).toEqual({ prompt_tokens: 16, completion_tokens: 8, total_tokens: 24 });
  });

  test('log-probabilities in a stream cover tokens whose text is held back', async () => {
    const server = await startServer();
    const body = { model: 'base', messages, max_tokens: 4, stream: true, logprobs: true, stop: ['cx'] };
    const events = parseEvents(await (await post(server, '/v1/chat/completions', body)).text());
    const tokens = events
      .filter(({ data }) => data !== '[DONE]')
      .flatMap(({ data }) => (data as { choices: { logprobs: { content: { token: string }[] } | null }[] }).choices)
      .flatMap(({ logprobs }) => logprobs?.content ?? []);
    expect(tokens.map(({ token }) => token)).toEqual(['a', 'b', 'c', 'd']);
  });

  test('what cannot be honoured is refused', async () => {
    const server = await startServer();
    for (const [extra, param] of [
      [{ tools: [{ type: 'function' }] }, 'tools'],
      [{ response_format: { type: 'json_object' } }, 'response_format'],
      [{ top_logprobs: 2 }, 'top_logprobs'],
      [{ max_tokens: 1, max_completion_tokens: 2 }, 'max_tokens'],
      [{ messages: [{ role: 'user', content: null }] }, 'messages.0.content'],
      [{ messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }, 'messages.0.content'],
      [{ messages: [{ role: 'robot', content: 'x' }] }, 'messages.0.role'],
      [{ messages: [] }, 'messages'],
      [{ temperature: 3 }, 'temperature'],
      [{ n: 17 }, 'n'],
      [{ max_tokens: 0 }, 'max_tokens'],
      [{ seed: 1.5 }, 'seed'],
      [{ wobble: 1 }, 'wobble'],
      [{ stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop'],
    ] as const) {
      const response = await post(server, '/v1/chat/completions', { model: 'base', messages, ...extra });
      expect((await expectError(response, 400)).param).toBe(param);
    }
  });
});

describe('embeddings', () => {
  test('one vector for each input, as numbers and as base64, which the client of OpenAI asks for', async () => {
    const server = await startServer();
    const input = ['ab', 'xyz'];
    const expected = [
      [3, 97, 0.5],
      [4, 120, 0.5],
    ];
    const decoded = await server.client.embeddings.create({ model: 'base', input });
    expect(decoded.data.map(({ embedding }) => embedding)).toEqual(expected);
    expect(decoded.usage).toEqual({ prompt_tokens: 7, total_tokens: 7 });
    const raw = await (
      await post(server, '/v1/embeddings', { model: 'base', input, encoding_format: 'base64' })
    ).json();
    expect(raw.data[1].embedding).toBe(Buffer.from(new Float32Array(expected[1]!).buffer).toString('base64'));
    const plain = await (await post(server, '/v1/embeddings', { model: 'base', input: [1, 65] })).json();
    expect(plain.data).toEqual([{ object: 'embedding', index: 0, embedding: [2, 65, 0.5] }]);
  });

  test('what cannot be honoured is refused', async () => {
    const server = await startServer({ limits: { promptCharacters: 100 } });
    for (const [extra, param] of [
      [{ dimensions: 8 }, 'dimensions'],
      [{ input: '' }, 'input'],
      [{ input: [] }, 'input'],
      [{ input: [999] }, 'input'],
      [{ input: ['ok', 'x'.repeat(101)] }, 'input'],
      [{ input: Array(2049).fill('x') }, 'input'],
      [{ encoding_format: 'int8' }, 'encoding_format'],
    ] as const) {
      const response = await post(server, '/v1/embeddings', { model: 'base', input: 'x', ...extra });
      expect((await expectError(response, 400)).param).toBe(param);
    }
    await expectError(await post(server, '/v1/embeddings', { model: 'nope', input: 'x' }), 404);
  });
});

describe('failures', () => {
  test('before the first token: a status of its own', async () => {
    const server = await startServer();
    for (const [code, status] of [
      ['invalid_argument', 400],
      ['unsupported', 400],
      ['conflict', 400],
      ['not_found', 404],
      ['out_of_memory', 503],
      ['device_lost', 503],
    ] as const) {
      server.engine.generationFailure = { after: 0, error: new SubzeroError(code, `it is ${code}`) };
      const body = { model: 'base', prompt: 'x', stream: false };
      const response = await post(server, '/v1/completions', body);
      expect(response.headers.get('x-should-retry')).toBe(status === 503 ? 'true' : null);
      expect(await expectError(response, status)).toMatchObject({ message: `it is ${code}`, code });
    }
    server.engine.generationFailure = { after: 0, error: new Error('secret detail') };
    const response = await post(server, '/v1/completions', { model: 'base', prompt: 'x' });
    expect(response.headers.get('x-should-retry')).toBe('false');
    const error = await expectError(response, 500);
    expect(error.message).not.toContain('secret');
    expect(server.logLines.join('\n')).toContain('secret detail');
  });

  test('in the middle of a stream: an error event, and the client throws', async () => {
    const server = await startServer();
    server.engine.generationFailure = { after: 2, error: new SubzeroError('device_lost', 'the GPU went away') };
    const stream = await server.client.completions.create({ model: 'base', prompt: 'x', stream: true });
    let text = '';
    await expect(async () => {
      for await (const chunk of stream) text += chunk.choices[0]!.text;
    }).rejects.toThrow('the GPU went away');
    expect(text).toBe('ab');
    const raw = await post(server, '/v1/chat/completions', {
      model: 'base',
      messages: [{ role: 'user', content: 'x' }],
      stream: true,
    });
    const events = parseEvents(await raw.text());
    expect(events.at(-1)!.data).toEqual({
      error: { message: 'the GPU went away', type: 'server_error', param: null, code: 'device_lost' },
    });
    expect(server.engine.generating).toBe(0);
  });

  test.each([true, false])('a dropped connection ends the generation (stream: %s)', async (stream) => {
    const server = await startServer();
    server.engine.tokenMilliseconds = 5;
    const leave = new AbortController();
    const response = fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'base', prompt: 'x', max_tokens: 500, n: 3, stream }),
      signal: leave.signal,
    });
    if (stream) await (await response).body!.getReader().read();
    await until(
      () => server.engine.generating,
      (count) => count === 3,
    );
    response.catch(() => {});
    leave.abort();
    await until(
      () => server.engine.generating,
      (count) => count === 0,
    );
    expect(server.engine.aborted).toBe(3);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toContain('subzero_generations_active 0');
  });

  test('more at once than allowed is 429', async () => {
    const server = await startServer({ limits: { activeGenerations: 3 } });
    const response = await post(server, '/v1/completions', { model: 'base', prompt: 'x', n: 4 });
    expect(response.headers.get('retry-after')).toBe('1');
    await expectError(response, 429);
  });

  test('the client repeats what is worth repeating', async () => {
    const server = await startServer();
    server.engine.generationFailure = { after: 0, error: new SubzeroError('out_of_memory', 'no room') };
    const client = server.client.withOptions({ maxRetries: 1, fetch: shortRetries });
    const answer = client.completions.create({ model: 'base', prompt: 'x', max_tokens: 1 });
    await until(
      () => server.engine.generateRequests.length,
      (count) => count === 1,
    );
    server.engine.generationFailure = undefined;
    expect((await answer).choices[0]!.text).toBe('a');
    expect(server.engine.generateRequests).toHaveLength(2);
  });
});

/** The client obeys `retry-after`; the test has no five seconds. */
async function shortRetries(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const response = await fetch(input, init);
  const headers = new Headers(response.headers);
  if (headers.has('retry-after')) headers.set('retry-after-ms', '50');
  return new Response(response.body, { status: response.status, headers });
}

describe('a text beyond the context', () => {
  // What LangChain and LiteLLM look for, in Python and JavaScript.
  const phrases = ['prompt is too long', "this model's maximum context length is 512 tokens"];

  test('is refused in the words that clients look for, wherever it comes in', async () => {
    const server = await startServer({ limits: { promptCharacters: 10_000 } });
    const run = await (await post(server, '/v1/zo/runs', { model: 'base' })).json();
    const words = 'word '.repeat(200);
    const ids = Array(600).fill(65);
    const content = (text: string) => ({ messages: [{ role: 'user', content: text }] });
    for (const [path, body, param] of [
      ['/v1/completions', { prompt: words }, 'prompt'],
      ['/v1/completions', { prompt: words, stream: true }, 'prompt'],
      ['/v1/completions', { prompt: words, echo: true, logprobs: 0, max_tokens: 0 }, 'prompt'],
      ['/v1/completions', { prompt: ids }, 'prompt'],
      ['/v1/completions', { prompt: ['x', 'y'.repeat(20_000)] }, 'prompt'],
      ['/v1/chat/completions', content(words), 'messages'],
      ['/v1/chat/completions', { ...content(words), stream: true }, 'messages'],
      ['/v1/chat/completions', content('y'.repeat(20_000)), 'messages'],
      ['/v1/embeddings', { input: ids }, 'input'],
      ['/v1/embeddings', { input: 'y'.repeat(20_000) }, 'input'],
      [`/v1/zo/runs/${run.id}/sample`, { prompt: words, model: null }, 'prompt'],
      [`/v1/zo/runs/${run.id}/sample`, { prompt: ids, model: null }, 'prompt'],
    ] as const) {
      const error = await expectError(await post(server, path, { model: 'base', ...body }), 400);
      expect(error).toMatchObject({ param, code: 'context_length_exceeded', type: 'invalid_request_error' });
      for (const phrase of phrases) expect(error.message).toContain(phrase);
    }
  });
});

describe('tokens', () => {
  test.each(['/v1', ''])('there and back, at %s', async (base) => {
    const server = await startServer();
    const tokenize = async (body: object) => (await post(server, `${base}/tokenize`, body)).json();
    const answer = { count: 3, max_model_len: 512, tokens: [1, 72, 105], token_strs: null };
    expect(await tokenize({ model: 'base', prompt: 'Hi' })).toEqual(answer);
    expect(await tokenize({ prompt: 'Hi', return_token_strs: true })).toEqual({
      ...answer,
      token_strs: ['<s>', 'H', 'i'],
    });
    expect(await tokenize({ prompt: 'Hi', add_special_tokens: false })).toMatchObject({ tokens: [72, 105] });
    expect(await tokenize({ prompt: '' })).toMatchObject({ tokens: [1] });
    const messages = [{ role: 'user', content: 'Hi' }];
    expect(await tokenize({ messages })).toMatchObject({ tokens: [1, 72, 105, 62] });
    const closed = { messages, add_generation_prompt: false, add_special_tokens: false, chat_template_kwargs: {} };
    expect(await tokenize(closed)).toMatchObject({ tokens: [72, 105] });
    const back = await post(server, `${base}/detokenize`, { tokens: [72, 105, 0xf0] });
    expect(await back.json()).toEqual({ prompt: 'Hi\ufffd' });
    const info = await (await fetch(`${server.url}${base}/tokenizer_info`)).json();
    expect(info).toMatchObject({ model: 'base', bos_token: '<s>', eos_token: null, chat_template: '{{ messages }}' });
    expect(info).toMatchObject({ add_bos_token: true, vocab_size: 256, max_model_len: 512 });
    for (const [body, param] of [
      [{}, 'prompt'],
      [{ prompt: null }, 'prompt'],
      [{ prompt: 'Hi', messages }, 'messages'],
      [{ messages: [] }, 'messages'],
      [{ messages, tools: [{}] }, 'tools'],
      [{ messages, chat_template: '{{ 1 }}' }, 'chat_template'],
      [{ prompt: 'Hi', wobble: 1 }, 'wobble'],
    ] as const) {
      expect((await expectError(await post(server, `${base}/tokenize`, body), 400)).param).toBe(param);
    }
    expect((await expectError(await post(server, `${base}/detokenize`, { tokens: [256] }), 400)).param).toBe('tokens');
    expect((await expectError(await fetch(`${server.url}${base}/tokenizer_info?model=nope`), 404)).param).toBe('model');
  });

  test('a request that names no model means the only tokenizer, or is refused', async () => {
    const models = [
      { id: 'first', path: 'fake:a' },
      { id: 'second', path: 'fake:a' },
    ];
    const one = await startServer({ models });
    expect(await (await fetch(`${one.url}/tokenizer_info`)).json()).toMatchObject({ model: 'first' });
    const two = await startServer({ models: [...models, { id: 'third', path: 'fake:b' }] });
    const error = await expectError(await fetch(`${two.url}/tokenizer_info`), 400);
    expect(error).toMatchObject({ param: 'model', code: 'missing_field' });
    expect(error.message).toContain('first, second, third');
    await expectError(await post(two, '/tokenize', { prompt: 'Hi' }), 400);
    await expectError(await post(two, '/detokenize', { tokens: [72] }), 400);
    const named = await fetch(`${two.url}/tokenizer_info?model=third`);
    expect(await named.json()).toMatchObject({ model: 'third' });
    const locked = await startServer({ apiKey: 'secret-key-secret-key' });
    await expectError(await fetch(`${locked.url}/tokenizer_info`), 401);
    await expectError(await fetch(`${(await startServer({ models: [] })).url}/tokenizer_info`), 400);
  });

  test('the length of text is limited before it is tokenised', async () => {
    const server = await startServer({ limits: { promptCharacters: 10 } });
    const text = 'x'.repeat(11);
    for (const [path, body] of [
      ['/v1/tokenize', { prompt: text }],
      ['/v1/completions', { prompt: text }],
      ['/v1/embeddings', { input: ['x', text] }],
      ['/v1/chat/completions', { messages: [{ role: 'user', content: text }] }],
    ] as const) {
      const error = await expectError(await post(server, path, { model: 'base', ...body }), 400);
      expect(error.code).toBe(path === '/v1/tokenize' ? 'too_long' : 'context_length_exceeded');
    }
    // Every refusal has freed its model.
    await server.close();
  });
});
