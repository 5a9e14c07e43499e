import type { WeightCodec } from './codec.ts';
import { bytesOf, type CodeGroups, groupValues } from './groups.ts';
import { halfScaleElements, layOutHalfScales, quantise, readHalfScales } from './half-scales.ts';

const blockBytes = 4 + halfScaleElements;

/** Lays out codes from −128 to 127 with an f16 scale for 32 of them. */
export function layOutQ8(groups: Pick<CodeGroups, 'codes' | 'scales'>): Uint8Array {
  return layOutHalfScales(groups, blockBytes, (codes, first, target, at) => {
    for (let index = 0; index < halfScaleElements; index++) target[at + index] = codes[first + index]!;
  });
}

/** Weights as 8-bit codes with an f16 scale for 32 of them: 8.5 bits an element. */
export const q8 = {
  name: 'q8',
  block: { elements: halfScaleElements, bytes: blockBytes },
  dtype: 'F16',
  halfExact: false,
  writing: 'never',
  pack: (values: Float32Array): Uint8Array => layOutQ8(quantise(values, 127)),
  unpack: (bytes: Uint8Array): Float32Array =>
    groupValues(readHalfScales(bytes, blockBytes, (source, codes) => bytesOf(codes).set(source))),
} as const satisfies WeightCodec;
