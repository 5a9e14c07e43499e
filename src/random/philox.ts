/**
 * Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011),
 * and the map from its words to Gaussians that the GPU kernels use too. A random number is a pure function of
 * (seed, tensor, step, purpose, query, element): nothing has a state, so the order of evaluation cannot matter.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';

/** Four 32-bit words, as unsigned numbers. */
export type Words = [number, number, number, number];

const multiplier0 = 0xd2511f53;
const multiplier1 = 0xcd9e8d57;
/** Weyl increments of the key: the golden ratio and sqrt(3) − 1, as 32-bit fractions. */
const increment0 = 0x9e3779b9;
const increment1 = 0xbb67ae85;
const rounds = 10;
const twoTo32 = 0x1_0000_0000;

/**
 * What a random word is used for; keeps the streams of one seed apart.
 * `dense` is Z and the noise of 1-D parameters; `omegaU` and `omegaV` are what U and V are made from; `start` is what
 * adapter tensors start from; `sampling` draws tokens; `resampling` draws examples for intervals. 4 rounds 16-bit
 * weights, on the GPU only.
 */
export const purposes = { dense: 0, omegaU: 1, omegaV: 2, batch: 3, start: 5, sampling: 6, resampling: 7 } as const;

/** Upper 32 bits of the 64-bit product of two unsigned 32-bit numbers, by 16-bit halves: no BigInt, no rounding. */
export function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  // (2^16 − 1)² + 2^16 − 1 < 2^32: no intermediate leaves the unsigned 32-bit range.
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const cross = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + (middle >>> 16) + (cross >>> 16)) >>> 0;
}

/** The Philox key of a seed: (seed mod 2^32, floor(seed / 2^32)). Seeds are whole numbers from 0 to 2^53 − 1. */
export function keyOfSeed(seed: number): [number, number] {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new SubzeroError('invalid_argument', `seed must be a whole number from 0 to 2^53 - 1; got ${seed}`, {
      parameter: 'seed',
    });
  }
  return [seed % twoTo32, Math.floor(seed / twoTo32)];
}

/** One block of Philox4x32-10: 128 bits of counter and 64 bits of key give four uniform 32-bit words. */
export function philox4x32(counter: Readonly<Words>, key: readonly [number, number]): Words {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < rounds; round++) {
    const high0 = multiplyHigh(multiplier0, c0);
    const low0 = Math.imul(multiplier0, c0) >>> 0;
    const high1 = multiplyHigh(multiplier1, c2);
    const low1 = Math.imul(multiplier1, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + increment0) >>> 0;
    k1 = (k1 + increment1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** Which stream of Gaussians: the counter's fixed words. */
export interface GaussianStream {
  /** {@link tensorId} of the parameter. */
  tensor: number;
  /** The step, or the period's index for U and V. */
  step: number;
  /** One of {@link purposes}. */
  purpose: number;
  /** Index of the direction within the step, below 2^24. */
  query: number;
}

/**
 * `count` numbers of N(0, 1) by Box–Muller in float64. Element `i` uses the counter
 * (i >> 2, tensor, step, purpose << 24 | query) and the Gaussian `i & 3` of {@link gaussiansOfWords}.
 */
export function gaussian(seed: number, stream: GaussianStream, count: number): Float64Array {
  const key = keyOfSeed(seed);
  const last = ((stream.purpose << 24) | stream.query) >>> 0;
  const result = new Float64Array(count);
  for (let block = 0; block * 4 < count; block++) {
    const values = gaussiansOfWords(philox4x32([block, stream.tensor, stream.step, last], key));
    result.set(values.slice(0, Math.min(4, count - block * 4)), block * 4);
  }
  return result;
}

/**
 * Box–Muller: R(x) = sqrt(−2 ln(x·2^−32 + 2^−33)), which is finite for every word;
 * (R(x0) cos 2πx1, R(x0) sin 2πx1, R(x2) cos 2πx3, R(x2) sin 2πx3) with the angles' words as 32-bit fractions.
 */
export function gaussiansOfWords([x0, x1, x2, x3]: Readonly<Words>): Words {
  const radius0 = Math.sqrt(-2 * Math.log(x0 * 2 ** -32 + 2 ** -33));
  const radius1 = Math.sqrt(-2 * Math.log(x2 * 2 ** -32 + 2 ** -33));
  const angle0 = 2 * Math.PI * x1 * 2 ** -32;
  const angle1 = 2 * Math.PI * x3 * 2 ** -32;
  return [
    radius0 * Math.cos(angle0),
    radius0 * Math.sin(angle0),
    radius1 * Math.cos(angle1),
    radius1 * Math.sin(angle1),
  ];
}

/** The stable number of a parameter: 32-bit FNV-1a of its UTF-8 name. */
export function tensorId(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
