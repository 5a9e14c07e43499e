import type { WeightCodec } from './codec.ts';
import { packNibbles, unpackNibbles } from './groups.ts';
import { layOutScaledZeros, scaledZerosElements, scaledZerosValues, type ZeroedGroups } from './scaled-zeros.ts';

const blockBytes = 8 + scaledZerosElements / 2;

/** Lays out codes from 0 to 15 with a scale and a zero for 128 of them. */
export function layOutQ4z(groups: ZeroedGroups): Uint8Array<ArrayBuffer> {
  return layOutScaledZeros(groups, blockBytes, (codes, target) => packNibbles(codes, 0, target));
}

/** Weights as 4-bit codes with an f32 scale and the code of zero for 128 of them: 4.5 bits an element. */
export const q4z = {
  name: 'q4z',
  block: { elements: scaledZerosElements, bytes: blockBytes },
  dtype: 'F16',
  halfExact: false,
  writing: 'never',
  unpack: (bytes: Uint8Array): Float32Array =>
    scaledZerosValues(bytes, blockBytes, (source, codes) => unpackNibbles(source, 0, codes)),
} as const satisfies WeightCodec;
