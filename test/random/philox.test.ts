import { describe, expect, test } from 'vitest';
import {
  gaussian,
  gaussiansOfWords,
  keyOfSeed,
  multiplyHigh,
  philox4x32,
  tensorId,
  type Words,
} from '../../src/random/philox.ts';

const hexadecimal = (text: string) => text.split(' ').map((word) => Number.parseInt(word, 16));

describe('philox4x32', () => {
  // Known-answer vectors of Random123 (tests/kat_vectors, "philox4x32 10").
  test.each([
    ['00000000 00000000 00000000 00000000', '00000000 00000000', '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    ['ffffffff ffffffff ffffffff ffffffff', 'ffffffff ffffffff', '408f276d 41c83b0e a20bc7c6 6d5451fd'],
    ['243f6a88 85a308d3 13198a2e 03707344', 'a4093822 299f31d0', 'd16cfe09 94fdcceb 5001e420 24126ea1'],
  ])('counter %s, key %s', (counter, key, expected) => {
    expect(philox4x32(hexadecimal(counter) as Words, hexadecimal(key) as [number, number])).toEqual(
      hexadecimal(expected),
    );
  });

  test('multiplyHigh is the upper half of the exact product', () => {
    const values = [0, 1, 2, 0xffff, 0x10000, 0x10001, 0x7fffffff, 0x80000000, 0xd2511f53, 0xfffffffe, 0xffffffff];
    for (const a of values) {
      for (const b of values) expect(multiplyHigh(a, b)).toBe(Number((BigInt(a) * BigInt(b)) >> 32n));
    }
  });

  test('keyOfSeed splits a seed and refuses what is not one', () => {
    expect(keyOfSeed(5)).toEqual([5, 0]);
    expect(keyOfSeed(2 ** 32 * 3 + 7)).toEqual([7, 3]);
    expect(keyOfSeed(Number.MAX_SAFE_INTEGER)).toEqual([0xffffffff, 0x1fffff]);
    for (const seed of [-1, 0.5, Number.NaN, 2 ** 53]) expect(() => keyOfSeed(seed)).toThrow(/seed must be/);
  });
});

describe('gaussian', () => {
  const stream = { tensor: tensorId('model.norm.weight'), step: 3, purpose: 0, query: 0 };

  test('element i comes from counter (i >> 2, tensor, step, purpose << 24 | query)', () => {
    const values = gaussian(9, { tensor: 11, step: 12, purpose: 2, query: 5 }, 7);
    const block = gaussiansOfWords(philox4x32([1, 11, 12, (2 << 24) | 5], [9, 0]));
    expect([...values.slice(4)]).toEqual(block.slice(0, 3));
  });

  test('is finite at both ends of the word range', () => {
    expect(gaussiansOfWords([0, 0, 0xffffffff, 0xffffffff]).every(Number.isFinite)).toBe(true);
    expect(gaussiansOfWords([0, 0, 0, 0])[0]).toBeCloseTo(Math.sqrt(-2 * Math.log(2 ** -33)), 12);
  });

  test('has the moments of N(0, 1)', () => {
    const count = 200_000;
    const values = gaussian(1, stream, count);
    const moment = (power: number) => values.reduce((sum, value) => sum + value ** power, 0) / count;
    // Five standard errors of each sample moment: var(z) = 1, var(z²) = 2, var(z³) = 15, var(z⁴) = 96.
    const bound = (variance: number) => 5 * Math.sqrt(variance / count);
    expect(Math.abs(moment(1))).toBeLessThan(bound(1));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(bound(2));
    expect(Math.abs(moment(3))).toBeLessThan(bound(15));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(bound(96));
  });

  test('streams that differ in one word are uncorrelated', () => {
    const count = 50_000;
    const first = gaussian(1, stream, count);
    for (const other of [
      gaussian(2, stream, count),
      gaussian(1, { ...stream, tensor: 1 }, count),
      gaussian(1, { ...stream, step: 4 }, count),
      gaussian(1, { ...stream, purpose: 1 }, count),
      gaussian(1, { ...stream, query: 1 }, count),
    ]) {
      const correlation = first.reduce((sum, value, index) => sum + value * other[index]!, 0) / count;
      expect(Math.abs(correlation)).toBeLessThan(5 / Math.sqrt(count));
    }
  });
});

// Values of the FNV reference page (isthe.com/chongo/tech/comp/fnv, 32-bit FNV-1a).
test('tensorId is 32-bit FNV-1a', () => {
  expect(tensorId('')).toBe(0x811c9dc5);
  expect(tensorId('a')).toBe(0xe40c292c);
  expect(tensorId('foobar')).toBe(0xbf9cf968);
});
