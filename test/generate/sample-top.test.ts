/** Sampling from what the GPU finds, against sampling from all logits on the CPU: the same tokens. */

import { describe, expect, test } from 'vitest';
import {
  drawParameters,
  type SamplingOptions,
  sampleFromTop,
  sampleToken,
  topSuffices,
} from '../../src/generate/sample.ts';
import {
  drawClasses,
  readTopLogits,
  type TopLogits,
  topKept,
  topLogits,
  topLogitsBytes,
} from '../../src/ops/top-logits.ts';
import { openTestGpu } from '../support/gpu.ts';
import { Random, testSeed } from '../support/random.ts';

const gpu = openTestGpu();
const plain: SamplingOptions = {
  ...{ temperature: 1, topK: 0, topP: 1, seed: 1, logitBias: {}, presencePenalty: 0, frequencyPenalty: 0 },
};

/** One row of logits and how it is drawn from. */
interface Draw {
  row: Float32Array;
  options?: SamplingOptions;
  position?: number;
}

/** What the kernel finds in rows of logits. */
async function search(draws: readonly Draw[], most?: number): Promise<(TopLogits | undefined)[]> {
  const columns = draws[0]!.row.length;
  const flat = new Float32Array(draws.length * columns);
  for (const [index, { row }] of draws.entries()) flat.set(row, index * columns);
  const parameters = draws.flatMap(({ options = plain, position = 0 }) => drawParameters(options, position));
  const bytes = topLogitsBytes(columns) * draws.length;
  const [logits, uploaded, results] = [flat.byteLength, 8 * draws.length, bytes].map((size) =>
    gpu().allocate(size, 'scratch', 'test'),
  );
  logits!.write(flat);
  uploaded!.write(new Float32Array(parameters));
  results!.write(new Uint32Array(bytes / 4).fill(0x7fc0_dead));
  topLogits(gpu(), logits!, { rows: draws.length, columns }, uploaded!, results!);
  const [data] = await gpu().recorder.read([{ buffer: results!, bytes }]);
  for (const buffer of [logits, uploaded, results]) buffer!.destroy();
  return draws.map((_, row) => readTopLogits(data!, row, columns, most));
}

/** The same, of rows drawn from alike. */
function topsOf(rows: readonly Float32Array[], temperature = 1): Promise<(TopLogits | undefined)[]> {
  return search(rows.map((row) => ({ row, options: { ...plain, temperature } })));
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
        expect(top!.highest).toBe(highest);
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
    expect((await topsOf([strided]))[0]).toMatchObject({ ids: [], logits: [] });
    expect((await topsOf([zeros]))[0]!.ids.slice(0, 3)).toEqual([0, 50, 100]);
  });

  test.each([0, 1, 5, 63, 1000])('begins with the same tokens when at most %d are wanted', async (most) => {
    // Many equal ones among them.
    const rows = [random.normals(3000, 3), random.normals(3000, 3).map((value) => Math.round(value * 4))];
    const draws = rows.map((row) => ({ row }));
    const whole = await search(draws);
    for (const [index, few] of (await search(draws, most)).entries()) {
      expect(few).toEqual({
        ...whole[index]!,
        ids: whole[index]!.ids.slice(0, most),
        logits: whole[index]!.logits.slice(0, most),
      });
    }
  });

  test('of too many equal logits is none, and of NaN or infinity nothing is told', async () => {
    const flat = new Float32Array(5000).fill(2);
    const broken = [Number.NaN, Number.POSITIVE_INFINITY].map((value) => {
      const row = random.normals(5000);
      row[4321] = value;
      return row;
    });
    const [ofFlat, ...ofBroken] = await topsOf([flat, ...broken]);
    expect(ofFlat).toMatchObject({ ids: [], highest: 2, total: 5000 });
    expect(ofBroken).toEqual([undefined, undefined]);
    expect((await topsOf([random.normals(5000)]))[0]).toBeDefined();
  });
});

/** A row whose only possible tokens are those of a class. */
function possibleIn(first: number, columns: number): Float32Array {
  return random.normals(columns, 3).map((value, id) => (id % drawClasses === first ? value : Number.NEGATIVE_INFINITY));
}

/** Rows of all kinds: steep and flat ones, with ties and with impossible tokens. */
const kinds: Record<string, (columns: number) => Float32Array> = {
  'of a model that is sure': (columns) => random.normals(columns, 8),
  'of a model that is not': (columns) => random.normals(columns, 2, 5),
  'nearly flat': (columns) => random.normals(columns, 1e-3, -7),
  flat: (columns) => new Float32Array(columns).fill(3),
  'with ties': (columns) => random.normals(columns, 3).map((value) => Math.round(value)),
  'with one that stands out': (columns) => random.normals(columns).fill(30, 77, 78),
  'mostly impossible': (columns) =>
    random.normals(columns, 3).map((value) => (random.uniform() < 0.95 ? Number.NEGATIVE_INFINITY : value)),
  'possible in the first class': (columns) => possibleIn(0, columns),
  'possible in the last class': (columns) => possibleIn(drawClasses - 1, columns),
  'far apart': (columns) => random.normals(columns, 1e30),
};

/** Draws from one row of each kind for each position, at temperatures from 0.05 to 5. */
function drawsOf(columns: number, positions: number): Required<Draw>[] {
  return Object.values(kinds).flatMap((make) => {
    const row = make(columns);
    return Array.from({ length: positions }, () => {
      const temperature = 0.05 * 100 ** random.uniform();
      return { row, options: { ...plain, temperature, seed: random.word() }, position: random.integer(0, 5000) };
    });
  });
}

describe(`the class that a draw falls into (seed ${testSeed})`, () => {
  test.each([1024, 1025, 3001, 151_936])('comes with its logits and its place, of %d', async (columns) => {
    const draws = drawsOf(columns, 3);
    for (const [index, found] of (await search(draws)).entries()) {
      const { row, options } = draws[index]!;
      const { first, before, end, logits } = found!.drawn;
      expect([...logits]).toEqual([...row.filter((_, id) => id % drawClasses === first)]);
      const sums = new Float64Array(drawClasses);
      for (const [id, logit] of row.entries())
        sums[id % drawClasses]! += Math.exp((logit - found!.highest) / options.temperature);
      const sum = (to: number): number => sums.subarray(0, to).reduce((total, value) => total + value, 0);
      // Half of what sampling allows for.
      const slack = 1e-5 * sum(drawClasses);
      expect(Math.abs(found!.temperedTotal - sum(drawClasses))).toBeLessThan(slack);
      expect(Math.abs(before - sum(first))).toBeLessThan(slack);
      expect(Math.abs(end - sum(first + 1))).toBeLessThan(slack);
    }
  });
});

describe(`a token from the whole vocabulary (seed ${testSeed})`, () => {
  test.each([
    [1024, 60],
    [1279, 60],
    [3001, 60],
    [50_272, 8],
    [151_936, 3],
  ])('is the one that sampling from all logits gives, of %d', async (columns, positions) => {
    const draws = drawsOf(columns, positions);
    let undecided = 0;
    for (const [index, found] of (await search(draws)).entries()) {
      const { row, options, position } = draws[index]!;
      const actual = sampleFromTop(found!, options, position, 0);
      const expected = sampleToken(row.slice(), options, position, new Map(), 0);
      expect(row[expected.id]).toBeGreaterThan(Number.NEGATIVE_INFINITY);
      if (!actual) undecided++;
      else {
        expect(actual.id).toBe(expected.id);
        expect(actual.logprob).toBeCloseTo(expected.logprob, 3);
      }
    }
    // One in a hundred is to be expected where all classes weigh the same, fewer elsewhere.
    expect(undecided).toBeLessThan(5 + 0.03 * draws.length);
  });

  test('comes with the most likely ones, unless too many of them are equal', async () => {
    const rows = [random.normals(2000, 3), new Float32Array(2000).fill(1)];
    const [various, equal] = await topsOf(rows);
    let compared = 0;
    for (let position = 0; position < 5; position++) {
      const [found] = await search([{ row: rows[0]!, position }]);
      const actual = sampleFromTop(found!, plain, position, 5);
      if (!actual) continue;
      compared++;
      const expected = sampleToken(rows[0]!.slice(), plain, position, new Map(), 5);
      expect(actual.top.map(({ id }) => id)).toEqual(expected.top.map(({ id }) => id));
    }
    expect(compared).toBeGreaterThan(0);
    expect(various!.ids.length).toBeGreaterThan(0);
    expect(sampleFromTop(equal!, plain, 0, 5)).toBeUndefined();
  });

  test('is as likely as it should be', async () => {
    const columns = 1100;
    const temperature = 0.7;
    // With larger deviations a few tokens can have nearly all of the probability.
    const row = random.normals(columns, 1.5);
    const weights = Array.from(row, (logit) => Math.exp(logit / temperature));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const seen = new Float64Array(columns);
    const [seed, batch, batches] = [random.word(), 500, 30];
    for (let start = 0; start < batch * batches; start += batch) {
      const draws = Array.from({ length: batch }, (_, index) => {
        return { row, options: { ...plain, temperature, seed }, position: start + index };
      });
      for (const [index, found] of (await search(draws)).entries()) {
        const { options, position } = draws[index]!;
        const { id } =
          sampleFromTop(found!, options, position, 0) ?? sampleToken(row.slice(), options, position, new Map(), 0);
        seen[id]!++;
      }
    }
    // Unlikely tokens are counted as one.
    const rare = { seen: 0, expected: 0 };
    let chiSquared = 0;
    let terms = 0;
    const count = (observed: number, expected: number): void => {
      chiSquared += (observed - expected) ** 2 / expected;
      terms++;
    };
    for (const [id, weight] of weights.entries()) {
      const expected = (batch * batches * weight) / total;
      if (expected >= 10) count(seen[id]!, expected);
      else {
        rare.seen += seen[id]!;
        rare.expected += expected;
      }
    }
    count(rare.seen, rare.expected);
    expect(terms).toBeGreaterThan(30);
    // Exceeded once in a hundred million times.
    expect(chiSquared).toBeLessThan(terms + 6 * Math.sqrt(2 * terms) + 20);
  });

  test('is left open near the borders of its class', () => {
    const uniform = drawParameters(plain, 0)[1];
    const logits = new Float32Array([0]);
    const found = (before: number, end: number): TopLogits => ({
      ...{ ids: [], logits: [], highest: 0, total: 1, temperedTotal: 1, drawn: { first: 3, before, end, logits } },
    });
    const sampled = (before: number, end: number) => sampleFromTop(found(before, end), plain, 0, 0)?.id;
    expect(sampled(uniform - 1e-3, uniform + 1e-3)).toBe(3);
    expect(sampled(uniform - 1e-5, uniform + 1e-3)).toBeUndefined();
    expect(sampled(uniform - 1e-3, uniform + 1e-5)).toBeUndefined();
    expect(sampled(uniform + 1e-3, uniform + 2e-3)).toBeUndefined();
    expect(sampled(Number.NaN, Number.NaN)).toBeUndefined();
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
    const drawn = { first: 0, before: 0, end: 0, logits: new Float32Array(1) };
    const top: TopLogits = { ids: [7, 3], logits: [0, 0], highest: 0, total: 4, temperedTotal: 4, drawn };
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
      [{}, 0, true],
      [{ temperature: 0.7 }, topKept, true],
      [{}, topKept + 1, false],
      [{ logitBias: { 3: 1 } }, 0, false],
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
