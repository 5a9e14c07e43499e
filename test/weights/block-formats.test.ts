/** Quantised blocks of files against the values that the formats' own library gives them. */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type BlockFormatName, blockFormat, blockFormats } from '../../src/weights/block-formats.ts';
import { codecs, fitsRows, rowBytes } from '../../src/weights/index.ts';

const golden = JSON.parse(readFileSync(new URL('../fixtures/golden/gguf-blocks.json', import.meta.url), 'utf8')) as {
  cases: Record<BlockFormatName, { blocks: string; values: string }>;
};

/** −0 is 0 there. */
const numbers = (values: Float32Array): number[] => Array.from(values, (value) => value + 0);

const decode = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(text, 'base64'));

describe.each(Object.keys(blockFormats) as BlockFormatName[])('%s', (name) => {
  const format = blockFormats[name];
  const blocks = decode(golden.cases[name].blocks);
  const expected = new Float32Array(decode(golden.cases[name].values).buffer);

  test('has the values of the gguf package, to the bit', () => {
    expect(blocks.length / format.bytes).toBe(expected.length / format.elements);
    expect(new Set(expected).size).toBeGreaterThan(10);
    expect(numbers(format.toF32(blocks))).toEqual(numbers(expected));
  });

  test('has them in its storage type too', () => {
    expect(fitsRows(format.layout, expected.length)).toBe(true);
    const stored = format.toLayout(blocks);
    expect(stored.length).toBe(rowBytes(format.layout, expected.length));
    expect(numbers(codecs[format.layout].unpack(stored))).toEqual(numbers(expected));
  });

  test('reads blocks that lie anywhere in memory', () => {
    const moved = new Uint8Array(blocks.length + 1);
    moved.set(blocks, 1);
    expect(format.toLayout(moved.subarray(1))).toEqual(format.toLayout(blocks));
  });
});

test('other names are no type of blocks', () => {
  expect(blockFormat('Q8_0')).toBe(blockFormats.Q8_0);
  for (const name of ['F16', 'Q2_K', 'constructor']) expect(blockFormat(name)).toBeUndefined();
});
