import type { WeightCodec } from './codec.ts';
import { type CodeGroups, groupValues, packNibbles, unpackNibbles } from './groups.ts';
import { layOutScaledMinima, readScaledMinima, scaledMinimaElements } from './scaled-minima.ts';

const blockBytes = 8 + scaledMinimaElements / 2;

/** Lays out codes from 0 to 15 with a scale and a minimum for 32 of them. */
export function layOutQ4m(groups: CodeGroups): Uint8Array<ArrayBuffer> {
  return layOutScaledMinima(groups, blockBytes, (codes, target) => packNibbles(codes, 0, target));
}

/** Weights as 4-bit codes with an f32 scale and an f32 minimum for 32 of them: 6 bits an element. */
export const q4m = {
  name: 'q4m',
  block: { elements: scaledMinimaElements, bytes: blockBytes },
  dtype: 'F16',
  halfExact: false,
  writing: 'never',
  unpack: (bytes: Uint8Array): Float32Array =>
    groupValues(readScaledMinima(bytes, blockBytes, (source, codes) => unpackNibbles(source, 0, codes))),
} as const satisfies WeightCodec;
