/**
 * GPTQ: `qweight` [in · bits / 32, out], `qzeros` [groups, out · bits / 32], `scales` [groups, out] and `g_idx` [in],
 * the group of each input. value = scale · (code − zero). Files of the first version ("gptq") have a constant less in
 * the words of `qzeros`: 1 in each zero, with a borrow from the next one where a zero is 0.
 *
 * @see https://github.com/ModelCloud/GPTQModel, `convert_gptq_v1_to_v2_format_module` and `dequantize_weight`
 * @module
 */

import { bytesToF32 } from '../safetensors/convert.ts';
import type { Fields } from './fields.ts';
import { type IntegerRows, integerMatrix } from './integers.ts';
import { type QuantizedFormat, type QuantizedMatrix, type ScaleType, scaleTypes } from './matrix.ts';
import { type Parts, wordsOf } from './parts.ts';

/** Keys about how the file was made, and which modules were; the tensors tell the latter. */
const silent = [
  ...[
    'quant_method',
    'method',
    'sym',
    'desc_act',
    'true_sequential',
    'static_groups',
    'damp_percent',
    'damp_auto_increment',
  ],
  ...['lm_head', 'dataset', 'tokenizer', 'model_seqlen', 'block_name_to_quantize', 'module_name_preceding_first_block'],
  ...['batch_size', 'pad_token_id', 'max_input_length', 'modules_in_block_to_quantize', 'cache_block_outputs', 'mse'],
  ...['use_cuda_fp16', 'use_exllama', 'exllama_config', 'disable_exllama', 'backend', 'meta', 'model_name_or_path'],
  ...['model_file_base_name', 'quantizer', 'act_group_aware', 'offload_to_disk', 'hyb_act', 'mock_quantization'],
];

interface Settings {
  bits: 4 | 8;
  groupSize: number;
  /** What the words of `qzeros` lack. */
  missing: number;
}

/** Reads the settings. */
export function gptqFormat(fields: Fields): QuantizedFormat {
  const bits = fields.choice('bits', 4, 8);
  const groupSize = fields.groupSize('group_size') ?? 128;
  const format = fields.choice('format', 'gptq', 'gptq_v2');
  const version = fields.has('checkpoint_format') ? fields.choice('checkpoint_format', 'gptq', 'gptq_v2') : format;
  fields.choice('pack_dtype', 'int32', 'torch.int32');
  fields.choice('is_marlin_format', false);
  fields.finish(...silent);
  const missing = version === 'gptq_v2' ? 0 : bits === 4 ? 0x11111111 : 0x01010101;
  return {
    description: `GPTQ, ${bits} bits, ${groupSize === -1 ? 'whole rows' : `groups of ${groupSize}`}`,
    notes: [],
    matrices: async (parts) => {
      const matrices = new Map<string, QuantizedMatrix>();
      for (const module of parts.modulesWith('qweight')) {
        matrices.set(`${module}.weight`, await readModule(parts, module, { bits, groupSize, missing }));
      }
      return matrices;
    },
  };
}

async function readModule(parts: Parts, module: string, settings: Settings): Promise<QuantizedMatrix> {
  const { bits } = settings;
  const perWord = 32 / bits;
  const [qweight, qzeros, scales, order] = ['qweight', 'qzeros', 'scales', 'g_idx'].map((part) => `${module}.${part}`);
  const [words, rows] = parts.expect(qweight!, ['I32'], 2).shape as [number, number];
  const hasOrder = parts.has(order!);
  const columns = hasOrder ? parts.expect(order!, ['I32'], 1).shape[0]! : words * perWord;
  if (Math.ceil(columns / perWord) !== words) {
    const rule = `${columns} inputs, as "${order}" has, in words of ${perWord}`;
    throw parts.error(qweight!, `expected ${Math.ceil(columns / perWord)} rows (${rule}), got ${words}`);
  }
  const groupSize = settings.groupSize === -1 ? columns : settings.groupSize;
  const groups = Math.ceil(columns / groupSize);
  const rule = `groups of ${groupSize} of ${columns} inputs`;
  const { dtype } = parts.expectShape<ScaleType>(scales!, scaleTypes, [groups, rows], rule);
  parts.expectShape(qzeros!, ['I32'], [groups, Math.ceil(rows / perWord)], rule);
  const groupOf = hasOrder ? readOrder(parts, order!, await parts.read(order!), groups, groupSize) : undefined;
  return integerMatrix({
    shape: [rows, columns],
    parts: [qweight!, qzeros!, scales!, ...(hasOrder ? [order!] : [])],
    bits,
    groupSize,
    scaleType: dtype,
    ...(groupOf ? { groupOf } : {}),
    read: async (start, end) => ({
      codes: codesOf(wordsOf(await parts.whole(module, qweight!)), { rows, columns, bits }, start, end),
      ...groupsOf(
        bytesToF32(dtype, await parts.whole(module, scales!)),
        wordsOf(await parts.whole(module, qzeros!)),
        { rows, groups, ...settings },
        start,
        end,
      ),
    }),
  });
}

/** The group of each column; undefined where columns of a group lie beside each other, in order. */
export function readOrder(
  parts: Parts,
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  groups: number,
  groupSize: number,
): Int32Array | undefined {
  const order = wordsOf(bytes);
  const wrong = order.find((group) => group < 0 || group >= groups);
  if (wrong !== undefined) throw parts.error(name, `expected numbers of groups from 0 to ${groups - 1}, got ${wrong}`);
  return order.every((group, column) => group === Math.floor(column / groupSize)) ? undefined : order;
}

/** Codes of 8 bits are stored from 0 on. */
const lowest = { 4: 0, 8: 128 } as const;

function codesOf(
  words: Int32Array,
  { rows, columns, bits }: { rows: number; columns: number; bits: 4 | 8 },
  start: number,
  end: number,
): Int8Array {
  const perWord = 32 / bits;
  const codes = new Int8Array((end - start) * columns);
  for (let column = 0; column < columns; column++) {
    const at = Math.floor(column / perWord) * rows;
    const shift = bits * (column % perWord);
    for (let row = start; row < end; row++) {
      codes[(row - start) * columns + column] = ((words[at + row]! >>> shift) & (2 ** bits - 1)) - lowest[bits];
    }
  }
  return codes;
}

function groupsOf(
  stored: Float32Array,
  words: Int32Array,
  { rows, groups, bits, missing }: Settings & { rows: number; groups: number },
  start: number,
  end: number,
): Pick<IntegerRows, 'scales'> & { zeros: Float32Array } {
  const perWord = 32 / bits;
  const width = Math.ceil(rows / perWord);
  const scales = new Float32Array((end - start) * groups);
  const zeros = new Float32Array(scales.length);
  for (let row = start, at = 0; row < end; row++) {
    for (let group = 0; group < groups; group++, at++) {
      const word = words[group * width + Math.floor(row / perWord)]! + missing;
      scales[at] = stored[group * rows + row]!;
      zeros[at] = ((word >>> (bits * (row % perWord))) & (2 ** bits - 1)) - lowest[bits];
    }
  }
  return { scales, zeros };
}
