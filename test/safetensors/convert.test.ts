import { describe, expect, test } from 'vitest';
import { SubzeroError } from '../../src/errors.ts';
import { otherHalf } from '../../src/safetensors/convert.ts';
import { bf16ToF32, bytesToF32, f16ToF32, f32ToBf16, f32ToBytes, f32ToF16 } from '../../src/safetensors/index.ts';
import { seededIntegers } from './helpers.ts';

const all = Uint16Array.from({ length: 0x10000 }, (_, i) => i);

/** The value of 16 bits, written down from the definition of the format. */
function decode(bits: number, exponentBits: number): number {
  const mantissaBits = 15 - exponentBits;
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits & 0x7fff) >> mantissaBits;
  const fraction = (bits & ((1 << mantissaBits) - 1)) / 2 ** mantissaBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias);
}

describe.each([
  { name: 'f16', widen: f16ToF32, narrow: f32ToF16, exponentBits: 5 },
  { name: 'bf16', widen: bf16ToF32, narrow: f32ToBf16, exponentBits: 8 },
])('$name', ({ widen, narrow, exponentBits }) => {
  const values = widen(all);
  const infinity = (2 ** exponentBits - 1) << (15 - exponentBits);

  test('every value widens exactly', () => {
    for (const bits of all) {
      if (!Object.is(values[bits], decode(bits, exponentBits))) {
        expect.fail(`${bits.toString(16)} gives ${values[bits]}, expected ${decode(bits, exponentBits)}`);
      }
    }
  });

  test('every value comes back with the same bits; NaN becomes quiet', () => {
    const quietBit = 1 << (14 - exponentBits);
    const back = narrow(values);
    for (const bits of all) {
      const expected = (bits & 0x7fff) > infinity ? bits | quietBit : bits;
      if (back[bits] !== expected) expect.fail(`${bits.toString(16)} comes back as ${back[bits]!.toString(16)}`);
    }
  });

  test('ties go to even, everything else to the nearest, over the whole range', () => {
    const scratch = new Float32Array(1);
    const scratchBits = new Uint32Array(scratch.buffer);
    const round = (value: number, step: number) => {
      scratch[0] = value;
      scratchBits[0]! += step;
      return narrow(scratch)[0]!;
    };
    for (let bits = 0; bits < infinity; bits++) {
      const low = values[bits]!;
      // The step from the largest value to where infinity begins is as wide as the one before it.
      const high = bits + 1 === infinity ? low + (low - values[bits - 1]!) : values[bits + 1]!;
      const tie = low + (high - low) / 2;
      const even = bits % 2 === 0 ? bits : bits + 1;
      // Half of the smallest bfloat16 is held by f32 too: all ties are exact.
      expect(Math.fround(tie)).toBe(tie);
      const got = [round(tie, -1), round(tie, 0), round(tie, 1), round(-tie, 0)];
      const expected = [bits, even, bits + 1, even | 0x8000];
      if (got.join() !== expected.join()) expect.fail(`around ${tie}: got ${got}, expected ${expected}`);
    }
  });

  test('large, tiny and infinite values', () => {
    const got = narrow(Float32Array.of(3.4e38, -3.4e38, Number.POSITIVE_INFINITY, -0, 1.4e-45, Number.NaN));
    expect([...got.subarray(0, 5)]).toEqual(
      exponentBits === 5 ? [infinity, infinity | 0x8000, infinity, 0x8000, 0] : [0x7f80, 0xff80, 0x7f80, 0x8000, 0],
    );
    expect(decode(got[5]!, exponentBits)).toBeNaN();
  });

  test('random bits agree with the nearest value found by search', () => {
    const random = seededIntegers(7);
    const source = new Float32Array(20_000);
    const sourceBits = new Uint32Array(source.buffer);
    for (let i = 0; i < source.length; i++) sourceBits[i] = random(0x10000) * 0x10000 + random(0x10000);
    const narrowed = narrow(source);
    for (let i = 0; i < source.length; i++) {
      const value = source[i]!;
      if (Number.isNaN(value)) continue;
      const bits = narrowed[i]!;
      const error = Math.abs(decode(bits, exponentBits) - value);
      for (const neighbour of [bits - 1, bits + 1]) {
        const other = decode(neighbour & 0xffff, exponentBits);
        if (Number.isFinite(other) && Number.isFinite(error)) expect(error <= Math.abs(other - value)).toBe(true);
      }
    }
  });

  test('a given target is filled and returned; one that is too short is refused', () => {
    const target = new Float32Array(3);
    expect(widen(Uint16Array.of(infinity), target)).toBe(target);
    expect([...target]).toEqual([Number.POSITIVE_INFINITY, 0, 0]);
    expect(() => widen(all, target)).toThrow(RangeError);
    expect(() => narrow(target, new Uint16Array(2))).toThrow(RangeError);
  });
});

test.each(['F16', 'BF16'] as const)('%s: given memory holds the values where it is long enough', (dtype) => {
  const bytes = f32ToBytes(dtype, Float32Array.of(1, -2, 0.5));
  const memory = new Float32Array(4).fill(Number.NaN);
  const values = bytesToF32(dtype, bytes, memory);
  expect([...values]).toEqual([1, -2, 0.5]);
  expect(values.buffer).toBe(memory.buffer);
  const short = memory.subarray(0, 2);
  const own = bytesToF32(dtype, bytes, short);
  expect([...own]).toEqual([1, -2, 0.5]);
  expect(own.buffer).not.toBe(memory.buffer);
});

test.each(['F16', 'BF16'] as const)('%s becomes the other type of 16 bits as by way of f32', (dtype) => {
  const bytes = new Uint8Array(all.buffer);
  const expected = f32ToBytes(dtype === 'F16' ? 'BF16' : 'F16', bytesToF32(dtype, bytes));
  const expectSame = (given: Uint8Array): void => expect(Buffer.compare(given, expected)).toBe(0);
  expectSame(otherHalf(dtype, bytes));
  const memory = new Float32Array(0x8000 + 1);
  const within = otherHalf(dtype, bytes, memory.subarray(1));
  expectSame(within);
  expect([within.buffer, within.byteOffset]).toEqual([memory.buffer, 4]);
  expectSame(otherHalf(dtype, bytes, memory.subarray(2)));
});

test('bytes of each type become f32 and come back', () => {
  const values = Float32Array.of(1, -2.5, 0.15625);
  for (const dtype of ['F32', 'F16', 'BF16'] as const) {
    expect(bytesToF32(dtype, f32ToBytes(dtype, values))).toEqual(values);
  }
  expect([...f32ToBytes('BF16', Float32Array.of(1))]).toEqual([0x80, 0x3f]);
  expect([...f32ToBytes('F16', Float32Array.of(1))]).toEqual([0x00, 0x3c]);
  expect(() => bytesToF32('I64', new Uint8Array(8))).toThrow(SubzeroError);
});
