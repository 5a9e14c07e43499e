/**
 * Log-probabilities of a prompt's tokens: against transformers, against logits of whole sequences, and against
 * generation.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import type { GenerateEvent, GenerateRequest, PlacedToken } from '../../src/engine/types.ts';
import { promptOffsets } from '../../src/generate/text-offsets.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { f32ToBytes, openSafetensors, writeSafetensors } from '../../src/safetensors/index.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { loadTokenizer } from '../../src/tokenizer/index.ts';
import { restoreRun } from '../../src/train/run.ts';
import { Random, testSeed } from '../support/random.ts';
import { tinyModels } from '../support/tiny-models.ts';
import { optionRows, removeTemporary, tinyModel, trainUpTo, writeRows } from '../train/tiny.ts';

interface Scores {
  text: string;
  ids: number[];
  logprobs: number[];
  top5: [number, number][][];
}

interface OptionScores {
  prompt_ids: number[];
  option_ids: number[][];
  option_token_logprobs: number[][];
}

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));
const reviews = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));
const stories = join(fixtures, 'models/tinystories-656k');

function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(join(fixtures, file), 'utf8')) as T;
}

const random = new Random(testSeed, 'scores of prompts');
/** Vocabulary of a model of whose logits 699 rows are made at a time. */
const wide = 24_000;

let gpu: Gpu;
let engine: LocalEngine;
let directories: Record<string, string>;

beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
  directories = {
    'tinystories-656k': stories,
    'reviews-3m': reviews,
    long: withConfiguration(tinyModel(), { max_position_embeddings: 4096 }),
    window: withConfiguration(tinyModel('mistral-tiny'), { max_position_embeddings: 4096 }),
    wide: await wideModel(),
  };
  for (const [id, path] of Object.entries(directories)) await engine.loadModel({ id, path });
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

function withConfiguration(directory: string, changes: object): string {
  const file = join(directory, 'config.json');
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...changes }));
  return directory;
}

/** A tiny Llama with a large vocabulary of random embeddings, some of them equal. */
async function wideModel(change: (embedding: Float32Array) => void = () => {}): Promise<string> {
  const directory = withConfiguration(tinyModel(), { vocab_size: wide, max_position_embeddings: 2048 });
  const file = join(directory, 'model.safetensors');
  const opened = await openSafetensors(file);
  const embedding = random.normals(wide * 32, 0.3, 0);
  change(embedding);
  const tensors = await Promise.all(
    [...opened.tensors].map(async ([name, { dtype, shape }]) => {
      const isEmbedding = shape[0] === 160;
      const data = isEmbedding ? f32ToBytes('F32', embedding) : await opened.read(name);
      return { name, dtype, shape: isEmbedding ? [wide, 32] : [...shape], data: () => [data] };
    }),
  );
  await opened.close();
  await writeSafetensors(file, tensors);
  return directory;
}

interface Result {
  tokens: PlacedToken[];
  generated: Extract<GenerateEvent, { type: 'token' }>[];
  types: string[];
  done: Extract<GenerateEvent, { type: 'done' }> | undefined;
}

async function score(request: GenerateRequest, signal?: AbortSignal): Promise<Result> {
  const result: Result = { tokens: [], generated: [], types: [], done: undefined };
  for await (const event of engine.generate({ maxTokens: 0, scorePrompt: true, ...request }, signal)) {
    result.types.push(event.type);
    if (event.type === 'prompt') result.tokens.push(...event.tokens);
    if (event.type === 'token') result.generated.push(event);
    if (event.type === 'done') result.done = event;
  }
  return result;
}

function logprobsOf(tokens: readonly PlacedToken[]): number[] {
  return tokens.slice(1).map(({ logprob }) => logprob!);
}

function randomTokens(count: number, vocabulary = 97): number[] {
  return Array.from({ length: count }, () => 1 + Math.floor(random.uniform() * (vocabulary - 1)));
}

function largestDifference(actual: readonly number[], expected: readonly number[]): number {
  expect(actual.length).toBe(expected.length);
  return actual.reduce((most, value, index) => Math.max(most, Math.abs(value - expected[index]!)), 0);
}

/** ln softmax in f64. */
function logSoftmax(logits: Float32Array): Float64Array {
  const highest = logits.reduce((most, value) => Math.max(most, value));
  const total = logits.reduce((sum, value) => sum + Math.exp(value - highest), 0);
  return Float64Array.from(logits, (value) => value - highest - Math.log(total));
}

/**
 * Compares with logits of the whole sequence at once: the tokens' own log-probabilities, and those of the most likely
 * ones.
 */
function expectScores(tokens: readonly PlacedToken[], ids: readonly number[], logits: readonly Float32Array[]): void {
  expect(tokens.map(({ id }) => id)).toEqual(ids);
  expect(tokens[0]).toMatchObject({ logprob: null, topLogprobs: [], textOffset: 0 });
  for (const [index, { id, logprob, topLogprobs }] of tokens.entries()) {
    if (index === 0) continue;
    const expected = logSoftmax(logits[index - 1]!);
    expect(Math.abs(logprob! - expected[id]!)).toBeLessThan(1e-4);
    const best = Float64Array.from(expected).sort().reverse();
    for (const [rank, top] of topLogprobs.entries()) {
      expect(Math.abs(top.logprob - best[rank]!)).toBeLessThan(1e-4);
      expect(Math.abs(top.logprob - expected[top.id]!)).toBeLessThan(1e-4);
    }
    expect(new Set(topLogprobs.map((top) => top.id)).size).toBe(topLogprobs.length);
  }
}

describe('against transformers', () => {
  const golden = readJson<Record<string, Scores>>('golden/prompt-logprobs.json');

  test.each(['tinystories-656k', 'reviews-3m'])('every token of a text, by %s', async (model) => {
    const { text, ids, logprobs, top5 } = golden[model]!;
    const { tokens, done, types } = await score({ model, prompt: text, topLogprobs: 5 });
    expect(tokens.map(({ id }) => id)).toEqual(ids);
    expect(largestDifference(logprobsOf(tokens), logprobs)).toBeLessThan(3e-5);
    for (const [index, { topLogprobs }] of tokens.slice(1).entries()) {
      expect(topLogprobs.map(({ id }) => id)).toEqual(top5[index]!.map(([id]) => id));
      const values = topLogprobs.map(({ logprob }) => logprob);
      expect(
        largestDifference(
          values,
          top5[index]!.map(([, value]) => value),
        ),
      ).toBeLessThan(3e-5);
    }
    expect(done).toMatchObject({ finishReason: 'length', text: '', promptTokens: ids.length, completionTokens: 0 });
    expect(types).toEqual(['start', 'prompt', 'prompt', 'done']);
  });

  test('options behind a prompt', async () => {
    const { sst2_dev_first8 } = readJson<{ sst2_dev_first8: OptionScores[] }>('golden/reviews-3m.json');
    for (const { prompt_ids, option_ids, option_token_logprobs } of sst2_dev_first8) {
      for (const [index, option] of option_ids.entries()) {
        const { tokens } = await score({ model: 'reviews-3m', tokens: [...prompt_ids, ...option] });
        const scores = logprobsOf(tokens).slice(prompt_ids.length - 1);
        expect(largestDifference(scores, option_token_logprobs[index]!)).toBeLessThan(1e-4);
      }
    }
  });

  test.each(tinyModels)('the mean of %s', async (name) => {
    const { ids, mean_nll } = readJson<{ ids: number[][]; mean_nll: (number | null)[] }>(`models/${name}/logits.json`);
    await engine.loadModel({ id: name, path: tinyModel(name) });
    const results = await Promise.all(ids.map((tokens) => score({ model: name, tokens })));
    for (const [index, { tokens }] of results.entries()) {
      const scores = logprobsOf(tokens);
      const mean = -scores.reduce((sum, value) => sum + value, 0) / scores.length;
      if (mean_nll[index] === null) expect(scores).toEqual([]);
      else expect(Math.abs(mean - mean_nll[index]!)).toBeLessThan(1e-5);
    }
    await engine.unloadModel(name);
  });
});

describe('against generation', () => {
  test.each(['tinystories-656k', 'reviews-3m'])('greedy text by %s is as likely when it is read', async (model) => {
    const prompt = model === 'reviews-3m' ? 'The film was' : 'One day, Lily went to';
    const request = { model, prompt, maxTokens: 24, temperature: 0, topLogprobs: 3 };
    const made = await score(request);
    expect(made.generated.length).toBeGreaterThan(10);
    const start = made.tokens.map(({ id }) => id);
    const ids = [...start, ...made.generated.map(({ id }) => id)];
    const { tokens } = await score({ model, tokens: ids, topLogprobs: 3 });
    const written = tokens.slice(start.length);
    const difference = largestDifference(
      written.map(({ logprob }) => logprob!),
      made.generated.map(({ logprob }) => logprob),
    );
    expect(difference).toBeLessThan(1e-5);
    for (const [index, { id, logprob, topLogprobs }] of written.entries()) {
      // The same number, so that one can tell a greedy text by comparing.
      expect(topLogprobs[0]).toMatchObject({ id, logprob });
      expect(topLogprobs.map((top) => top.id)).toEqual(made.generated[index]!.topLogprobs.map((top) => top.id));
    }
    // What is asked about the prompt changes nothing of the text.
    const plain = await score({ ...request, scorePrompt: false });
    expect(plain.generated).toEqual(made.generated);
    expect(plain.types).not.toContain('prompt');
    expect(made.types.lastIndexOf('prompt')).toBeLessThan(made.types.indexOf('token'));
  });

  test('the token that ends a text is told with its log-probability', async () => {
    const { generated, done } = await score({
      model: 'reviews-3m',
      prompt: 'The film was',
      maxTokens: 60,
      temperature: 0,
      topLogprobs: 2,
    });
    expect(done).toMatchObject({ finishReason: 'stop', endToken: { id: 0, text: '<|endoftext|>' } });
    expect(done!.endToken!.textOffset).toBe(done!.text.length);
    expect(done!.endToken!.topLogprobs[0]).toMatchObject({ id: 0, logprob: done!.endToken!.logprob });
    expect(generated.map(({ tokenText }) => tokenText).join('')).toBe(done!.text);
    const places = generated.map(({ tokenText, textOffset }) =>
      done!.text.slice(textOffset, textOffset + tokenText.length),
    );
    expect(places).toEqual(generated.map(({ tokenText }) => tokenText));
  });
});

describe('long prompts', () => {
  test.each(['long', 'window'])('are scored in the pieces in which they are read (%s)', async (model) => {
    const ids = randomTokens(2500);
    const { tokens, types } = await score({ model, tokens: ids, topLogprobs: 4 });
    expect(types).toEqual(['start', 'prompt', 'prompt', 'prompt', 'prompt', 'done']);
    const loaded = await loadModel(gpu, directories[model]!);
    expectScores(tokens, ids, await sequenceLogits(loaded, ids));
    loaded.destroy();
  });

  test('of a large vocabulary are scored some rows after the others', async () => {
    const ids = randomTokens(800, wide);
    const { tokens, types } = await score({ model: 'wide', tokens: ids, topLogprobs: 2 });
    expect(types).toEqual(['start', 'prompt', 'prompt', 'done']);
    const loaded = await loadModel(gpu, directories.wide!);
    const logits = await sequenceLogits(loaded, ids);
    loaded.destroy();
    // On both sides of the border between the first rows and the others.
    for (const start of [0, 690, 750]) {
      const some = ids.slice(start, start + 30);
      const [first, ...others] = tokens.slice(start, start + 30);
      const shown = [{ ...first!, logprob: null, topLogprobs: [], textOffset: 0 }, ...others];
      expectScores(shown, some, logits.slice(start, start + 30));
    }
  });

  test('may fill the context when nothing is generated', async () => {
    const { contextLength } = (await engine.models()).find(({ id }) => id === 'reviews-3m')!;
    const tokens = randomTokens(contextLength, 4000);
    expect((await score({ model: 'reviews-3m', tokens })).tokens).toHaveLength(contextLength);
    await expect(score({ model: 'reviews-3m', tokens, maxTokens: 1 })).rejects.toMatchObject({
      code: 'context_length_exceeded',
    });
    const longer = score({ model: 'reviews-3m', tokens: [...tokens, 5] });
    await expect(longer).rejects.toMatchObject({ code: 'context_length_exceeded' });
  });

  test('let go on what runs beside them, and do not change it', async () => {
    const ids = randomTokens(2000);
    const running = { model: 'long', tokens: randomTokens(30), maxTokens: 60, seed: 3, logitBias: { 0: -100 } };
    const alone = await score({ ...running, scorePrompt: false });
    const scoredAlone = await score({ model: 'long', tokens: ids, topLogprobs: 1 });
    const together: number[] = [];
    let between = 0;
    let reading: Promise<Result> | undefined;
    let read = false;
    for await (const event of engine.generate(running)) {
      if (event.type !== 'token') continue;
      together.push(event.id);
      if (read) continue;
      if (reading) between++;
      reading ??= score({ model: 'long', tokens: ids, topLogprobs: 1 });
      void reading.then(() => {
        read = true;
      });
    }
    expect(together).toEqual(alone.generated.map(({ id }) => id));
    // In pieces of 128 rows, half of those of a prompt that is only read.
    expect(between).toBeGreaterThanOrEqual(15);
    const beside = logprobsOf((await reading!).tokens);
    expect(largestDifference(beside, logprobsOf(scoredAlone.tokens))).toBeLessThan(1e-4);
  });
});

describe('many at once', () => {
  test('get what they get one by one, whatever else they ask for', async () => {
    const requests = Array.from({ length: 20 }, (_, index): GenerateRequest => {
      const length = 1 + Math.floor(random.uniform() * 200);
      return {
        model: 'long',
        tokens: randomTokens(length),
        topLogprobs: index % 4,
        maxTokens: index % 3,
        temperature: 0,
      };
    });
    const alone: Result[] = [];
    for (const request of requests) alone.push(await score(request));
    const together = await Promise.all(requests.map((request) => score(request)));
    for (const [index, { tokens, generated, done }] of together.entries()) {
      const expected = alone[index]!;
      expect(largestDifference(logprobsOf(tokens), logprobsOf(expected.tokens))).toBeLessThan(1e-4);
      expect(tokens.map(({ topLogprobs }) => topLogprobs.length)).toEqual(
        tokens.map((_, place) => (place === 0 ? 0 : index % 4)),
      );
      expect(generated.map(({ id }) => id)).toEqual(expected.generated.map(({ id }) => id));
      expect(done!.completionTokens).toBe(expected.done!.completionTokens);
    }
  });

  test('memory is flat, and an abort on the way frees the place in the cache', async () => {
    const requests = Array.from({ length: 6 }, () => ({ model: 'long', tokens: randomTokens(2100) }));
    const stopped = async (request: GenerateRequest): Promise<void> => {
      const abort = new AbortController();
      let seen = 0;
      for await (const { type } of engine.generate({ maxTokens: 0, scorePrompt: true, ...request }, abort.signal)) {
        if (type === 'prompt' && ++seen === 2) abort.abort();
        expect(type).not.toBe('done');
      }
      expect(seen).toBeLessThan(4);
    };
    await score(requests[0]!);
    const { liveBytes } = (await engine.info()).memory;
    for (const request of requests.slice(0, 2)) await stopped(request);
    await Promise.all(requests.map(stopped));
    expect((await score(requests[0]!)).tokens).toHaveLength(2100);
    expect((await engine.info()).memory.liveBytes).toBe(liveBytes);
  });

  test('unloading ends them with an error', async () => {
    await engine.loadModel({ id: 'leaving', path: directories.long! });
    const before = (await engine.info()).memory.byCategory;
    const running = engine.generate({ model: 'leaving', tokens: randomTokens(3000), maxTokens: 0, scorePrompt: true });
    const iterator = running[Symbol.asyncIterator]();
    for (const type of ['start', 'prompt', 'prompt']) expect((await iterator.next()).value).toMatchObject({ type });
    await engine.unloadModel('leaving');
    await expect(async () => {
      while (!(await iterator.next()).done);
    }).rejects.toMatchObject({ code: 'cancelled' });
    const after = (await engine.info()).memory.byCategory;
    expect(after.scratch).toBe(before.scratch);
    expect(after.activations).toBe(before.activations);
  });
});

describe('what the GPU does not tell', () => {
  test('equal logits of more tokens than it lists are looked at in whole rows', async () => {
    const path = await wideModel((embedding) => {
      for (let token = 1; token < wide; token++) embedding.copyWithin(token * 32, 0, 32);
    });
    await engine.loadModel({ id: 'equal', path });
    const { tokens } = await score({ model: 'equal', tokens: [5, 6, 7], topLogprobs: 2 });
    for (const { logprob, topLogprobs } of tokens.slice(1)) {
      expect(logprob).toBeCloseTo(-Math.log(wide), 4);
      expect(topLogprobs.map(({ id }) => id)).toEqual([0, 1]);
    }
    await engine.unloadModel('equal');
  });

  test('more alternatives than it lists', async () => {
    const ids = randomTokens(12, wide);
    const { tokens } = await score({ model: 'wide', tokens: ids, topLogprobs: 100 });
    const loaded = await loadModel(gpu, directories.wide!);
    expectScores(tokens, ids, await sequenceLogits(loaded, ids));
    expect(tokens.at(-1)!.topLogprobs).toHaveLength(100);
    loaded.destroy();
  });

  test('NaN is an error', async () => {
    const path = await wideModel((embedding) => {
      embedding.fill(Number.NaN, 9 * 32, 10 * 32);
    });
    await engine.loadModel({ id: 'damaged', path });
    for (const maxTokens of [0, 2]) {
      await expect(score({ model: 'damaged', tokens: [3, 4, 5], maxTokens })).rejects.toMatchObject({
        code: 'invalid_data',
      });
    }
    await engine.unloadModel('damaged');
  });
});

describe('tuned models', () => {
  const settings: [string, string, Partial<TrainConfiguration>][] = [
    ['llama-tiny', 'subzero', {}],
    ['llama-tiny', 'mezo', { optimizer: 'mezo' }],
    ['llama-tiny', 'lora', { scheme: 'lora' }],
    ['qwen3-tiny', 'prompt', { scheme: 'prompt', virtualTokens: 5 }],
    ['qwen2-tiny', 'prefix', { scheme: 'prefix', virtualTokens: 3, epsilon: 1e-2 }],
  ];

  test.each(settings)('%s, %s: are scored as they generate', async (name, title, configuration) => {
    const file = writeRows(optionRows());
    const { run } = await trainUpTo(engine, { model: tinyModel(name), file }, { learningRate: 2e-3, ...configuration });
    await engine.loadModel({ id: title, path: run });
    const made = await score({ model: title, prompt: 'a warm film', maxTokens: 12, temperature: 0, topLogprobs: 3 });
    const ids = [...made.tokens, ...made.generated].map(({ id }) => id);
    const { tokens } = await score({ model: title, tokens: ids, topLogprobs: 3 });
    const difference = largestDifference(
      logprobsOf(tokens).slice(made.tokens.length - 1),
      made.generated.map(({ logprob }) => logprob),
    );
    expect(difference).toBeLessThan(1e-4);
    const { model, optimizer } = await restoreRun(gpu, run);
    const logits = await sequenceLogits(model, ids, optimizer.current);
    expectScores(tokens, ids, logits);
    // The base model says something else.
    const plain = logSoftmax((await sequenceLogits(model, ids, model.plainProbes))[0]!);
    expect(Math.abs(tokens[1]!.logprob! - plain[ids[1]!]!)).toBeGreaterThan(1e-4);
    optimizer.destroy();
    model.destroy();
    await engine.unloadModel(title);
  });
});

describe('offsets', () => {
  const offsetsOf = async (text: string, tokens?: number[]): Promise<[string, number][]> => {
    const tokenizer = await loadTokenizer(reviews);
    const ids = tokens ?? tokenizer.encode(text);
    const offsets = promptOffsets(tokenizer, ids, text);
    return ids.map((id, index) => [tokenizer.tokenText(id), offsets[index]!]);
  };

  test('count characters; a token that the tokenizer adds takes no place', async () => {
    expect(await offsetsOf('The film was')).toEqual([
      ['<|endoftext|>', 0],
      ['The', 0],
      [' film', 3],
      [' was', 8],
    ]);
  });

  test('of tokens that share a character are that of the character', async () => {
    const places = await offsetsOf('a ☃ 🙂!');
    expect(places.at(-1)).toEqual(['!', 5]);
    for (const [text, offset] of places) expect(text.startsWith('bytes:') ? [2, 4] : [0, 1, 3, 5]).toContain(offset);
    expect(places.filter(([, offset]) => offset === 2).length).toBeGreaterThan(1);
    expect(places.filter(([, offset]) => offset === 4).length).toBeGreaterThan(1);
  });

  test('a special token that is written in the text has its place there', async () => {
    const places = await offsetsOf('so<|endoftext|>The film');
    expect(places.slice(-3)).toEqual([
      ['<|endoftext|>', 2],
      ['The', 15],
      [' film', 18],
    ]);
  });

  test('never lie behind the text', async () => {
    const tokenizer = await loadTokenizer(reviews);
    expect(promptOffsets(tokenizer, tokenizer.encode('The film was'), 'The')).toEqual([0, 0, 3, 3]);
  });
});
