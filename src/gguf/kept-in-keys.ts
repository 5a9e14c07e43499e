/**
 * Numbers of layers that a GGUF file has among its keys and transformers as tensors.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { KnownGguf } from './configuration.ts';
import type { ReadableTensor } from './experts.ts';
import type { GgufModel } from './file.ts';
import { quoteValue } from './header.ts';

/**
 * The tensors, of one number each.
 * @throws SubzeroError `invalid_data` for a list of another length, `unsupported` for constants that are others
 */
export function keptTensors(
  { metadata, path }: Pick<GgufModel, 'metadata' | 'path'>,
  { architecture, layers }: Pick<KnownGguf, 'architecture' | 'layers'>,
): ReadableTensor[] {
  return (architecture.keptInKeys ?? []).flatMap(({ key, parameter, constant }) => {
    const value = metadata.get(key);
    const list = Array.isArray(value) ? value : Array(layers).fill(value ?? constant);
    if (list.length !== layers || !list.every((each) => typeof each === 'number')) {
      throw error('invalid_data', `expected a number for each of ${layers} layers`);
    }
    const numbers = list as number[];
    // Checkpoints have constants in 16 bits, of which small ones are a hundredth off.
    if (constant !== undefined && numbers.some((each) => !(Math.abs(each / constant - 1) < 0.02))) {
      throw error('unsupported', `expected ${constant} for all layers`);
    }
    if (parameter === undefined) return [];
    return numbers.map((number, layer): ReadableTensor => {
      const bytes = new Uint8Array(Float32Array.of(number).buffer);
      return {
        name: `model.layers.${layer}.${parameter}`,
        dtype: 'F32',
        shape: [1],
        byteLength: 4,
        range: async (byteOffset, byteLength) => bytes.slice(byteOffset, byteOffset + byteLength),
      };
    });

    function error(code: 'invalid_data' | 'unsupported', expected: string): SubzeroError {
      const found = value === undefined ? 'missing' : quoteValue(value);
      return new SubzeroError(code, `${path}: "${key}" is ${found}; ${expected}`, { parameter: path });
    }
  });
}
