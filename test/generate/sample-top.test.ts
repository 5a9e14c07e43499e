/** Sampling from what the GPU finds, against sampling from all logits on the CPU: the same tokens. */

import { describe, expect, test } from 'vitest';
import { type SamplingOptions, sampleFromTop, sampleToken, topSuffices } from '../../src/generate/sample.ts';
import { readTopLogits, type TopLogits, topKept, topLogits, topLogitsBytes } from '../../src/ops/top-logits.ts';
import { openTestGpu } from '../support/gpu.ts';
import { Random, testSeed } from '../support/random.ts';

const gpu = openTestGpu();
const plain: SamplingOptions = {
  ...{ temperature: 1, topK: 0, topP: 1, seed: 1, logitBias: {}, presencePenalty: 0, frequencyPenalty: 0 },
};

/** The tops of rows of logits, by the kernel. */
async function topsOf(rows: readonly Float32Array[], temperature = 1): Promise<(TopLogits | undefined)[]> {
  const columns = rows[0]!.length;
  const flat = new Float32Array(rows.length * columns);
  for (const [index, row] of rows.entries()) flat.set(row, index * columns);
  const allocate = (bytes: number) => gpu().allocate(bytes, 'scratch', 'test');
  const [logits, inverse, results] = [
    allocate(flat.byteLength),
    allocate(4 * rows.length),
    allocate(topLogitsBytes * rows.length),
  ];
  logits!.write(flat);
  inverse!.write(new Float32Array(rows.length).fill(1 / temperature));
  results!.write(new Uint32Array(results!.size / 4).fill(0x7fc0_dead));
  topLogits(gpu(), logits!, { rows: rows.length, columns }, inverse!, results!);
  const [data] = await gpu().recorder.read([{ buffer: results!, bytes: topLogitsBytes * rows.length }]);
  for (const buffer of [logits, inverse, results]) buffer!.destroy();
  return rows.map((_, row) => readTopLogits(data!, row));
}

const random = new Random(testSeed, 'top logits');
const sorted = (row: Float32Array): number[] =>
  Array.from(row, (_, id) => id).sort((a, b) => row[b]! - row[a]! || a - b);

describe('the top of a row', () => {
  test.each([1024, 1025, 2048, 32_003, 151_936])(
    `is its most likely tokens in order, with the sums over all of it, of %d (seed ${testSeed})`,
    async (columns) => {
      const rows = [0.5, 3, 20].map((deviation) => random.normals(columns, deviation, -4));
      for (const [index, top] of (await topsOf(rows, 0.7)).entries()) {
        const row = rows[index]!;
        expect(top!.ids.length).toBeGreaterThanOrEqual(topKept);
        expect(top!.ids).toEqual(sorted(row).slice(0, top!.ids.length));
        expect(top!.logits).toEqual(top!.ids.map((id) => row[id]!));
        const highest = top!.logits[0]!;
        const sum = (temperature: number): number =>
          row.reduce((total, logit) => total + Math.exp((logit - highest) / temperature), 0);
        expect(top!.total / sum(1)).toBeCloseTo(1, 4);
        expect(top!.temperedTotal / sum(0.7)).toBeCloseTo(1, 4);
      }
    },
  );

  test('is right wherever it lies; impossible tokens and both zeros count as they should', async () => {
    const strided = new Float32Array(40_000).fill(-9).map((value, id) => (id % 256 === 5 ? id / 1000 : value));
    const dense = new Float32Array(40_000).fill(Number.NEGATIVE_INFINITY);
    dense.set(random.normals(400), 1000);
    const zeros = random.normals(2000, 0.1, -3).map((value, id) => (id % 50 === 0 ? (id % 100 === 0 ? 0 : -0) : value));
    for (const row of [dense, zeros]) {
      const [top] = await topsOf([row]);
      expect(top!.ids.length).toBeGreaterThanOrEqual(topKept);
      expect(top!.ids).toEqual(sorted(row).slice(0, top!.ids.length));
    }
    // All that is likely lies in one lane, whose maximum alone bounds nothing: given up rather than guessed.
    expect(await topsOf([strided])).toEqual([undefined]);
    expect((await topsOf([zeros]))[0]!.ids.slice(0, 3)).toEqual([0, 50, 100]);
  });

  test('of too many equal logits, or of NaN or infinity, is none', async () => {
    const flat = new Float32Array(5000).fill(2);
    const broken = [Number.NaN, Number.POSITIVE_INFINITY].map((value) => {
      const row = random.normals(5000);
      row[4321] = value;
      return row;
    });
    expect(await topsOf([flat, ...broken])).toEqual([undefined, undefined, undefined]);
    expect((await topsOf([random.normals(5000)]))[0]).toBeDefined();
  });
});

describe('a token from the top', () => {
  test.each<Partial<SamplingOptions>>([
    { temperature: 0 },
    { topK: 1 },
    { topK: 40 },
    { topK: topKept, temperature: 1.7 },
    { topK: 20, topP: 0.6, temperature: 0.8 },
    { topP: 0.9 },
    { topP: 0.3, temperature: 0.5 },
    { topP: 0 },
  ])('is the one that sampling from everything gives, with %j', async (given) => {
    const options = { ...plain, ...given };
    const rows = [2, 4, 8].map((deviation) => random.normals(3000, deviation));
    let decided = 0;
    for (const [index, top] of (await topsOf(rows, options.temperature || 1)).entries()) {
      for (let position = 0; position < 200; position++) {
        const expected = sampleToken(rows[index]!.slice(), { ...options, seed: index }, position, new Map(), 5);
        const actual = sampleFromTop(top!, { ...options, seed: index }, position, 5);
        if (!actual) continue;
        decided++;
        expect(actual.id).toBe(expected.id);
        expect(actual.logprob).toBeCloseTo(expected.logprob, 4);
        expect(actual.top.map(({ id }) => id)).toEqual(expected.top.map(({ id }) => id));
      }
    }
    // A top-p of flat logits goes beyond the top; the steepest are always decided.
    expect(decided).toBeGreaterThanOrEqual(200);
  });

  test('is left open where top-p goes beyond the top or ends too close to call', () => {
    const top: TopLogits = { ids: [7, 3], logits: [0, 0], total: 4, temperedTotal: 4 };
    expect(sampleFromTop(top, { ...plain, topP: 0.6 }, 0, 0)).toBeUndefined();
    expect(sampleFromTop(top, { ...plain, topP: 0.25 }, 0, 0)).toBeUndefined();
    expect(sampleFromTop(top, { ...plain, topP: 0.24 }, 0, 0)).toMatchObject({ id: 7 });
    expect(sampleFromTop(top, { ...plain, topP: 0.4, seed: 3 }, 0, 0)).toBeDefined();
  });

  test('is not for options that want all logits', () => {
    for (const [options, logprobs, suffices] of [
      [{ temperature: 0 }, 5, true],
      [{ topK: topKept }, 0, true],
      [{ topP: 0.99 }, 0, true],
      [{}, 0, false],
      [{ topK: topKept + 1 }, 0, false],
      [{ temperature: 0 }, topKept + 1, false],
      [{ temperature: 0, logitBias: { 3: 1 } }, 0, false],
      [{ temperature: 0, presencePenalty: 1 }, 0, false],
      [{ temperature: 0, frequencyPenalty: 1 }, 0, false],
    ] as const) {
      expect(topSuffices({ ...plain, ...options }, logprobs), JSON.stringify(options)).toBe(suffices);
    }
  });
});
