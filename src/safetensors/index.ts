/**
 * Our own reader and writer of the safetensors format.
 *
 * @module
 */

export type { TensorSource } from '../tensor-source.ts';
export { bf16ToF32, bytesToF32, type FloatDtype, f16ToF32, f32ToBf16, f32ToBytes, f32ToF16 } from './convert.ts';
export { dtypeBytes, elementCount, type SafetensorsDtype } from './dtype.ts';
export type { TensorEntry } from './header.ts';
export { type ModelWeights, openModelWeights } from './model-weights.ts';
export { openSafetensors, type SafetensorsFile } from './reader.ts';
export { type TensorToWrite, writeSafetensors } from './writer.ts';
