/**
 * Values as the blocks of weight files: rounded as `--storage` rounds them, so that a file of blocks loads to the same
 * bits as the original that is quantised at load.
 *
 * @module
 */

import { f32ToBytes } from '../safetensors/convert.ts';
import type { BlockFormatName } from './block-formats.ts';
import type { CodeGroups } from './groups.ts';
import { quantise } from './half-scales.ts';
import type { PackableStorage } from './index.ts';

/** A type of blocks that values of any file can be brought into. */
export interface BlockWriter {
  dtype: BlockFormatName;
  /** Elements of a row that make a block, and the bytes of it. */
  elements: number;
  bytes: number;
  /** @param values whole rows of blocks */
  pack(values: Float32Array): Uint8Array;
}

const elements = 32;
const scaleBytes = 2;

function writer(
  dtype: BlockFormatName,
  codeBytes: number,
  reach: number,
  write: (codes: Int8Array, target: Uint8Array) => void,
): BlockWriter {
  const bytes = scaleBytes + codeBytes;
  const layOut = ({ codes, scales }: Pick<CodeGroups, 'codes' | 'scales'>): Uint8Array => {
    const halves = f32ToBytes('F16', scales);
    const blocks = new Uint8Array(scales.length * bytes);
    for (let block = 0; block < scales.length; block++) {
      blocks.set(halves.subarray(block * scaleBytes, (block + 1) * scaleBytes), block * bytes);
      const own = codes.subarray(block * elements, (block + 1) * elements);
      write(own, blocks.subarray(block * bytes + scaleBytes, (block + 1) * bytes));
    }
    return blocks;
  };
  return { dtype, elements, bytes, pack: (values) => layOut(quantise(values, reach)) };
}

/** A storage type that is written as blocks. */
export type BlockWritten = Extract<PackableStorage, 'q8' | 'q4'>;

/** The writers by the storage type that holds their blocks. */
export const blockWriters: Readonly<Record<BlockWritten, BlockWriter>> = {
  q8: writer('Q8_0', elements, 127, (codes, target) => {
    for (let index = 0; index < elements; index++) target[index] = codes[index]!;
  }),
  // Values 0 to 15 in the low halves, 16 to 31 in the high ones.
  q4: writer('Q4_0', elements / 2, -8, (codes, target) => {
    for (let index = 0; index < elements / 2; index++) {
      target[index] = (codes[index]! + 8) | ((codes[index + elements / 2]! + 8) << 4);
    }
  }),
};

/** The storage types that are written as blocks. */
export const blocksWritten = Object.keys(blockWriters) as BlockWritten[];

export function isBlockWritten(storage: string): storage is BlockWritten {
  return Object.hasOwn(blockWriters, storage);
}
