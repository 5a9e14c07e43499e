import type { WeightCodec } from './codec.ts';
import { type CodeGroups, groupValues, unpackNibbles } from './groups.ts';
import { halfScaleElements, layOutHalfScales, quantise, readHalfScales } from './half-scales.ts';

const blockBytes = 4 + halfScaleElements / 2;

/** Lays out codes from −8 to 7 with an f16 scale for 32 of them. */
export function layOutQ4(groups: Pick<CodeGroups, 'codes' | 'scales'>): Uint8Array {
  return layOutHalfScales(groups, blockBytes, (codes, first, target, at) => {
    // As packNibbles does it.
    for (let index = 0; index < halfScaleElements; index += 2) {
      target[at + index / 2] = (codes[first + index]! + 8) | ((codes[first + index + 1]! + 8) << 4);
    }
  });
}

/** Weights as 4-bit codes with an f16 scale for 32 of them: 4.5 bits an element. */
export const q4 = {
  name: 'q4',
  block: { elements: halfScaleElements, bytes: blockBytes },
  dtype: 'F16',
  halfExact: false,
  writing: 'never',
  pack: (values: Float32Array): Uint8Array => layOutQ4(quantise(values, -8)),
  unpack: (bytes: Uint8Array): Float32Array =>
    groupValues(readHalfScales(bytes, blockBytes, (source, codes) => unpackNibbles(source, 8, codes))),
} as const satisfies WeightCodec;
