/**
 * AWQ, version "gemm": `qweight` [in, out / 8], `qzeros` [groups, out / 8], `scales` [groups, out].
 * value = (code − zero) · scale.
 *
 * @see https://github.com/casper-hansen/AutoAWQ, awq/utils/packing_utils.py
 * @module
 */

import { bytesToF32 } from '../safetensors/convert.ts';
import type { Fields } from './fields.ts';
import { integerMatrix } from './integers.ts';
import { type QuantizedFormat, type QuantizedMatrix, type ScaleType, scaleTypes } from './matrix.ts';
import { type Parts, wordsOf } from './parts.ts';

/** How far each of eight neighbours is shifted in a word: even ones fill the lower half. */
const shifts = [0, 4, 1, 5, 2, 6, 3, 7].map((nibble) => 4 * nibble);

const silent = [
  ...['quant_method', 'modules_to_not_convert', 'zero_point', 'do_fuse', 'fuse_max_seq_len', 'modules_to_fuse'],
  ...['exllama_config', 'backend', 'method', 'sym', 'desc_act', 'meta', 'lm_head', 'pack_dtype', 'dynamic_scale'],
];

/** Reads the settings. */
export function awqFormat(fields: Fields): QuantizedFormat {
  const bits = fields.value('bits') ?? fields.value('w_bit') ?? 4;
  if (bits !== 4) throw fields.error('unsupported', 'bits', 'must be 4', bits);
  const groupSize = fields.groupSize('group_size') ?? fields.groupSize('q_group_size') ?? 128;
  for (const name of ['version', 'format', 'checkpoint_format']) fields.choice(name, 'gemm', 'GEMM');
  fields.finish(...silent);
  return {
    description: `AWQ, 4 bits, ${groupSize === -1 ? 'whole rows' : `groups of ${groupSize}`}`,
    notes: [],
    matrices: async (parts) =>
      new Map(parts.modulesWith('qweight').map((module) => [`${module}.weight`, readModule(parts, module, groupSize)])),
  };
}

function readModule(parts: Parts, module: string, settings: number): QuantizedMatrix {
  const [qweight, qzeros, scales] = ['qweight', 'qzeros', 'scales'].map((part) => `${module}.${part}`);
  const [columns, width] = parts.expect(qweight!, ['I32'], 2).shape as [number, number];
  const rows = width * 8;
  const groupSize = settings === -1 ? columns : settings;
  const groups = Math.ceil(columns / groupSize);
  const rule = `groups of ${groupSize} of ${columns} inputs, eight outputs a word`;
  const { dtype } = parts.expectShape<ScaleType>(scales!, scaleTypes, [groups, rows], rule);
  parts.expectShape(qzeros!, ['I32'], [groups, width], rule);
  return integerMatrix({
    shape: [rows, columns],
    parts: [qweight!, qzeros!, scales!],
    bits: 4,
    groupSize,
    scaleType: dtype,
    read: async (start, end) => {
      const stored = bytesToF32(dtype, await parts.whole(module, scales!));
      const zeros = wordsOf(await parts.whole(module, qzeros!));
      return {
        codes: transposed(wordsOf(await parts.whole(module, qweight!)), columns, width, Int8Array, start, end),
        scales: Float32Array.from({ length: (end - start) * groups }, (_, at) => {
          return stored[(at % groups) * rows + start + Math.floor(at / groups)]!;
        }),
        zeros: transposed(zeros, groups, width, Float32Array, start, end),
      };
    },
  });
}

/** Some columns of a matrix of codes [count, 8 · width] as rows. */
function transposed<T extends Int8Array | Float32Array>(
  words: Int32Array,
  count: number,
  width: number,
  Rows: new (length: number) => T,
  start: number,
  end: number,
): T {
  const rows = new Rows((end - start) * count);
  for (let at = 0; at < count; at++) {
    for (let row = start; row < end; row++) {
      rows[(row - start) * count + at] = (words[at * width + (row >> 3)]! >>> shifts[row & 7]!) & 15;
    }
  }
  return rows;
}
