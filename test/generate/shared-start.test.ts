/**
 * Prompts that begin alike: texts and log-probabilities are to the bit those of each text alone, the shared start is
 * read once under each probe, and the cache gets back all that was taken from it.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, type MockInstance, test, vi } from 'vitest';
import type { TokenizedExample } from '../../src/data/example.ts';
import { LocalEngine } from '../../src/engine/local.ts';
import { Generator } from '../../src/generate/generator.ts';
import { ProbeRows } from '../../src/generate/pass-rows.ts';
import { chooseStart, leastSaved, type SharedStart, type Startable } from '../../src/generate/shared-start.ts';
import type { GenerateEvent, GenerateRequest } from '../../src/generate/types.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { parseGrader } from '../../src/graders/index.ts';
import { KeyValueCache } from '../../src/model/cache.ts';
import { loadModel } from '../../src/model/load.ts';
import type { Model } from '../../src/model/model.ts';
import { resolveConfiguration, type TrainConfiguration } from '../../src/settings/configuration.ts';
import { loadTokenizer, type Tokenizer } from '../../src/tokenizer/index.ts';
import { RewardScorer } from '../../src/train/rewards.ts';
import { createOptimizer } from '../../src/zo/create-optimizer.ts';
import type { ZerothOrderOptimizer } from '../../src/zo/optimizer.ts';
import { type Random, withSeed } from '../support/random.ts';
import { removeTemporary, tinyModel } from '../train/tiny.ts';
import { directoryOf, far, type Made, make, makeAll, type ProbedModel, probedModels, type Text } from './texts.ts';

let gpu: Gpu;
let folder: string;
beforeAll(async () => {
  gpu = await Gpu.open();
  folder = mkdtempSync(join(tmpdir(), 'subzero-starts-'));
});
afterAll(() => {
  gpu.close();
  rmSync(folder, { recursive: true, force: true });
  removeTemporary();
});

const { walk: ownWalk } = ProbeRows.prototype;
const { reserve: ownReserve, release: ownRelease } = KeyValueCache.prototype;
let walk: MockInstance<ProbeRows<never>['walk']>;
let reserve: MockInstance<KeyValueCache['reserve']>;
let release: MockInstance<KeyValueCache['release']>;
beforeEach(() => {
  walk = vi.spyOn(ProbeRows.prototype, 'walk');
  reserve = vi.spyOn(KeyValueCache.prototype, 'reserve');
  release = vi.spyOn(KeyValueCache.prototype, 'release');
});
afterEach(() => {
  const starts = (runs: readonly { start: number }[]) => runs.map(({ start }) => start).sort((a, b) => a - b);
  const taken = reserve.mock.results.flatMap(({ value }) => value ?? []);
  expect(starts(release.mock.calls.map(([run]) => run))).toEqual(starts(taken));
  vi.restoreAllMocks();
});

/** Rows that texts had in passes. */
async function rowsOf<T>(work: () => Promise<T>): Promise<{ result: T; rows: number }> {
  walk.mockClear();
  const result = await work();
  return { result, rows: walk.mock.calls.reduce((sum, [, count]) => sum + count, 0) };
}

interface Opened {
  model: Model;
  tokenizer: Tokenizer;
  optimizer: ZerothOrderOptimizer;
  close(): void;
}

async function open(directory: string, settings: Partial<TrainConfiguration> = {}, on = gpu): Promise<Opened> {
  const model = await loadModel(on, directory);
  const tokenizer = await loadTokenizer(directory);
  const optimizer = await createOptimizer(model, resolveConfiguration({ ...far, ...settings }));
  optimizer.beginStep(0);
  const close = (): void => {
    optimizer.destroy();
    model.destroy();
  };
  return { model, tokenizer, optimizer, close };
}

/** Each text by a generator that makes nothing else. */
async function makeEach({ model, tokenizer, optimizer }: Opened, texts: readonly Text[]): Promise<Made[]> {
  const made = new Map<Text, Made>();
  for (let probe = 0; probe < optimizer.probeCount; probe++) {
    const probes = optimizer.perturb(0, probe, 1);
    for (const text of texts.filter((each) => each.probe === probe)) {
      made.set(text, (await makeAll(model, tokenizer, probes, [{ ...text, probe: 0 }]))[0]!);
    }
  }
  return texts.map((text) => made.get(text)!);
}

const makeTogether = ({ model, tokenizer, optimizer }: Opened, texts: readonly Text[]): Promise<Made[]> =>
  makeAll(model, tokenizer, optimizer.perturb(0), texts);

const whole = (random: Random, below: number): number => Math.floor(random.uniform() * below);

/** Ids that every vocabulary here has. None of them ends a text. */
const tokensOf = (random: Random, count: number): number[] =>
  Array.from({ length: count }, () => 1 + whole(random, 46));

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, at: random.uniform() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

/** Lengths around those that kernels take together. */
const lengths = [8, 9, 15, 16, 17, 31, 32, 33];

/** Texts of four probes, whose groups of prompts begin alike: longer ones, equal ones, the start alone, and none. */
function groups(random: Random): Text[] {
  const text = (prompt: number[], probe: number): Text => {
    return { prompt, maxTokens: 1 + whole(random, 6), temperature: whole(random, 2), seed: whole(random, 1000), probe };
  };
  return shuffled(
    [0, 1, 2, 3].flatMap((probe) => {
      const start = tokensOf(random, lengths[whole(random, lengths.length)]!);
      const longer = [1 + whole(random, 9), 1 + whole(random, 9)].map((own) => [...start, ...tokensOf(random, own)]);
      const prompts = [
        ...longer,
        longer[0]!,
        ...(whole(random, 2) ? [start] : []),
        tokensOf(random, 1 + whole(random, 9)),
      ];
      return prompts.map((prompt) => text(prompt, probe));
    }),
    random,
  );
}

describe.each<ProbedModel>([
  ...probedModels,
  ['keys that layers share', 'gemma4_text: shared keys, wide feed-forward layers', {}],
  ['ALiBi', 'falcon: ALiBi', {}],
  ['angles by the length of the text', 'llama: rope dynamic beyond 64', {}],
])('%s', (_, name, settings) => {
  test('give every text its own bits, by fewer rows', () =>
    withSeed(name, async (random) => {
      const opened = await open(await directoryOf(name, folder), settings);
      const texts = groups(random);
      const alone = await rowsOf(() => makeEach(opened, texts));
      const together = await rowsOf(() => makeTogether(opened, texts));
      expect(together.result).toEqual(alone.result);
      expect(together.rows).toBeLessThan(alone.rows);
      opened.close();
    }));
});

/** Prompts of `shared` and `own` tokens under each probe. */
function alike(random: Random, { count, probes, shared, own, maxTokens = 4 }: Record<string, number>): Text[] {
  const start = tokensOf(random, shared!);
  return Array.from({ length: count! }, (_, index): number[] => [
    ...start,
    1 + index,
    ...tokensOf(random, own! - 1),
  ]).flatMap((prompt, seed) =>
    Array.from({ length: probes! }, (_, probe) => ({ prompt, maxTokens, temperature: 1, seed, probe })),
  );
}

test.each([
  [0, 36 * 3],
  [1, 2 + 36 * 3],
  [7, 2 * 7 + 36 * 3],
  [20, 2 * 20 + 36 * 3],
])('a start of %i tokens is read once under each probe', (shared, prompts) =>
  withSeed(`rows ${shared}`, async (random) => {
    const opened = await open(tinyModel('qwen3-tiny'), { queries: 1 });
    const texts = alike(random, { count: 18, probes: 2, shared, own: 3 });
    const { result, rows } = await rowsOf(() => makeTogether(opened, texts));
    // The token that ends a text is read by none.
    expect(rows).toBe(prompts + result.reduce((sum, { ids }) => sum + ids.length - 1, 0));
    expect(result).toEqual(await makeEach(opened, texts));
    opened.close();
  }),
);

test('a step by rewards reads it once under each probe', () =>
  withSeed('step', async (random) => {
    const settings = { queries: 1, objective: 'reward', rewardTokens: 4 } as const;
    const { model, optimizer, close } = await open(tinyModel('qwen3-tiny'), settings);
    const grader = await parseGrader({
      ...{ type: 'string_check', name: 'has an "e"', operation: 'like' },
      ...{ input: '{{sample.output_text}}', reference: 'e' },
    });
    const configuration = resolveConfiguration({ ...far, ...settings });
    const scorer = await RewardScorer.open({ model, optimizer, configuration, source: { grader, services: {} } });
    const batch = alike(random, { count: 18, probes: 1, shared: 20, own: 3 }).map(({ prompt }): TokenizedExample => {
      return { kind: 'completion', prompt: [], continuations: [], label: 0, generation: { prompt, references: [] } };
    });
    const { result, rows } = await rowsOf(() => Promise.resolve(scorer.scoreStep(0, batch)));
    const generated = result.reduce((sum, { tokens }) => sum + tokens, 0);
    expect(rows).toBe(2 * 20 + 36 * 3 + generated - 36);
    await scorer.destroy();
    close();
  }));

test(
  'a start outlives texts that leave, and is read again where nobody was left',
  () =>
    withSeed('waves', async (random) => {
      // The cache takes a few texts at a time, and a pass a part of a start.
      const limited = await Gpu.open({ maxStorageBufferBindingSize: 16 * 1024 });
      const opened = await open(tinyModel(), { queries: 1, scheme: 'lora' }, limited);
      const texts = shuffled(
        [
          ...alike(random, { count: 7, probes: 2, shared: 40, own: 8, maxTokens: 8 }),
          ...alike(random, { count: 5, probes: 1, shared: 25, own: 30, maxTokens: 3 }),
          ...alike(random, { count: 5, probes: 1, shared: 25, own: 3, maxTokens: 30 }),
        ],
        random,
      );
      const alone = await rowsOf(() => makeEach(opened, texts));
      reserve.mockClear();
      release.mockClear();
      const together = await rowsOf(() => makeTogether(opened, texts));
      expect(together.result).toEqual(alone.result);
      expect(together.rows).toBeLessThan(0.8 * alone.rows);
      // Some had to wait.
      expect(reserve.mock.results.some(({ value }) => value === undefined)).toBe(true);
      opened.close();
      limited.close();
    }),
  60_000,
);

test('texts whose own rows find no room behind a start are made without it', () =>
  withSeed('one run', async (random) => {
    const opened = await open(await directoryOf('lfm2: four taps', folder), { queries: 1 });
    const texts = alike(random, { count: 3, probes: 2, shared: 9, own: 3 });
    const alone = await rowsOf(() => makeEach(opened, texts));
    // As with a single state.
    let [taken, refused] = [0, 0];
    reserve.mockImplementation(function (this: KeyValueCache, length) {
      if (taken > 0) {
        refused++;
        return undefined;
      }
      taken++;
      return ownReserve.call(this, length);
    });
    release.mockImplementation(function (this: KeyValueCache, run) {
      taken--;
      ownRelease.call(this, run);
    });
    const together = await rowsOf(() => makeTogether(opened, texts));
    expect(together).toEqual(alone);
    expect(taken).toBe(0);
    // Whoever waits asks again when something was given back, not at every pass: for a start, what follows it, or all.
    expect(refused).toBeLessThanOrEqual(3 * texts.length);
    opened.close();
  }));

test('others go on with a start whose first text is aborted', () =>
  withSeed('abort', async (random) => {
    // A pass takes a part of the start.
    const limited = await Gpu.open({ maxStorageBufferBindingSize: 16 * 1024 });
    const opened = await open(tinyModel(), { queries: 1, scheme: 'lora' }, limited);
    const { model, tokenizer, optimizer } = opened;
    const texts = alike(random, { count: 4, probes: 1, shared: 100, own: 2 });
    const alone = await makeEach(opened, texts);
    const probes = optimizer.perturb(0);
    const generator = new Generator(model, tokenizer, () => probes, true);
    const abort = new AbortController();
    let passes = 0;
    walk.mockImplementation(function (this: ProbeRows<never>, text, count) {
      if (++passes === 2) abort.abort();
      ownWalk.call(this, text, count);
    });
    const [first, ...others] = await Promise.all(
      texts.map((text, index) => make(generator, text, index === 0 ? abort.signal : undefined)),
    );
    expect(first!.ids).toEqual([]);
    expect(others).toEqual(alone.slice(1));
    await generator.destroy();
    opened.close();
    limited.close();
  }));

test('prompts share nothing where their lengths decide its angles', () =>
  withSeed('angles', async (random) => {
    const opened = await open(await directoryOf('llama: rope dynamic beyond 64', folder), { queries: 1 });
    const start = tokensOf(random, 40);
    const texts = [20, 23, 24, 25, 30, 30].map((own, seed): Text => {
      return { prompt: [...start, ...tokensOf(random, own)], maxTokens: 5, temperature: 1, seed, probe: 0 };
    });
    const alone = await rowsOf(() => makeEach(opened, texts));
    const together = await rowsOf(() => makeTogether(opened, texts));
    expect(together.result).toEqual(alone.result);
    // The first three have up to 64 tokens.
    expect(together.rows).toBe(alone.rows - 2 * 40);
    opened.close();
  }));

test('requests share a start with those of the same adapters, and scored prompts are read whole', async () => {
  const engine = new LocalEngine(gpu);
  const adapters = fileURLToPath(new URL('../fixtures/peft-adapters', import.meta.url));
  const path = tinyModel('qwen3-odd-tiny');
  await engine.loadModel({ id: 'base', path });
  for (const id of ['first', 'second']) await engine.loadModel({ id, path, lora: join(adapters, id) });
  const adapter = [{ name: 'first', weight: 0.5 }];
  await withSeed('requests', async (random) => {
    const start = tokensOf(random, 20);
    const requests = [
      ...['base', 'first', 'second', 'base', 'first', 'second'].map((model) => ({ model })),
      ...[
        { model: 'base', adapters: adapter },
        { model: 'base', adapters: adapter },
      ],
      ...[
        { model: 'base', scorePrompt: true },
        { model: 'base', scorePrompt: true },
      ],
    ].map((request, seed) => ({ ...request, tokens: [...start, 1 + seed, 2], maxTokens: 4, seed, topLogprobs: 2 }));
    const events = async (request: GenerateRequest): Promise<GenerateEvent[]> => {
      const all: GenerateEvent[] = [];
      for await (const event of engine.generate(request)) all.push(event);
      return all;
    };
    const alone = await rowsOf(async () => {
      const made: GenerateEvent[][] = [];
      for (const request of requests) made.push(await events(request));
      return made;
    });
    const together = await rowsOf(() => Promise.all(requests.map(events)));
    const scores = (all: typeof alone.result) => all.map((each) => each.filter(({ type }) => type !== 'prompt'));
    expect(scores(together.result)).toEqual(scores(alone.result));
    // A prompt is told in the pieces that passes read.
    const scored = (all: typeof alone.result) =>
      all.map((each) => each.flatMap((event) => (event.type === 'prompt' ? event.tokens : [])));
    expect(scored(together.result)).toEqual(scored(alone.result));
    // Four pairs.
    expect(together.rows).toBe(alone.rows - 4 * 20);
  });
  await engine.close();
});

describe('the start of a text', () => {
  const model = { adapters: [], users: [] };
  const textOf = (tokens: readonly number[]): Startable => ({ tokens, model });

  test('saves the most rows', () =>
    withSeed('choice', (random) => {
      for (let round = 0; round < 200; round++) {
        const letters = (count: number) => Array.from({ length: count }, () => (whole(random, 7) ? 0 : 1));
        const texts = Array.from({ length: 1 + whole(random, 9) }, () => textOf(letters(1 + whole(random, 8))));
        const [next, ...others] = texts;
        const common = (one: Startable, other: Startable): number => {
          const most = Math.min(one.tokens.length, other.tokens.length) - 1;
          const differs = one.tokens.findIndex((id, index) => index >= most || id !== other.tokens[index]);
          return Math.min(most, differs);
        };
        const starts = Array.from({ length: whole(random, 3) }, () => {
          const tokens = letters(2 + whole(random, 4));
          return { ...textOf(tokens), length: tokens.length - 1 } as SharedStart;
        });
        const savedBy = (length: number): number =>
          length * others.filter((other) => common(next!, other) >= length).length;
        const savedIn = (start: SharedStart): number =>
          [next!, ...others].filter(
            ({ tokens }) =>
              tokens.length > start.length &&
              String(tokens.slice(0, start.length)) === String(start.tokens.slice(0, -1)),
          ).length * start.length;
        const fits = starts.filter(({ tokens, length }) => {
          return next!.tokens.length > length && String(next!.tokens.slice(0, length)) === String(tokens.slice(0, -1));
        });
        const fresh = [1, 2, 3, 4, 5, 6, 7].map(savedBy).filter((rows) => rows >= leastSaved);
        const most = Math.max(0, ...fresh, ...fits.map(savedIn));
        const choice = chooseStart(next!, others, starts);
        expect(typeof choice === 'number' ? savedBy(choice) : savedIn(choice)).toBe(most);
        if (typeof choice !== 'number') expect(fits).toContain(choice);
      }
    }));

  test('is that of the same probe and adapters', () => {
    const adapter = {} as never;
    const tokens = Array.from({ length: leastSaved + 1 }, (_, id) => id);
    const own = { tokens, model: { adapters: [{ adapter, weight: 1 }], users: [], probe: 1 } };
    expect(chooseStart(own, [{ ...own }], [])).toBe(leastSaved);
    for (const other of [
      { ...own.model, probe: 0 },
      { ...own.model, adapters: [] },
      { ...own.model, adapters: [{ adapter, weight: 0.5 }] },
      { ...own.model, adapters: [{ adapter: {} as never, weight: 1 }] },
    ]) {
      expect(chooseStart(own, [{ tokens, model: other }], [])).toBe(0);
    }
    const shorter = { ...own, tokens: tokens.slice(1) };
    expect(chooseStart(shorter, [{ ...shorter }], [])).toBe(0);
  });
});
