/**
 * What a scheme adds to a model that stays as it is: a few small f32 tensors.
 *
 * @module
 */

import type { Decoder } from '../model/decoder.ts';
import type { AdapterShape } from '../ops/probes.ts';
import { keyOfSeed, philox4x32, purposes, tensorId } from '../random/philox.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { layOutState, type StateEntry } from '../tensor/state.ts';

export interface AdapterTensor {
  name: string;
  /** Row-major. */
  shape: readonly [number, number];
  /** At the start of the run. */
  values: Float32Array;
}

/** All of them, and what the forward pass does with each. */
export interface Adapter extends AdapterShape {
  tensors: readonly AdapterTensor[];
}

/** The tensors as entries of a state. */
export function adapterEntries(tensors: readonly AdapterTensor[]): StateEntry[] {
  return tensors.map(({ name, values: { length } }) => {
    return { name, kind: 'adapter', length, tensor: tensorId(name), trains: true };
  });
}

/** Bytes of all tensors, laid out as kernels read them. */
export function adapterBytes(tensors: readonly AdapterTensor[]): number {
  return layOutState(adapterEntries(tensors)).size * 4;
}

/**
 * The most-square pair of factors a · b = count, a ≤ b: the matrix as which SubZero sees an adapter tensor
 * (docs/method.md, "Schemes"). A long thin tensor such as 8 × 2048 would leave a subspace of 8 × r; 128 × 128 does not.
 */
export function mostSquare(count: number): [number, number] {
  for (let a = Math.floor(Math.sqrt(count)); a > 1; a--) if (count % a === 0) return [a, count / a];
  return [1, count];
}

/**
 * `count` numbers uniform in (0, 1), in f64. Element `i` is word `i & 3` of the Philox block (i >> 2, tensor, 0, 5 <<
 * 24) of the seed, (word + 1/2) / 2^32: a pure function of its arguments, so that a resumed run starts from the same
 * values.
 */
export function uniforms(seed: number, name: string, count: number): Float64Array {
  const key = keyOfSeed(seed);
  const tensor = tensorId(name);
  const result = new Float64Array(count);
  for (let block = 0; block * 4 < count; block++) {
    const words = philox4x32([block, tensor, 0, purposes.start << 24], key);
    for (let i = 0; i < 4 && block * 4 + i < count; i++) result[block * 4 + i] = (words[i]! + 0.5) / 2 ** 32;
  }
  return result;
}

/** The tokens that virtual ones start as: one each, chosen by the seed from the whole vocabulary. */
export function startTokens(
  { vocabularySize }: Pick<Decoder, 'vocabularySize'>,
  { virtualTokens, seed }: Pick<TrainConfiguration, 'virtualTokens' | 'seed'>,
): number[] {
  return Array.from(uniforms(seed, 'virtual tokens', virtualTokens), (u) => Math.floor(u * vocabularySize));
}
