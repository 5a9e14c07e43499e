/**
 * FP8 in blocks, as DeepSeek and Qwen publish it: `quant_method` "fp8". `weight` holds E4M3 floats and
 * `weight_scale_inv` one scale for each block of `weight_block_size`, which multiplies in spite of its name. Blocks at
 * the edges are cut off.
 *
 * @see transformers/integrations/finegrained_fp8.py
 * @module
 */

import type { Fields } from './fields.ts';
import { floatMatrix } from './floats.ts';
import type { QuantizedFormat, QuantizedMatrix } from './matrix.ts';
import type { Parts } from './parts.ts';

/** Reads the settings. An absent block size is [128, 128], as in transformers; null means one scale for a matrix. */
export function fp8Format(fields: Fields): QuantizedFormat {
  const block = fields.has('weight_block_size') ? fields.blockSize('weight_block_size') : ([128, 128] as const);
  fields.choice('scale_fmt', 'float');
  fields.choice('fmt', 'e4m3');
  fields.choice('expert_dtype', 'fp8');
  fields.choice('activation_scheme', 'dynamic', 'static');
  fields.finish('quant_method', 'modules_to_not_convert', 'ignored_layers', 'modules_to_convert', 'dequantize');
  return {
    description: `FP8 in ${block ? `blocks of ${block.join(' × ')}` : 'whole matrices'}`,
    notes: [],
    matrices: async (parts) =>
      new Map(fp8Modules(parts).map((module) => [`${module}.weight`, readModule(parts, module, block)])),
  };
}

/** The modules whose weights are 8-bit floats, or have a scale as if they were. */
function fp8Modules(parts: Parts): string[] {
  const floats = parts.modulesWith('weight').filter((module) => parts.get(`${module}.weight`)!.dtype.startsWith('F8_'));
  return [...new Set([...floats, ...parts.modulesWith('weight_scale_inv')])];
}

function readModule(parts: Parts, module: string, block: readonly [number, number] | undefined): QuantizedMatrix {
  const name = `${module}.weight`;
  const shape = parts.expect(name, ['F8_E4M3'], 2).shape as readonly [number, number];
  const sides = block ?? shape;
  return floatMatrix(parts, {
    name,
    shape,
    grid: parts.scaleGrid(`${module}.weight_scale_inv`, shape, sides),
    groupSize: sides[1],
    parts: [name, `${module}.weight_scale_inv`, ...parts.present(`${module}.activation_scale`)],
  });
}
