/**
 * MXFP4, as gpt-oss is published: of the experts of a layer `NAME_blocks` [experts, out, in / 32, 16] holds floats of 4
 * bits, the first one of a byte in its low half, and `NAME_scales` [experts, out, in / 32] an exponent for 32 of them.
 *
 * @see transformers/integrations/mxfp4.py, `convert_moe_packed_tensors`
 * @module
 */

import { f32ToBytes } from '../safetensors/convert.ts';
import { layOutMxfp4, mxfp4Elements, mxfp4Values } from '../weights/mxfp4.ts';
import type { Fields } from './fields.ts';
import type { QuantizedFormat, QuantizedMatrix } from './matrix.ts';
import type { Parts } from './parts.ts';

/** Elements that share an exponent, and the bytes of their codes. */
const width = 32;
const codeBytes = width / 2;

/** The exponent that stands for no number. */
const notANumber = 255;

const [blocksEnd, scalesEnd] = ['_blocks', '_scales'];

/** Reads the settings, which say nothing about values: the tensors tell which modules are quantised. */
export function mxfp4Format(fields: Fields): QuantizedFormat {
  fields.finish('quant_method', 'modules_to_not_convert', 'dequantize');
  return {
    description: 'MXFP4, groups of 32',
    notes: [],
    matrices: async (parts) => {
      const names = [blocksEnd, scalesEnd].flatMap((end) => parts.endingWith(end));
      return new Map([...new Set(names)].map((name) => [name, readStack(parts, name)]));
    },
  };
}

function readStack(parts: Parts, name: string): QuantizedMatrix {
  const [blocks, scales] = [name + blocksEnd, name + scalesEnd];
  const [experts, rows, groups, bytes] = parts.expect(blocks, ['U8'], 4).shape as [number, number, number, number];
  if (bytes !== codeBytes) {
    throw parts.error(blocks, `expected ${codeBytes} bytes for ${width} codes in the last dimension, got ${bytes}`);
  }
  parts.expectShape(scales, ['U8'], [experts, rows, groups], `one for ${width} elements`);
  const columns = groups * width;
  const fits = columns % mxfp4Elements === 0;
  return {
    shape: [experts, rows, columns],
    dtype: fits ? 'mxfp4' : 'BF16',
    outFirst: true,
    parts: [blocks, scales],
    rows: async (start, end) => {
      const exponents = await parts.read(scales, start * groups, (end - start) * groups);
      const broken = exponents.indexOf(notANumber);
      if (broken !== -1) {
        const row = start + Math.floor(broken / groups);
        const place = [Math.floor(row / rows), row % rows, broken % groups].join(', ');
        throw parts.error(scales, `expected exponents from 0 to 254, got ${notANumber}, no number, at [${place}]`);
      }
      const size = groups * codeBytes;
      const codes = await parts.read(blocks, start * size, (end - start) * size);
      return fits
        ? layOutMxfp4({ exponents, codes })
        : (f32ToBytes('BF16', mxfp4Values({ exponents, codes })) as Uint8Array<ArrayBuffer>);
    },
  };
}
