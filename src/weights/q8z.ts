import type { WeightCodec } from './codec.ts';
import { bytesOf } from './groups.ts';
import { layOutScaledZeros, scaledZerosElements, scaledZerosValues, type ZeroedGroups } from './scaled-zeros.ts';

const blockBytes = 8 + scaledZerosElements;

/** Lays out codes from −128 to 127 with a scale and a zero for 128 of them. */
export function layOutQ8z(groups: ZeroedGroups): Uint8Array<ArrayBuffer> {
  return layOutScaledZeros(groups, blockBytes, (codes, target) => target.set(bytesOf(codes)));
}

/** Weights as 8-bit codes with an f32 scale and the code of zero for 128 of them: 8.5 bits an element. */
export const q8z = {
  name: 'q8z',
  block: { elements: scaledZerosElements, bytes: blockBytes },
  dtype: 'F16',
  halfExact: false,
  writing: 'never',
  unpack: (bytes: Uint8Array): Float32Array =>
    scaledZerosValues(bytes, blockBytes, (source, codes) => bytesOf(codes).set(source)),
} as const satisfies WeightCodec;
