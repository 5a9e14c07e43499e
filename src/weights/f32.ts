import { bytesToF32, f32ToBytes } from '../safetensors/convert.ts';
import type { WeightCodec } from './codec.ts';

/** Weights as f32. */
export const f32 = {
  name: 'f32',
  block: { elements: 1, bytes: 4 },
  dtype: 'F32',
  halfExact: false,
  writing: 'exact',
  pack: (values: Float32Array): Uint8Array => f32ToBytes('F32', values),
  unpack: (bytes: Uint8Array): Float32Array => bytesToF32('F32', bytes),
} as const satisfies WeightCodec;
