/**
 * Rotary angles: each scaling rule by its formula; test/model/config-variants.test.ts compares them with those of
 * transformers.
 */

import { describe, expect, test } from 'vitest';
import {
  contextWith,
  fixedUpTo,
  type RopeScaling,
  readRopeScaling,
  ropeFrequencies,
} from '../../src/model/rope-rules.ts';

const width = 32;
const theta = 10_000;
const context = 64;

function read({
  rope_type: type,
  ...values
}: { rope_type: RopeScaling['type'] } & Record<string, unknown>): RopeScaling {
  return readRopeScaling(type, { values, width, context, outerOriginalContext: null });
}

const plain = Array.from({ length: width / 2 }, (_, pair) => 1 / theta ** ((2 * pair) / width));

function expectClose(actual: ArrayLike<number>, expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  for (const [index, value] of expected.entries()) {
    expect(Math.abs(actual[index]! / value - 1), `pair ${index}`).toBeLessThan(1e-12);
  }
}

describe('frequencies', () => {
  test('default: θ^(−2i/d)', () => {
    const { frequencies, attentionFactor } = ropeFrequencies(width, theta, { type: 'default' });
    expectClose(frequencies, plain);
    expect(frequencies[0]).toBe(1);
    expect(attentionFactor).toBe(1);
  });

  test('linear: every position counts for 1/factor', () => {
    const { frequencies, attentionFactor } = ropeFrequencies(width, theta, { type: 'linear', factor: 4 });
    expectClose(
      frequencies,
      plain.map((value) => value / 4),
    );
    expect(attentionFactor).toBe(1);
  });

  test('dynamic: unchanged up to the trained context, a larger θ for every length beyond', () => {
    const scaling = read({ rope_type: 'dynamic', factor: 4 });
    for (const length of [1, context]) {
      const { frequencies, attentionFactor } = ropeFrequencies(width, theta, scaling, length);
      expectClose(frequencies, plain);
      expect(attentionFactor).toBe(1);
    }
    expect(fixedUpTo(scaling)).toBe(context);
    expect(contextWith(scaling, context)).toBe(4 * context);
    const base = theta * (4 * 1.5 - 3) ** (width / (width - 2));
    expectClose(
      ropeFrequencies(width, theta, scaling, 1.5 * context).frequencies,
      plain.map((_, pair) => 1 / base ** ((2 * pair) / width)),
    );
  });

  test('proportional: the first pairs of a whole head, the others stand still', () => {
    const scaling = read({ rope_type: 'proportional', partial_rotary_factor: 0.3, factor: 2 });
    const { frequencies } = ropeFrequencies(width, theta, scaling);
    expect([...frequencies]).toEqual(plain.map((_, pair) => (pair < 4 ? theta ** (-(2 * pair) / width) / 2 : 0)));
  });

  test('longrope: each pair by its divisor, others beyond the original context', () => {
    const [short, long] = [plain.map((_, pair) => 1 + pair), plain.map((_, pair) => 2 + pair)];
    const scaling = read({
      rope_type: 'longrope',
      short_factor: short,
      long_factor: long,
      original_max_position_embeddings: 16,
    });
    for (const [length, factors] of [
      [16, short],
      [17, long],
    ] as const) {
      const { frequencies, attentionFactor } = ropeFrequencies(width, theta, scaling, length);
      expectClose(
        frequencies,
        plain.map((value, pair) => value / factors[pair]!),
      );
      // The context is four times the original one.
      expect(attentionFactor).toBeCloseTo(Math.sqrt(1 + Math.log(4) / Math.log(16)), 15);
    }
    expect(fixedUpTo(scaling)).toBe(16);
    expect(contextWith(scaling, context)).toBe(context);
  });

  test('llama3: long wavelengths stretched, short ones kept, a blend between', () => {
    const originalContext = 256;
    const { frequencies, attentionFactor } = ropeFrequencies(width, theta, {
      type: 'llama3',
      factor: 8,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalContext,
    });
    const kinds = { kept: 0, stretched: 0, blended: 0 };
    const expected = plain.map((frequency) => {
      // As transformers has it, by wavelengths.
      const wavelength = (2 * Math.PI) / frequency;
      if (wavelength < originalContext / 4) {
        kinds.kept++;
        return frequency;
      }
      if (wavelength > originalContext / 1) {
        kinds.stretched++;
        return frequency / 8;
      }
      kinds.blended++;
      const smooth = (originalContext / wavelength - 1) / (4 - 1);
      return (1 - smooth) * (frequency / 8) + smooth * frequency;
    });
    expectClose(frequencies, expected);
    expect(attentionFactor).toBe(1);
    for (const count of Object.values(kinds)) expect(count).toBeGreaterThan(0);
  });

  test('yarn: ramp between the pairs that turn β_fast and β_slow times over the original context', () => {
    const originalContext = 2048;
    const scaling = read({
      rope_type: 'yarn',
      factor: 8,
      original_max_position_embeddings: originalContext,
    });
    const { frequencies, attentionFactor } = ropeFrequencies(width, theta, scaling);
    // Equations 16 to 25 of the paper with β_fast = 32, β_slow = 1, pair numbers rounded outwards.
    const dimension = (turns: number) =>
      (width * Math.log(originalContext / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
    const low = Math.floor(dimension(32));
    const high = Math.ceil(dimension(1));
    expect([low, high]).toEqual([4, 11]);
    const expected = plain.map((frequency, pair) => {
      const share = pair <= low ? 0 : pair >= high ? 1 : (pair - low) / (high - low);
      return (1 - share) * frequency + (share * frequency) / 8;
    });
    expectClose(frequencies, expected);
    expect(frequencies[0]).toBe(plain[0]);
    expect(frequencies[15]).toBeCloseTo(plain[15]! / 8, 15);
    expect(attentionFactor).toBeCloseTo(0.1 * Math.log(8) + 1, 15);
  });

  test('yarn: an attention factor that is given, and none for a factor of 1', () => {
    const readYarn = (fields: object) => read({ rope_type: 'yarn', original_max_position_embeddings: 64, ...fields });
    expect(ropeFrequencies(width, theta, readYarn({ factor: 8, attention_factor: 1.25 })).attentionFactor).toBe(1.25);
    expect(ropeFrequencies(width, theta, readYarn({ factor: 1 })).attentionFactor).toBe(1);
  });

  test('yarn: a ramp of no width does not divide by zero', () => {
    const scaling = read({ rope_type: 'yarn', factor: 2, original_max_position_embeddings: 4 });
    const { frequencies } = ropeFrequencies(4, theta, scaling);
    expect([...frequencies].every((value) => Number.isFinite(value) && value > 0)).toBe(true);
  });

  test('yarn: the ramp may end between pairs, and start after its end', () => {
    const fields = { rope_type: 'yarn', factor: 8, original_max_position_embeddings: 2048, truncate: false } as const;
    const dimension = (turns: number) => (width * Math.log(2048 / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
    for (const [fast, slow] of [
      [32, 1],
      [1, 32],
    ] as const) {
      const { frequencies } = ropeFrequencies(width, theta, read({ ...fields, beta_fast: fast, beta_slow: slow }));
      expectClose(
        frequencies,
        plain.map((frequency, pair) => {
          const share = Math.min(1, Math.max(0, (pair - dimension(fast)) / (dimension(slow) - dimension(fast))));
          return (1 - share) * frequency + (share * frequency) / 8;
        }),
      );
    }
  });

  test('yarn: mscale and mscale_all_dim together decide the attention factor', () => {
    const read4 = (fields: object) => read({ rope_type: 'yarn', factor: 4, ...fields });
    const both = ropeFrequencies(width, theta, read4({ mscale: 1, mscale_all_dim: 0.5 })).attentionFactor;
    expect(both).toBeCloseTo((0.1 * Math.log(4) + 1) / (0.05 * Math.log(4) + 1), 15);
    const alone = ropeFrequencies(width, theta, read4({ mscale: 2 })).attentionFactor;
    expect(alone).toBeCloseTo(0.1 * Math.log(4) + 1, 15);
  });
});
