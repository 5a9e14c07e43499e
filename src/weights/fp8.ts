import type { WeightCodec } from './codec.ts';
import { tableElements, tableValues } from './tables.ts';

/** The values of the codes: a sign, four bits of exponent with bias 7, three of fraction; all ones are NaN. */
export const fp8Table: Float32Array = Float32Array.from({ length: 256 }, (_, code) => {
  const exponent = (code >> 3) & 15;
  const fraction = code & 7;
  if (exponent === 15 && fraction === 7) return Number.NaN;
  const magnitude = exponent === 0 ? fraction * 2 ** -9 : (8 + fraction) * 2 ** (exponent - 10);
  return code & 128 ? -magnitude : magnitude;
});

/** Weights as floats of 8 bits (E4M3 without infinities) with an f32 scale for 64 of them: 8.5 bits an element. */
export const fp8 = {
  name: 'fp8',
  block: { elements: tableElements, bytes: 4 + tableElements },
  dtype: 'F16',
  halfExact: false,
  writing: 'never',
  unpack: (bytes: Uint8Array): Float32Array => tableValues(bytes, 8, fp8Table),
} as const satisfies WeightCodec;
