import { bytesToF32, f32ToBytes } from '../safetensors/convert.ts';
import type { WeightCodec } from './codec.ts';

/** Weights as IEEE binary16, rounded to the nearest when packed and at random when written by training. */
export const f16 = {
  name: 'f16',
  block: { elements: 1, bytes: 2 },
  dtype: 'F16',
  halfExact: true,
  writing: 'stochastic',
  pack: (values: Float32Array): Uint8Array => f32ToBytes('F16', values),
  unpack: (bytes: Uint8Array): Float32Array => bytesToF32('F16', bytes),
} as const satisfies WeightCodec;
