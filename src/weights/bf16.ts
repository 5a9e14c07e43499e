import { bytesToF32, f32ToBytes } from '../safetensors/convert.ts';
import type { WeightCodec } from './codec.ts';

/** Weights as bfloat16, the upper half of an f32, rounded as f16 is. */
export const bf16 = {
  name: 'bf16',
  block: { elements: 1, bytes: 2 },
  dtype: 'BF16',
  halfExact: true,
  writing: 'stochastic',
  pack: (values: Float32Array): Uint8Array => f32ToBytes('BF16', values),
  unpack: (bytes: Uint8Array): Float32Array => bytesToF32('BF16', bytes),
} as const satisfies WeightCodec;
