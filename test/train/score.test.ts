/**
 * Scoring: log-probabilities of packed examples against float64 and against reference values, losses by their
 * definition.
 */

import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TokenizedExample } from '../../src/data/example.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import type { Model } from '../../src/model/model.ts';
import { add, batchLoss, type ExampleScore, meanOf, noLoss, sumLosses } from '../../src/objectives/loss.ts';
import { passShape, Scorer } from '../../src/train/score.ts';
import { Random, testSeed, withSeed } from '../support/random.ts';
import { tinyModels } from '../support/tiny-models.ts';
import { norm, relativeError } from '../support/zo/compare.ts';
import { continuationLogprobs, logprob64 } from '../support/zo/float64-decoder.ts';
import { modelDirectory, optionsExample, readFixture } from '../support/zo/golden.ts';
import { randomNumbers } from './killing.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

async function withModel<T>(
  directory: string,
  maxRows: number,
  body: (model: Model, scorer: Scorer) => Promise<T>,
): Promise<T> {
  const model = await loadModel(gpu, directory);
  const scorer = new Scorer(model, maxRows);
  try {
    return await body(model, scorer);
  } finally {
    scorer.destroy();
    model.destroy();
  }
}

/** A whole text as one example: every token but the first is scored. */
const textExample = (ids: number[]): TokenizedExample => ({
  kind: 'completion',
  prompt: ids.slice(0, 1),
  continuations: [{ ids: ids.slice(1), scored: ids.length - 1 }],
  label: 0,
});

function randomExample(random: Random, vocabulary: number, longest: number): TokenizedExample {
  const draw = (low: number, high: number) =>
    Array.from({ length: random.integer(low, high) }, () => random.integer(0, vocabulary - 1));
  return {
    kind: 'options',
    prompt: draw(1, longest),
    continuations: Array.from({ length: random.integer(1, 4) }, () => {
      const ids = draw(1, 12);
      return { ids, scored: random.integer(1, ids.length) };
    }),
    label: 0,
  };
}

describe('log-probabilities', () => {
  // mistral-tiny sees 8 tokens only, so both the shared prompt and long options are cut by the window.
  test.each(tinyModels.filter((name) => name !== 'llama-tiny-f16'))(
    'options that share a prompt are sequences of their own: %s',
    async (name) => {
      await withSeed(`options of ${name}`, (random) =>
        withModel(modelDirectory(name), 4096, async (model, scorer) => {
          const examples = Array.from({ length: 5 }, () => randomExample(random, 160, 20));
          const [scores] = await scorer.score(examples, model.plainProbes);
          for (const [index, example] of examples.entries()) {
            const { logprobs, counts } = scores![index]!;
            expect(counts).toEqual(example.continuations.map(({ scored }) => scored));
            for (const [option, continuation] of example.continuations.entries()) {
              const rows = await sequenceLogits(model, [...example.prompt, ...continuation.ids]);
              const [expected] = continuationLogprobs({ ...example, continuations: [continuation] }, () => rows);
              const difference = Math.abs(logprobs[option]! - expected!);
              expect(difference).toBeLessThan(2e-6 * (1 + Math.abs(expected!)));
            }
          }
        }),
      );
    },
  );

  test('many label rows: the vocabulary in chunks scores as the vocabulary in one piece', async () => {
    await withModel(modelDirectory('llama-tiny'), 40_000, async (model, scorer) => {
      const random = new Random(testSeed, 'chunks');
      const texts = Array.from({ length: 480 }, () =>
        textExample(Array.from({ length: 61 }, () => random.integer(0, 159))),
      );
      // 28,800 label rows: 16 MiB hold 144 of the 160 logits of each.
      const [together] = await scorer.score(texts, model.plainProbes);
      const small = new Scorer(model, 1000);
      const [alone] = await small.score(texts.slice(0, 40), model.plainProbes);
      small.destroy();
      for (const [index, score] of alone!.entries()) {
        const expected = score.logprobs[0]!;
        expect(Math.abs(together![index]!.logprobs[0]! - expected)).toBeLessThan(2e-6 * Math.abs(expected));
      }
    });
  });

  test('rows are counted, memory is reserved once, an example that cannot fit is refused', async () => {
    await withModel(modelDirectory('llama-tiny'), 24, async (model, scorer) => {
      const fits = optionsExample([1, 2, 3, 4], [[5, 6], [7]], 0);
      const shape = passShape([fits]);
      expect(shape).toEqual({ largest: 5, labelsPerRow: 2 / 5, targetsPerRow: 3 / 5 });
      scorer.reserve(1_000_000, shape);
      const scratch = scorer.scratchBytes;
      // 10 label rows and 15 targets to read back.
      expect(scratch + gpu.recorder.bytesToRead(10 * 8 + 15 * 4)).toBe(scorer.scratchBytesFor(24, shape));
      await scorer.score([fits, fits, fits], model.plainProbes);
      expect(scorer.scratchBytes).toBe(scratch);
      expect(scorer.rows).toBe(15);
      await scorer.score([fits, fits, fits, fits], model.plainProbes);
      const bytes = scorer.activationBytes;
      const live = gpu.memory.report().liveBytes;
      expect(bytes).toBeGreaterThan(0);
      for (let round = 0; round < 5; round++) await scorer.score([fits, fits, fits, fits], model.plainProbes);
      expect(scorer.activationBytes).toBe(bytes);
      expect(gpu.memory.report().liveBytes).toBe(live);
      const tooLong = textExample(Array.from({ length: 26 }, (_, i) => i));
      await expect(scorer.score([fits, tooLong], model.plainProbes)).rejects.toMatchObject({
        code: 'out_of_memory',
        message: expect.stringContaining('one example needs 25 rows; at most 24 rows fit'),
      });
      // Such a refusal leaves the scorer usable.
      expect(await scorer.score([], model.plainProbes)).toEqual([[]]);
      expect((await scorer.score([fits], model.plainProbes))[0]).toHaveLength(1);
    });
  });
});

describe('reviews-3m, values of PyTorch', () => {
  const directory = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));
  const golden = readFixture<{
    reference: { ids: number[]; last_logits_first8: number[]; last_argmax: number; mean_nll_of_prompt: number };
    sst2_dev_first8: {
      label: number;
      prompt_ids: number[];
      option_ids: number[][];
      option_token_logprobs: number[][];
      loss: number;
    }[];
  }>('golden/reviews-3m.json');

  test('SST-2: log-probabilities of both options and the loss of every row', async () => {
    await withModel(directory, 2048, async (model, scorer) => {
      const rows = golden.sst2_dev_first8;
      const examples = rows.map(({ prompt_ids, option_ids, label }) => optionsExample(prompt_ids, option_ids, label));
      const [scores] = await scorer.score(examples, model.plainProbes);
      for (const [index, row] of rows.entries()) {
        const { logprobs } = scores![index]!;
        for (const [option, expected] of row.option_token_logprobs.entries()) {
          const sum = expected.reduce((total, value) => total + value, 0);
          // The reference is rounded to 7 digits.
          expect(Math.abs(logprobs[option]! - sum)).toBeLessThan(3e-5);
        }
        expect(Math.abs(batchLoss([examples[index]!], [scores![index]!]).loss - row.loss)).toBeLessThan(1e-5);
      }
      const { loss, accuracy, tokens } = batchLoss(examples, scores!);
      expect(Math.abs(loss - rows.reduce((sum, row) => sum + row.loss, 0) / rows.length)).toBeLessThan(5e-6);
      const correct = rows.filter(({ option_token_logprobs: [terrible, great], label }) =>
        label === 1 ? great![0]! > terrible![0]! : terrible![0]! > great![0]!,
      );
      expect(accuracy).toBe(correct.length / rows.length);
      expect(tokens).toBe(16);
    });
  });

  test('logits and mean negative log-likelihood of the reference prompt', async () => {
    await withModel(directory, 2048, async (model, scorer) => {
      const { ids, last_logits_first8, last_argmax, mean_nll_of_prompt } = golden.reference;
      const logits = await sequenceLogits(model, ids);
      const last = logits.at(-1)!;
      expect(relativeError(last.subarray(0, 8), last_logits_first8)).toBeLessThan(2e-6);
      expect(last.indexOf(Math.max(...last))).toBe(last_argmax);
      const nll = ids.slice(1).reduce((sum, id, row) => sum - logprob64(logits[row]!, id), 0) / (ids.length - 1);
      expect(Math.abs(nll - mean_nll_of_prompt)).toBeLessThan(2e-6);
      const [scores] = await scorer.score([textExample(ids)], model.plainProbes);
      expect(Math.abs(batchLoss([textExample(ids)], scores!).loss - nll)).toBeLessThan(2e-6);
    });
  });
});

describe('tinystories-656k, values of transformers', () => {
  const reference = readFixture<{
    prompts: {
      ids: number[];
      last_logits_first64: number[];
      last_logits_norm: number;
      last_top5: [number, number][];
      mean_nll: number;
    }[];
    stories: { ids: number[]; mean_nll: number }[];
  }>('models/tinystories-656k/logits.json');

  test('logits of the prompts', async () => {
    await withModel(modelDirectory('tinystories-656k'), 2048, async (model) => {
      for (const prompt of reference.prompts) {
        const last = (await sequenceLogits(model, prompt.ids)).at(-1)!;
        expect(relativeError(last.subarray(0, 64), prompt.last_logits_first64)).toBeLessThan(3e-6);
        expect(Math.abs(norm(last) / prompt.last_logits_norm - 1)).toBeLessThan(2e-6);
        const best = [...last.keys()].sort((a, b) => last[b]! - last[a]!).slice(0, 5);
        expect(best).toEqual(prompt.last_top5.map(([id]) => id));
        expect(
          relativeError(
            best.map((id) => last[id]!),
            prompt.last_top5.map(([, value]) => value),
          ),
        ).toBeLessThan(2e-6);
      }
    });
  });

  test('mean negative log-likelihood of prompts and stories, packed together', async () => {
    await withModel(modelDirectory('tinystories-656k'), 2048, async (model, scorer) => {
      const texts = [...reference.prompts, ...reference.stories];
      const examples = texts.map(({ ids }) => textExample(ids));
      const [scores] = await scorer.score(examples, model.plainProbes);
      for (const [index, { mean_nll, ids }] of texts.entries()) {
        const { loss, tokens, accuracy } = batchLoss([examples[index]!], [scores![index]!]);
        expect(Math.abs(loss - mean_nll)).toBeLessThan(3e-6);
        expect(tokens).toBe(ids.length - 1);
        expect(accuracy).toBeNull();
      }
    });
  });
});

describe('batchLoss', () => {
  const options = (label: number, correct?: number[]): TokenizedExample => ({
    ...optionsExample([1], [[2], [3, 4]], label),
    ...(correct ? { correct } : {}),
  });
  const score = (...logprobs: number[]): ExampleScore => ({ logprobs, counts: [1, 2], tokens: [] });

  test('options: cross-entropy over mean token log-probabilities', () => {
    // Means −1 and −1.5: the longer option is not at a disadvantage for its length.
    const { loss, accuracy, tokens } = batchLoss([options(1)], [score(-1, -3)]);
    expect(loss).toBeCloseTo(Math.log(Math.exp(-1) + Math.exp(-1.5)) + 1.5, 14);
    expect(accuracy).toBe(0);
    expect(tokens).toBe(3);
    const both = batchLoss([options(1), options(0)], [score(-1, -3), score(-2, -8)]);
    const second = Math.log(Math.exp(-2) + Math.exp(-4)) + 2;
    expect(both.loss).toBeCloseTo((loss + second) / 2, 14);
    expect(both.accuracy).toBe(0.5);
    expect(both.tokens).toBe(6);
  });

  test('any of the options that count as right is right; the loss stays that of the label', () => {
    const scores = [score(-5, -2)];
    expect(batchLoss([options(0, [0, 1])], scores).accuracy).toBe(1);
    expect(batchLoss([options(0)], scores).accuracy).toBe(0);
    expect(batchLoss([options(0, [0, 1])], scores).loss).toBe(batchLoss([options(0)], scores).loss);
  });

  test('very unlikely options neither overflow nor underflow', () => {
    const { loss } = batchLoss([options(1)], [{ logprobs: [-1, -4000], counts: [1, 2], tokens: [] }]);
    expect(loss).toBeCloseTo(1999, 10);
    expect(batchLoss([options(0)], [{ logprobs: [-1, -4000], counts: [1, 2], tokens: [] }]).loss).toBe(0);
  });

  test('completions: the mean over the tokens of the batch, not over its examples', () => {
    const one: TokenizedExample = {
      kind: 'completion',
      prompt: [1],
      continuations: [{ ids: [2], scored: 1 }],
      label: 0,
    };
    const three: TokenizedExample = {
      kind: 'completion',
      prompt: [1],
      continuations: [{ ids: [2, 3, 4], scored: 3 }],
      label: 0,
    };
    const result = batchLoss(
      [one, three],
      [
        { logprobs: [-4], counts: [1], tokens: [] },
        { logprobs: [-3], counts: [3], tokens: [] },
      ],
    );
    expect(result).toEqual({ loss: 7 / 4, accuracy: null, tokens: 4 });
  });

  test('parts in order add up to the whole', () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = randomNumbers(seed);
    const examples: TokenizedExample[] = [];
    const scores: ExampleScore[] = [];
    for (let index = 0; index < 300; index++) {
      const kind = random() < 0.5 ? ('options' as const) : ('completion' as const);
      examples.push({ ...options(random() < 0.5 ? 0 : 1), kind });
      const counts = [1 + Math.floor(20 * random()), 1 + Math.floor(20 * random())];
      scores.push({ logprobs: counts.map((count) => -10 * count * random()), counts, tokens: [] });
    }
    const whole = sumLosses(examples, scores);
    const cuts = [0, 1, 64, 65, 200, 300];
    const parts = cuts
      .slice(1)
      .map((end, index) => sumLosses(examples.slice(cuts[index], end), scores.slice(cuts[index], end)));
    const added = parts.reduce(add, noLoss);
    for (const name of ['optionExamples', 'correct', 'completionTokens', 'completionExamples', 'tokens'] as const) {
      expect(added[name], `seed ${seed}`).toBe(whole[name]);
    }
    expect(Math.abs(meanOf(added).loss / meanOf(whole).loss - 1), `seed ${seed}`).toBeLessThan(1e-14);
    // One after the other they are the whole, bit for bit.
    const inTurn = cuts
      .slice(1)
      .reduce(
        (sums, end, index) => sumLosses(examples.slice(cuts[index], end), scores.slice(cuts[index], end), sums),
        noLoss,
      );
    expect(inTurn, `seed ${seed}`).toEqual(whole);
    expect(meanOf(noLoss)).toEqual({ loss: 0, accuracy: null, tokens: 0 });
  });

  test('both in a batch: the mean of each kind, by its number of examples', () => {
    const completion: TokenizedExample = { ...options(0), kind: 'completion' };
    const scores = [
      score(-1, -3),
      { logprobs: [-4], counts: [2], tokens: [] },
      { logprobs: [-3], counts: [1], tokens: [] },
    ];
    const batch = [options(1), completion, completion];
    const { loss, accuracy, tokens } = batchLoss(batch, scores);
    const alone = batchLoss(batch.slice(0, 1), scores);
    expect(loss).toBeCloseTo((alone.loss + 2 * (7 / 3)) / 3, 14);
    expect(accuracy).toBe(alone.accuracy);
    expect(tokens).toBe(alone.tokens + 3);
  });
});
