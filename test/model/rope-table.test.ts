/** Rotary angles: each scaling rule by its formula, values of transformers where rules are intricate, and the table's layout. */

import { describe, expect, test } from 'vitest';
import { SubzeroError } from '../../src/errors.ts';
import { parseRopeScaling, ropeFrequencies, ropeTable } from '../../src/model/rope-table.ts';

const width = 32;
const theta = 10_000;
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

  test('dynamic: unchanged up to the trained context, and longer sequences are refused elsewhere', () => {
    const { frequencies, attentionFactor } = ropeFrequencies(width, theta, { type: 'dynamic', factor: 4 });
    expectClose(frequencies, plain);
    expect(attentionFactor).toBe(1);
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
    const scaling = parseRopeScaling({
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
    const read = (fields: object) =>
      parseRopeScaling({ rope_type: 'yarn', original_max_position_embeddings: 64, ...fields });
    expect(ropeFrequencies(width, theta, read({ factor: 8, attention_factor: 1.25 })).attentionFactor).toBe(1.25);
    expect(ropeFrequencies(width, theta, read({ factor: 1 })).attentionFactor).toBe(1);
  });

  test('yarn: a ramp of no width does not divide by zero', () => {
    const scaling = parseRopeScaling({ rope_type: 'yarn', factor: 2, original_max_position_embeddings: 4 });
    const { frequencies } = ropeFrequencies(4, theta, scaling);
    expect([...frequencies].every((value) => Number.isFinite(value) && value > 0)).toBe(true);
  });
});

describe('parseRopeScaling', () => {
  test('nothing, null and an empty object are the default', () => {
    for (const value of [undefined, null, {}, { rope_type: 'default', rope_theta: 5 }]) {
      expect(parseRopeScaling(value)).toEqual({ type: 'default' });
    }
  });

  test('old and new spelling of the type', () => {
    expect(parseRopeScaling({ type: 'linear', factor: 2 })).toEqual({ type: 'linear', factor: 2 });
    expect(parseRopeScaling({ rope_type: 'dynamic', type: 'linear', factor: 3 })).toEqual({
      type: 'dynamic',
      factor: 3,
    });
  });

  test('llama3 as Llama 3.1 has it', () => {
    expect(
      parseRopeScaling({
        rope_type: 'llama3',
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 8192,
      }),
    ).toEqual({ type: 'llama3', factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 8192 });
  });

  test.each([
    [{ type: 'linear' }, 'factor'],
    [{ type: 'dynamic', factor: 0 }, 'factor'],
    [{ type: 'linear', factor: 'two' }, 'factor'],
    [{ type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 }, 'original_max_position_embeddings'],
    [{ type: 'llama3', factor: 8, high_freq_factor: 4, original_max_position_embeddings: 1 }, 'low_freq_factor'],
    [{ type: 'yarn', factor: 8, original_max_position_embeddings: 64, beta_fast: -1 }, 'beta_fast'],
    [{ type: 'yarn', factor: 8 }, 'original_max_position_embeddings'],
  ])('%j lacks a positive %s', (value, field) => {
    expect(() => parseRopeScaling(value)).toThrow(
      expect.objectContaining({
        code: 'invalid_data',
        message: expect.stringContaining(`needs a positive "${field}"`),
      }),
    );
  });

  test('rules that are not there', () => {
    expect(() => parseRopeScaling({ rope_type: 'longrope' })).toThrow(SubzeroError);
    expect(() => parseRopeScaling({ rope_type: 'longrope' })).toThrow(
      /"longrope" is not supported; supported are default, linear/,
    );
  });
});

describe('ropeTable', () => {
  test('a row per position: cosines of all pairs, then sines, rounded to f32 once', () => {
    const table = ropeTable(50, width, theta, { type: 'default' });
    expect(table.length).toBe(50 * width);
    for (const position of [0, 1, 7, 49]) {
      for (let pair = 0; pair < width / 2; pair++) {
        const angle = position * theta ** (-(2 * pair) / width);
        expect(table[position * width + pair]).toBe(Math.fround(Math.cos(angle)));
        expect(table[position * width + width / 2 + pair]).toBe(Math.fround(Math.sin(angle)));
      }
    }
  });

  test('long contexts keep the accuracy of f64 angles', () => {
    const position = 131_071;
    const table = ropeTable(position + 1, 4, 10_000, { type: 'default' });
    expect(table[position * 4]).toBe(Math.fround(Math.cos(position)));
    expect(table[position * 4 + 3]).toBe(Math.fround(Math.sin(position / 100)));
  });

  test('the attention factor scales cosines and sines', () => {
    const scaling = parseRopeScaling({
      rope_type: 'yarn',
      factor: 4,
      original_max_position_embeddings: 64,
      attention_factor: 1.5,
    });
    const table = ropeTable(3, 8, theta, scaling);
    expect([...table.subarray(0, 8)]).toEqual([1.5, 1.5, 1.5, 1.5, 0, 0, 0, 0]);
    for (let pair = 0; pair < 4; pair++) {
      expect(Math.hypot(table[16 + pair]!, table[20 + pair]!)).toBeCloseTo(1.5, 6);
    }
  });
});
