import type { WeightCodec } from './codec.ts';
import { bytesOf, type CodeGroups, groupValues } from './groups.ts';
import { layOutScaledMinima, readScaledMinima, scaledMinimaElements } from './scaled-minima.ts';

const blockBytes = 8 + scaledMinimaElements;

/** Lays out codes from −128 to 127 with a scale and a minimum for 32 of them. */
export function layOutQ8m(groups: CodeGroups): Uint8Array<ArrayBuffer> {
  return layOutScaledMinima(groups, blockBytes, (codes, target) => target.set(bytesOf(codes)));
}

/** Weights as 8-bit codes with an f32 scale and an f32 minimum for 32 of them: 10 bits an element. */
export const q8m = {
  name: 'q8m',
  block: { elements: scaledMinimaElements, bytes: blockBytes },
  dtype: 'F16',
  halfExact: false,
  writing: 'never',
  unpack: (bytes: Uint8Array): Float32Array =>
    groupValues(readScaledMinima(bytes, blockBytes, (source, codes) => bytesOf(codes).set(source))),
} as const satisfies WeightCodec;
