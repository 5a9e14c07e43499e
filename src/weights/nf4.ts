import type { WeightCodec } from './codec.ts';
import { tableElements, tableValues } from './tables.ts';

/** The values of the codes, which are f32. @see bitsandbytes/functional.py, `get_4bit_type` */
export const nf4Table: readonly number[] = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];

/** Weights as codes of quantiles of a normal distribution with an f32 scale for 64 of them: 4.5 bits an element. */
export const nf4 = {
  name: 'nf4',
  block: { elements: tableElements, bytes: 4 + tableElements / 2 },
  dtype: 'F16',
  halfExact: false,
  writing: 'never',
  unpack: (bytes: Uint8Array): Float32Array => tableValues(bytes, 4, nf4Table),
} as const satisfies WeightCodec;
