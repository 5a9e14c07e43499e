import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import type { GenerateEvent, GenerateRequest } from '../../src/engine/types.ts';
import { SubzeroError } from '../../src/errors.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { openJournal } from '../../src/zo/journal.ts';
import { randomNumbers } from '../train/killing.ts';
import { collect, optionRows, quick, removeTemporary, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';

interface StoryReference {
  prompts: { text: string; ids: number[]; last_top5: [number, number][]; greedy24: number[]; greedy24_text: string }[];
}

interface ReviewsReference {
  reference: { greedy24: Record<string, string> };
}

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));
const stories = join(fixtures, 'models/tinystories-656k');
const reviews = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));
const { prompts } = JSON.parse(readFileSync(join(stories, 'logits.json'), 'utf8')) as StoryReference;
const { reference } = JSON.parse(readFileSync(join(fixtures, 'golden/reviews-3m.json'), 'utf8')) as ReviewsReference;

let gpu: Gpu;
let engine: LocalEngine;
/** A Llama of 2 layers with room for 4096 tokens, more than a pass takes. */
let long: string;

beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
  long = tinyModel();
  const config = JSON.parse(readFileSync(join(long, 'config.json'), 'utf8')) as Record<string, unknown>;
  writeFileSync(join(long, 'config.json'), JSON.stringify({ ...config, max_position_embeddings: 4096 }));
  await engine.loadModel({ id: 'stories', path: stories });
  await engine.loadModel({ id: 'reviews', path: reviews });
  await engine.loadModel({ id: 'tiny', path: tinyModel() });
  await engine.loadModel({ id: 'long', path: long });
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

interface Generated {
  ids: number[];
  /** The text of the token events, put together. */
  streamed: string;
  text: string;
  finishReason: string;
  promptTokens: number;
  completionTokens: number;
  tokens: Extract<GenerateEvent, { type: 'token' }>[];
}

async function generate(request: GenerateRequest, signal?: AbortSignal): Promise<Generated> {
  const tokens: Generated['tokens'] = [];
  let done: Extract<GenerateEvent, { type: 'done' }> | undefined;
  for await (const event of engine.generate(request, signal)) {
    if (event.type === 'token') tokens.push(event);
    if (event.type === 'done') done = event;
  }
  return {
    ids: tokens.map(({ id }) => id),
    streamed: tokens.map(({ text }) => text).join(''),
    text: done?.text ?? '',
    finishReason: done?.finishReason ?? 'none',
    promptTokens: done?.promptTokens ?? 0,
    completionTokens: done?.completionTokens ?? 0,
    tokens,
  };
}

async function failure(work: Promise<unknown>): Promise<SubzeroError> {
  const error = await work.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SubzeroError);
  return error as SubzeroError;
}

/** ids of random printable characters for the tiny models. */
function randomTokens(count: number, seed: number): number[] {
  const random = randomNumbers(seed);
  return Array.from({ length: count }, () => 1 + Math.floor(random() * 96));
}

describe('greedy text', () => {
  test.each(prompts)(
    'after "$text" is that of the reference',
    async ({ text, ids, last_top5, greedy24, greedy24_text }) => {
      expect(await engine.tokenize('stories', text)).toEqual(ids);
      const request = { model: 'stories', prompt: text, maxTokens: 24, temperature: 0, topLogprobs: 5 };
      const result = await generate(request);
      expect(result.ids).toEqual(greedy24);
      expect(result.text).toBe(greedy24_text);
      expect(result).toMatchObject({ finishReason: 'length', promptTokens: ids.length, completionTokens: 24 });
      expect(result.streamed).toBe(greedy24_text);
      // Differences of logits are differences of log-probabilities.
      const { topLogprobs, logprob } = result.tokens[0]!;
      expect(topLogprobs.map(({ id }) => id)).toEqual(last_top5.map(([id]) => id));
      expect(logprob).toBe(topLogprobs[0]!.logprob);
      for (const [index, [, logit]] of last_top5.entries()) {
        expect(topLogprobs[0]!.logprob - topLogprobs[index]!.logprob).toBeCloseTo(last_top5[0]![1] - logit, 3);
      }
    },
  );

  test.each(Object.entries(reference.greedy24))(
    'after "%s" ends where the reference ended its text',
    async (prompt, whole) => {
      const { text, finishReason, completionTokens, ids } = await generate({
        model: 'reviews',
        prompt,
        temperature: 0,
      });
      // The reference went on behind the end-of-text token, with the beginning of the next review.
      expect(whole.startsWith(prompt + text)).toBe(true);
      expect(whole.slice((prompt + text).length)).toMatch(/^Rev/);
      expect(finishReason).toBe('stop');
      expect(completionTokens).toBe(ids.length + 1);
    },
  );

  test('with a cache says what a pass over the whole sequence says', async () => {
    const tokens = randomTokens(20, 1);
    const result = await generate({ model: 'tiny', tokens, maxTokens: 40, temperature: 1, seed: 3 });
    const model = await loadModel(gpu, tinyModel());
    const logits = await sequenceLogits(model, [...tokens, ...result.ids]);
    for (const [index, { id, logprob }] of result.tokens.entries()) {
      const row = logits[tokens.length - 1 + index]!;
      const highest = Math.max(...row);
      const total = row.reduce((sum, value) => sum + Math.exp(value - highest), 0);
      expect(logprob).toBeCloseTo(row[id]! - highest - Math.log(total), 4);
    }
    model.destroy();
  });
});

describe('a prompt longer than a pass', () => {
  // A pass takes 1024 rows, or 256 with those of running texts: this one comes in three pieces, or ten.
  const tokens = randomTokens(2500, 2);

  test('is read in pieces, and continued as if read at once', async () => {
    const { ids, promptTokens } = await generate({ model: 'long', tokens, maxTokens: 4, temperature: 0 });
    expect(promptTokens).toBe(2500);
    const model = await loadModel(gpu, long);
    const last = (await sequenceLogits(model, [...tokens, ...ids])).slice(2499, 2503);
    expect(ids).toEqual(last.map((row) => row.indexOf(Math.max(...row))));
    model.destroy();
  });

  test('lets go on what runs beside it', async () => {
    const running = engine.generate({
      model: 'long',
      tokens: randomTokens(30, 3),
      maxTokens: 60,
      logitBias: { 0: -100 },
    });
    let between = 0;
    let reading: Promise<void> | undefined;
    let read = false;
    for await (const { type } of running) {
      if (type !== 'token' || read) continue;
      if (reading) between++;
      reading ??= generate({ model: 'long', tokens, maxTokens: 1 }).then(() => {
        read = true;
      });
    }
    await reading;
    // Ten pieces, each with a token of the other.
    expect(between).toBeGreaterThanOrEqual(9);
  });

  test('does not change what runs beside it', async () => {
    const short = { model: 'long', tokens: randomTokens(30, 3), maxTokens: 20, temperature: 0.8, seed: 5 };
    const big = { model: 'long', tokens, maxTokens: 5, temperature: 0 };
    const [alone, bigAlone] = [await generate(short), await generate(big)];
    const [beside, bigBeside] = await Promise.all([generate(short), generate(big)]);
    expect(beside.ids).toEqual(alone.ids);
    expect(bigBeside.ids).toEqual(bigAlone.ids);
  });
});

describe('several requests at once', () => {
  test('get the texts that they get one by one', async () => {
    const requests = Array.from({ length: 12 }, (_, i) => ({
      model: 'stories',
      prompt: `${['One day', 'Once upon a time', 'Lily saw', 'The'][i % 4]}`,
      maxTokens: 6 + 3 * i,
      temperature: [0, 0.7, 1, 1.3][i % 4]!,
      topK: i % 3 === 0 ? 20 : 0,
      topP: i % 3 === 1 ? 0.9 : 1,
      seed: 100 + i,
    }));
    const alone: Generated[] = [];
    for (const request of requests) alone.push(await generate(request));
    const together = await Promise.all(requests.map((request) => generate(request)));
    expect(together.map(({ ids }) => ids)).toEqual(alone.map(({ ids }) => ids));
    expect(together.map(({ text }) => text)).toEqual(alone.map(({ text }) => text));
    expect(new Set(alone.map(({ text }) => text)).size).toBeGreaterThan(8);
  });

  test('of the same seed agree, of others differ', async () => {
    const request = { model: 'stories', prompt: 'One day', maxTokens: 12 };
    const seeds = [1, 2, 1, 3, 2];
    const texts = (await Promise.all(seeds.map((seed) => generate({ ...request, seed })))).map(({ text }) => text);
    expect(texts[2]).toBe(texts[0]);
    expect(texts[4]).toBe(texts[1]);
    expect(new Set(texts).size).toBe(3);
    const [one, other] = await Promise.all([generate(request), generate(request)]);
    expect(one.text).not.toBe(other.text);
  });

  test('beyond what the cache holds wait for their turn; all are served and memory is flat', async () => {
    // The cache of this model has room for 64 sequences of full length; each of these reserves the whole context.
    const results = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        generate({ model: 'tiny', tokens: randomTokens(120, i), maxTokens: 1000, seed: i }),
      ),
    );
    expect(results.every(({ finishReason }) => finishReason === 'length' || finishReason === 'stop')).toBe(true);
    const { liveBytes } = (await engine.info()).memory;
    await Promise.all(
      Array.from({ length: 70 }, (_, i) => generate({ model: 'tiny', tokens: randomTokens(120, i), seed: i })),
    );
    expect((await engine.info()).memory.liveBytes).toBe(liveBytes);
  });
});

describe('the end of a text', () => {
  const [story] = prompts;

  test.each([
    { stop: ['lad. H'], shown: 'my loved to eat sa' },
    { stop: ['never', '. One'], shown: 'my loved to eat salad. He would eat salad' },
    { stop: ['my'], shown: '' },
  ])('before the stop string $stop, across the borders of tokens', async ({ stop, shown }) => {
    const request = { model: 'stories', prompt: story!.text, maxTokens: 24, temperature: 0, stop };
    const { text, streamed, finishReason, completionTokens } = await generate(request);
    expect(text).toBe(shown);
    expect(streamed).toBe(shown);
    expect(finishReason).toBe('stop');
    expect(completionTokens).toBeLessThan(24);
  });

  test('what could have become a stop string is in the final text', async () => {
    const request = { model: 'stories', prompt: story!.text, maxTokens: 5, temperature: 0 };
    const whole = (await generate(request)).text;
    const stop = [`${whole.slice(-3)}§`];
    const held = await generate({ ...request, stop });
    expect(held.text).toBe(whole);
    expect(held.streamed).toBe(whole.slice(0, -3));
    expect(held.finishReason).toBe('length');
  });

  test('at the length that was asked for', async () => {
    const result = await generate({ model: 'stories', prompt: 'One day', maxTokens: 3, temperature: 0 });
    expect(result).toMatchObject({ finishReason: 'length', completionTokens: 3 });
    expect(await generate({ model: 'stories', prompt: 'One day', maxTokens: 0 })).toMatchObject({
      finishReason: 'length',
      completionTokens: 0,
      text: '',
    });
  });

  test('at the end of the context', async () => {
    // Context 128: the last token fits, nothing behind it.
    const full = await generate({ model: 'tiny', tokens: randomTokens(127, 4), maxTokens: 50, logitBias: { 0: -100 } });
    expect(full).toMatchObject({ finishReason: 'length', completionTokens: 1 });
    const some = await generate({ model: 'tiny', tokens: randomTokens(100, 4), maxTokens: 50, logitBias: { 0: -100 } });
    expect(some).toMatchObject({ finishReason: 'length', completionTokens: 28 });
  });
});

describe('characters of several bytes', () => {
  test('come whole, when their last byte does', async () => {
    const snowman = await engine.tokenize('reviews', '☃', false);
    expect(snowman.length).toBe(3);
    const [first, second, third] = snowman as [number, number, number];
    const start = await engine.tokenize('reviews', 'costs');
    const force = (id: number) => ({ model: 'reviews', maxTokens: 1, temperature: 0, logitBias: { [id]: 1000 } });
    expect(await generate({ ...force(third), tokens: [...start, first, second] })).toMatchObject({
      text: '☃',
      streamed: '☃',
    });
    // A part alone is nothing yet in the stream, and a replacement character in the end.
    const part = await generate({ ...force(second), tokens: [...start, first] });
    expect(part.tokens[0]!.text).toBe('');
    expect(part.text).toBe('\ufffd');
  });
});

describe('sampling from what the GPU finds', () => {
  test.each([{ temperature: 0.3 }, {}, { temperature: 3, topLogprobs: 3 }, { topK: 30 }, { topP: 0.8 }])(
    'gives the text that sampling from all logits gives, with %j',
    async (options) => {
      const request = { model: 'stories', prompt: 'One day', maxTokens: 40, seed: 17, ...options };
      const found = await generate(request);
      // A bias of nothing changes nothing, but a request with biases reads all logits.
      const whole = await generate({ ...request, logitBias: { 0: 0 } });
      expect(found.ids).toEqual(whole.ids);
      for (const [index, { logprob, topLogprobs }] of found.tokens.entries()) {
        expect(logprob).toBeCloseTo(whole.tokens[index]!.logprob, 3);
        expect(topLogprobs.map(({ id }) => id)).toEqual(whole.tokens[index]!.topLogprobs.map(({ id }) => id));
      }
    },
  );
});

describe('adjustments', () => {
  test('a bias forbids and forces', async () => {
    const [story] = prompts;
    const request = { model: 'stories', prompt: story!.text, maxTokens: 4, temperature: 0 };
    const [first] = story!.greedy24;
    const without = await generate({ ...request, logitBias: { [first!]: -100 } });
    expect(without.ids).not.toContain(first);
    expect((await generate({ ...request, logitBias: { 1234: 100 } })).ids).toEqual([1234, 1234, 1234, 1234]);
  });

  test('penalties keep from repeating what was generated', async () => {
    const request = { model: 'stories', prompt: 'One day', maxTokens: 30, temperature: 0 };
    const repeating = await generate(request);
    expect(new Set(repeating.ids).size).toBeLessThan(30);
    const penalised = await generate({ ...request, presencePenalty: 2, frequencyPenalty: 100 });
    expect(new Set(penalised.ids).size).toBe(30);
  });
});

describe('refused', () => {
  test.each([
    {
      ...{
        what: 'a prompt that fills the context',
        tokens: randomTokens(128, 1),
        text: 'maximum context length is 128 tokens',
      },
      code: 'context_length_exceeded',
    },
    { what: 'a token that is not in the vocabulary', tokens: [5, 160], text: 'token 160', code: 'invalid_argument' },
    { what: 'a negative token', tokens: [-1], text: 'token -1', code: 'invalid_argument' },
    { what: 'half a token', tokens: [1.5], text: 'token 1.5', code: 'invalid_argument' },
  ])('$what', async ({ tokens, text, code }) => {
    const error = await failure(generate({ model: 'tiny', tokens }));
    expect(error).toMatchObject({ code, parameter: 'prompt' });
    expect(error.message).toContain(text);
  });

  test('a seed that is none, without harm to what runs beside it', async () => {
    const request = { model: 'tiny', tokens: [5], maxTokens: 20, logitBias: { 0: -100 } };
    const beside = generate(request);
    expect(await failure(generate({ ...request, seed: -1 }))).toMatchObject({
      ...{ code: 'invalid_argument', parameter: 'seed' },
    });
    expect((await beside).completionTokens).toBe(20);
  });

  test('messages for a model without a chat template', async () => {
    const messages = [{ role: 'user', content: 'a' }];
    expect((await failure(generate({ model: 'tiny', messages }))).code).toBe('unsupported');
  });

  test('a model that is not loaded, naming those that are', async () => {
    const error = await failure(generate({ model: 'nobody', prompt: 'a' }));
    expect(error).toMatchObject({ code: 'not_found', parameter: 'model' });
    expect(error.message).toContain('stories');
  });

  test('not: an empty prompt, which starts from the end-of-text token', async () => {
    expect((await generate({ model: 'reviews', tokens: [], maxTokens: 2 })).promptTokens).toBe(1);
  });
});

describe('an abort', () => {
  const request = { model: 'tiny', tokens: randomTokens(10, 9), logitBias: { 0: -100 } };

  test('ends the stream early and quietly', async () => {
    const abort = new AbortController();
    const types: string[] = [];
    for await (const event of engine.generate(request, abort.signal)) {
      types.push(event.type);
      if (types.length === 3) abort.abort();
    }
    expect(types.slice(0, 3)).toEqual(['start', 'token', 'token']);
    expect(types.length).toBeLessThan(6);
    expect(types).not.toContain('done');
  });

  test('before the start ends it, too', async () => {
    const result = await generate(request, AbortSignal.abort());
    expect(result).toMatchObject({ ids: [], finishReason: 'none' });
  });

  test('frees the place in the cache, as does a consumer that leaves', async () => {
    // More than the cache has room for: if one in two were not freed, the later ones would wait for ever.
    for (let i = 0; i < 140; i++) {
      const abort = new AbortController();
      for await (const event of engine.generate(request, abort.signal)) {
        if (event.type !== 'token') continue;
        if (i % 2 === 0) abort.abort();
        else break;
      }
    }
    const { completionTokens } = await generate(request);
    expect(completionTokens).toBe(118);
  });

  test('of one leaves the others alone', async () => {
    const whole = await generate({ ...request, seed: 4 });
    const abort = new AbortController();
    const others = [4, 4].map((seed) => generate({ ...request, seed }));
    let tokens = 0;
    for await (const event of engine.generate({ ...request, seed: 5 }, abort.signal)) {
      if (event.type === 'token' && ++tokens === 3) abort.abort();
    }
    expect(tokens).toBeLessThan(118);
    for (const other of await Promise.all(others)) expect(other.ids).toEqual(whole.ids);
  });
});

describe('unloading', () => {
  test('ends what is being generated with an error; the engine goes on', async () => {
    await engine.loadModel({ id: 'leaving', path: tinyModel() });
    const before = (await engine.info()).memory.byCategory;
    const request = { model: 'leaving', tokens: randomTokens(10, 9), logitBias: { 0: -100 } };
    const first = engine.generate(request)[Symbol.asyncIterator]();
    // A stream begins its work when it is asked for what follows "start".
    for (const type of ['start', 'token']) expect((await first.next()).value).toMatchObject({ type });
    const texts = Array.from({ length: 80 }, () => failure(generate(request)));
    const waiting = engine.generate(request)[Symbol.asyncIterator]();
    expect((await waiting.next()).value).toMatchObject({ type: 'start' });
    for (const type of ['token', 'token']) expect((await first.next()).value).toMatchObject({ type });
    await engine.unloadModel('leaving');
    for (const error of await Promise.all(texts)) {
      expect(error.code).toBe('cancelled');
      expect(error.message).toContain('unloaded');
    }
    // One that had only begun hears of it, too.
    await expect(waiting.next()).rejects.toMatchObject({ code: 'cancelled' });
    const after = (await engine.info()).memory.byCategory;
    expect(after.weights).toBeLessThan(before.weights!);
    expect(after.cache).toBe(before.cache);
    expect(after.activations).toBe(before.activations);
    expect((await generate({ ...request, model: 'tiny', maxTokens: 3 })).completionTokens).toBe(3);
  });

  test('ends evaluations', async () => {
    await engine.loadModel({ id: 'leaving', path: tinyModel() });
    const data = { file: writeRows(optionRows(600)) };
    let unloading: Promise<void> | undefined;
    const evaluation = failure(
      engine.evaluate({ model: 'leaving', data }, () => {
        unloading ??= engine.unloadModel('leaving');
      }),
    );
    expect((await evaluation).code).toBe('cancelled');
    await unloading;
    expect(
      (await generate({ model: 'tiny', tokens: [5], maxTokens: 3, logitBias: { 0: -100 } })).completionTokens,
    ).toBe(3);
  });
});

describe('training and generating at the same time', () => {
  test('both end, and neither changes what the other does', async () => {
    const model = tinyModel();
    const data = { file: writeRows(optionRows()) };
    const train = async (): Promise<string> => {
      const out = join(temporaryFolder(), 'run');
      const events = await collect(engine.train({ model, data, configuration: { ...quick, steps: 40 }, out }));
      expect(events.at(-1)).toMatchObject({ outcome: 'finished', step: 40 });
      return join(out, 'journal.subzero');
    };
    const write = async (): Promise<string[]> => {
      const texts: string[] = [];
      for (let seed = 0; seed < 6; seed++) {
        texts.push((await generate({ model: 'stories', prompt: 'One day', maxTokens: 16, seed })).text);
      }
      return texts;
    };
    const [journalAlone, textsAlone] = [await train(), await write()];
    const [journal, texts] = await Promise.all([train(), write()]);
    expect((await openJournal(journal)).records).toEqual((await openJournal(journalAlone)).records);
    expect(texts).toEqual(textsAlone);
  });
});
