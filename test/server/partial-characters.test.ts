import type OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testSeed } from '../support/random.ts';
import { parseEvents, post } from './harness.ts';
import { modelId, type RealServer, startRealServer } from './real-server.ts';

let server: RealServer;

beforeAll(async () => {
  server = await startRealServer();
});

afterAll(() => server.close());

type ChatTokens = NonNullable<OpenAI.ChatCompletion.Choice.Logprobs['content']>;

async function ask(path: string, body: object) {
  const response = await post(server, path, { model: modelId, ...body });
  expect(response.status).toBe(200);
  return response.json();
}

const messages = [{ role: 'user', content: 'Say it' }];

/** A bias that leaves these tokens alone to be drawn. */
function only(ids: readonly number[]): Record<number, number> {
  return Object.fromEntries(ids.map((id) => [id, 100]));
}

/** The tokens of the bytes of a text that no longer token holds. */
async function byteTokens(text: string): Promise<number[]> {
  const { tokens } = await ask('/v1/tokenize', { prompt: text, add_special_tokens: false });
  return tokens;
}

describe('bytes', () => {
  test('of a part of a character are its own', async () => {
    const answer = await ask('/v1/chat/completions', {
      ...{ messages, logit_bias: { 176: 100 }, logprobs: true, top_logprobs: 20, max_tokens: 1 },
    });
    const [token] = answer.choices[0].logprobs.content as ChatTokens;
    expect(token).toMatchObject({ token: 'bytes:\\xf0', bytes: [240] });
    expect(token!.top_logprobs[0]).toMatchObject({ token: 'bytes:\\xf0', bytes: [240] });
    for (const { token: name, bytes } of token!.top_logprobs) {
      if (!/^(bytes:|<\|)/.test(name)) expect([...Buffer.from(name)]).toEqual(bytes);
    }
    expect(answer.choices[0].message.content).toBe('\ufffd');
  });

  test(`of all tokens are the bytes of the text, streamed or not (seed ${testSeed})`, async () => {
    const parts = [...(await byteTokens('🙂é☃')), ...(await byteTokens(' film')), 0x61];
    for (let round = 0; round < 8; round++) {
      const body = { messages, logprobs: true, top_logprobs: 2, max_tokens: 24, seed: (testSeed + round) % 2 ** 31 };
      // Token 0 would end the text.
      const bias = { logit_bias: round % 2 === 0 ? { 0: -100 } : { 0: -100, ...only(parts) }, temperature: 2 };
      const whole = (await ask('/v1/chat/completions', { ...body, ...bias })).choices[0];
      const tokens = whole.logprobs.content as ChatTokens;
      const text = Buffer.from(tokens.flatMap(({ bytes }) => bytes!));
      expect(new TextDecoder('utf-8', { ignoreBOM: true }).decode(text)).toBe(whole.message.content);
      const streamed = await post(server, '/v1/chat/completions', {
        ...{ model: modelId, ...body, ...bias, stream: true },
      });
      const choices = parseEvents(await streamed.text())
        .filter(({ data }) => data !== '[DONE]')
        .flatMap(({ data }) => (data as OpenAI.ChatCompletionChunk).choices);
      expect(choices.map(({ delta }) => delta.content ?? '').join('')).toBe(whole.message.content);
      expect(choices.flatMap(({ logprobs }) => logprobs?.content ?? [])).toEqual(tokens);
    }
  });

  test('of a special token are none, since the text does not show it', async () => {
    const answer = await ask('/v1/chat/completions', {
      ...{ messages, logit_bias: { 1: 100 }, logprobs: true, max_tokens: 2 },
    });
    const [choice] = answer.choices;
    expect(choice.logprobs.content.map(({ bytes }: { bytes: number[] }) => bytes)).toEqual([[], []]);
    expect(choice.logprobs.content[0].token).toMatch(/^<\|.*\|>$/);
    expect(choice.message.content).toBe('');
  });
});

describe('completions', () => {
  test('alternatives that are parts of characters all have names of their own', async () => {
    const parts = Array.from({ length: 5 }, (_, index) => 174 + index);
    const answer = await ask('/v1/completions', {
      ...{ prompt: 'The film', max_tokens: 3, logit_bias: only(parts), logprobs: 5, temperature: 0 },
    });
    for (const alternatives of answer.choices[0].logprobs.top_logprobs) {
      expect(Object.keys(alternatives)).toHaveLength(5);
      for (const name of Object.keys(alternatives)) expect(name).toMatch(/^bytes:(\\x[0-9a-f]{2})+$/);
    }
  });

  test('a prompt that ends within a character and its completion are one text', async () => {
    const smile = await byteTokens('🙂');
    expect(smile.length).toBeGreaterThan(1);
    const prompt = [...(await byteTokens('so')), ...smile.slice(0, -1)];
    const complete = { prompt, echo: true, logprobs: 1, max_tokens: 1, logit_bias: only([smile.at(-1)!]) };
    const completed = (await ask('/v1/completions', complete)).choices[0];
    expect(completed.text).toBe('so🙂');
    const { text_offset: offsets } = completed.logprobs;
    expect(offsets.slice(-smile.length)).toEqual(smile.map(() => 2));
    const again = await ask('/v1/completions', { ...complete, logprobs: null });
    expect(again.choices[0].text).toBe('so🙂');
    // Nothing completes it: one replacement character, and what follows stands behind it.
    expect((await ask('/v1/completions', { ...complete, max_tokens: 0 })).choices[0].text).toBe('so\ufffd');
    const [letter] = await byteTokens('s');
    const broken = (await ask('/v1/completions', { ...complete, logit_bias: only([letter!]) })).choices[0];
    expect(broken.text).toBe('so\ufffds');
    expect(broken.logprobs.text_offset.at(-1)).toBe(3);
    const ended = (await ask('/v1/completions', { ...complete, logit_bias: only([0]) })).choices[0];
    expect(ended).toMatchObject({ text: 'so\ufffd', finish_reason: 'stop' });
    expect(ended.logprobs.text_offset.at(-1)).toBe(3);
    // Without the prompt nothing of it is told.
    const answered = (await ask('/v1/completions', { ...complete, echo: false, logit_bias: only([0]) })).choices[0];
    expect(answered.text).toBe('');
  });

  test('a stop string is found in characters of several tokens', async () => {
    const smile = await byteTokens('🙂');
    const prompt = [...(await byteTokens('so')), ...smile.slice(0, -1)];
    const body = { prompt, max_tokens: 4, logit_bias: only([smile.at(-1)!]), stop: ['🙂'], logprobs: 1 };
    const { text, finish_reason: reason } = (await ask('/v1/completions', body)).choices[0];
    expect([text, reason]).toEqual(['', 'stop']);
    const half = await post(server, '/v1/completions', { model: modelId, ...body, stop: ['\ud83d'] });
    expect(half.status).toBe(400);
    expect((await half.json()).error).toMatchObject({ param: 'stop.0', code: 'invalid_value' });
  });
});
