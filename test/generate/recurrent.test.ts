/**
 * Generation by models whose layers carry a state from token to token: with the cache as in a pass over the whole text,
 * one by one as beside each other, and whatever pieces a prompt is read in.
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import type { GenerateEvent, GenerateRequest } from '../../src/engine/types.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { KeyValueCache } from '../../src/model/cache.ts';
import { embedSequences } from '../../src/model/embed.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { type Parity, type ParityCase, writeCheckpoint } from '../parity/checkpoint.ts';
import { relativeError } from '../support/zo/compare.ts';
import { randomNumbers } from '../train/killing.ts';

const { cases } = JSON.parse(readFileSync(new URL('../parity/parity.json', import.meta.url), 'utf8')) as Parity;
const models = { lfm2: 'lfm2: four taps', 'qwen3.5': 'qwen3_5_text: nothing but sizes' };

let gpu: Gpu;
let engine: LocalEngine;
let folder: string;
beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
  folder = mkdtempSync(join(tmpdir(), 'subzero-recurrent-'));
  for (const [id, name] of Object.entries(models)) {
    const { config, ...parity } = cases.find((each) => each.name === name)!;
    // Longer than a pass takes.
    const long: ParityCase = { ...parity, config: { ...config, max_position_embeddings: 4096 } };
    await writeCheckpoint(join(folder, id), long);
    await engine.loadModel({ id, path: join(folder, id) });
  }
});
afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true, force: true });
});

type Token = Extract<GenerateEvent, { type: 'token' }>;

async function generate(request: GenerateRequest): Promise<{ ids: number[]; tokens: Token[]; scored: number[] }> {
  const tokens: Token[] = [];
  const scored: number[] = [];
  for await (const event of engine.generate(request)) {
    if (event.type === 'token') tokens.push(event);
    if (event.type === 'prompt') scored.push(...event.tokens.flatMap(({ logprob }) => logprob ?? []));
  }
  return { ids: tokens.map(({ id }) => id), tokens, scored };
}

function randomTokens(count: number, seed: number): number[] {
  const random = randomNumbers(seed);
  return Array.from({ length: count }, () => Math.floor(random() * 48));
}

/** The log-probability of each token but the first, from a pass over the whole text. */
async function wholePass(id: string, tokens: readonly number[]): Promise<number[]> {
  const model = await loadModel(gpu, join(folder, id));
  const rows = await sequenceLogits(model, tokens);
  model.destroy();
  return tokens.slice(1).map((token, index) => {
    const row = rows[index]!;
    const highest = Math.max(...row);
    return row[token]! - highest - Math.log(row.reduce((sum, value) => sum + Math.exp(value - highest), 0));
  });
}

describe.each(Object.keys(models))('%s', (model) => {
  test('says with its states what a pass over the whole text says', async () => {
    const prompt = randomTokens(5, 1);
    const { ids, tokens } = await generate({ model, tokens: prompt, maxTokens: 80, seed: 3 });
    expect(ids.length).toBe(80);
    const expected = (await wholePass(model, [...prompt, ...ids])).slice(prompt.length - 1);
    for (const [index, { logprob }] of tokens.entries()) expect(logprob).toBeCloseTo(expected[index]!, 4);
  });

  test('reads a prompt in pieces as at once', async () => {
    // A pass takes 1024 rows.
    const prompt = randomTokens(2300, 2);
    const { ids, scored } = await generate({ model, tokens: prompt, maxTokens: 3, temperature: 0, scorePrompt: true });
    const expected = await wholePass(model, [...prompt, ...ids]);
    expect(scored.length).toBe(2299);
    for (const [index, logprob] of scored.entries()) expect(logprob).toBeCloseTo(expected[index]!, 4);
  });

  test('gives requests of different lengths the texts that they get one by one', async () => {
    const requests = Array.from({ length: 7 }, (_, index) => ({
      model,
      tokens: randomTokens([3, 1, 40, 300, 2, 17, 1200][index]!, 10 + index),
      maxTokens: 4 + 5 * index,
      temperature: index % 2,
      seed: 50 + index,
    }));
    const alone: number[][] = [];
    for (const request of requests) alone.push((await generate(request)).ids);
    const together = await Promise.all(requests.map(generate));
    expect(together.map(({ ids }) => ids)).toEqual(alone);
    expect(new Set(alone.map(String)).size).toBe(7);
  });

  test('gives several texts of one prompt their own ways', async () => {
    const request = (seed: number) => ({ model, tokens: randomTokens(20, 4), maxTokens: 30, seed });
    const together = await Promise.all([1, 2, 1].map((seed) => generate(request(seed))));
    const [first, second, third] = together.map(({ ids }) => ids);
    expect(third).toEqual(first);
    expect(second).not.toEqual(first);
    expect((await generate(request(2))).ids).toEqual(second);
  });

  test('embeds texts of a batch as one by one', async () => {
    const loaded = await loadModel(gpu, join(folder, model));
    const texts = [7, 1, 90, 3].map((length, index) => randomTokens(length, 20 + index));
    const together = await embedSequences(loaded, texts, 'last');
    for (const [index, text] of texts.entries()) {
      const [alone] = await embedSequences(loaded, [text], 'last');
      expect(relativeError(together[index]!, alone!)).toBeLessThan(1e-6);
    }
    loaded.destroy();
  });

  test('has a state for each sequence, or lets it wait', async () => {
    const loaded = await loadModel(gpu, join(folder, model));
    const cache = new KeyValueCache(gpu, loaded, 4096);
    const runs = [];
    for (let run = cache.reserve(1); run; run = cache.reserve(1)) runs.push(run);
    expect(cache.freeRows).toBeGreaterThan(0);
    expect(new Set(runs.map(({ state }) => state)).size).toBe(runs.length);
    expect(runs.length).toBeGreaterThan(1);
    for (const { inputs, matrices } of cache.states) {
      for (const buffer of [inputs, matrices]) if (buffer) expect(buffer.size % runs.length).toBe(0);
    }
    cache.release(runs[3]!);
    expect(cache.reserve(1)).toEqual(runs[3]);
    cache.destroy();
    loaded.destroy();
  });
});
