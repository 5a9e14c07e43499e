import type { WeightCodec } from './codec.ts';
import { tableElements, tableValues } from './tables.ts';

/** The values of the codes, which are f32. @see bitsandbytes/functional.py, `get_4bit_type` */
export const fp4Table: readonly number[] = [
  0, 0.0052083334885537624, 0.6666666865348816, 1, 0.3333333432674408, 0.5, 0.1666666716337204, 0.25, -0,
  -0.0052083334885537624, -0.6666666865348816, -1, -0.3333333432674408, -0.5, -0.1666666716337204, -0.25,
];

/** Weights as codes of bitsandbytes' floats of 4 bits with an f32 scale for 64 of them: 4.5 bits an element. */
export const fp4 = {
  name: 'fp4',
  block: { elements: tableElements, bytes: 4 + tableElements / 2 },
  dtype: 'F16',
  halfExact: false,
  writing: 'never',
  unpack: (bytes: Uint8Array): Float32Array => tableValues(bytes, 4, fp4Table),
} as const satisfies WeightCodec;
