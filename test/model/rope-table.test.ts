/** Tables of rotary positions: their layout, their accuracy, and rows for sequences whose length decides the angles. */

import { describe, expect, test } from 'vitest';
import { ropeFrequencies } from '../../src/model/rope-rules.ts';
import { ropeRows, ropeTable } from '../../src/model/rope-table.ts';

const width = 32;
const theta = 10_000;

describe('ropeTable', () => {
  test('a row per position: cosines of all pairs, then sines, rounded to f32 once', () => {
    const table = ropeTable(50, { theta, rotaryWidth: width, scaling: { type: 'default' } });
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
    const table = ropeTable(position + 1, { theta, rotaryWidth: 4, scaling: { type: 'default' } });
    expect(table[position * 4]).toBe(Math.fround(Math.cos(position)));
    expect(table[position * 4 + 3]).toBe(Math.fround(Math.sin(position / 100)));
  });

  test('the attention factor scales cosines and sines', () => {
    const yarn = {
      ...({ type: 'yarn', factor: 4, originalContext: 64, betaFast: 32, betaSlow: 1, truncate: true } as const),
      attentionFactor: 1.5,
    };
    const table = ropeTable(3, { theta, rotaryWidth: 8, scaling: yarn });
    expect([...table.subarray(0, 8)]).toEqual([1.5, 1.5, 1.5, 1.5, 0, 0, 0, 0]);
    for (let pair = 0; pair < 4; pair++) {
      expect(Math.hypot(table[16 + pair]!, table[20 + pair]!)).toBeCloseTo(1.5, 6);
    }
  });
});

describe('what a rotation adds to its rule', () => {
  const plain = { theta, rotaryWidth: 8, scaling: { type: 'default' } } as const;
  const table = ropeTable(40, plain);

  test('reversed: the other way round', () => {
    const reversed = ropeTable(40, { ...plain, reversed: true });
    for (let index = 0; index < table.length; index++) {
      expect(reversed[index]).toBe(index % 8 < 4 ? table[index] : -table[index]!);
    }
  });

  test('growth: a factor by how many contexts lie before a position', () => {
    const grown = ropeTable(40, { ...plain, growth: { beta: 0.5, context: 16 } });
    for (const [position, factor] of [
      [0, 1],
      [15, 1],
      [16, 1 + 0.5 * Math.log(2)],
      [39, 1 + 0.5 * Math.log(3)],
    ] as const) {
      for (let index = position * 8; index < position * 8 + 8; index++) {
        expect(grown[index]! / factor).toBeCloseTo(table[index]!, 6);
      }
    }
  });
});

describe('ropeRows', () => {
  test('a row per token, by its position and the length of its sequence', () => {
    const scaling = { type: 'dynamic', factor: 2, trainedContext: 10 } as const;
    const positions = new Uint32Array([3, 11, 11, 0]);
    const lengths = new Uint32Array([5, 12, 20, 20]);
    const table = ropeRows(positions, lengths, { theta, rotaryWidth: 8, scaling });
    expect(table.length).toBe(4 * 8);
    for (const [row, position] of positions.entries()) {
      const { frequencies } = ropeFrequencies(8, theta, scaling, lengths[row]);
      for (const [pair, frequency] of frequencies.entries()) {
        expect(table[row * 8 + pair]).toBe(Math.fround(Math.cos(position * frequency)));
        expect(table[row * 8 + 4 + pair]).toBe(Math.fround(Math.sin(position * frequency)));
      }
    }
    // The second and third token stand at the same place of texts of other lengths.
    expect(table.subarray(8, 16)).not.toEqual(table.subarray(16, 24));
  });
});
