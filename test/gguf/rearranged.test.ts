/** Rows and columns that lie in another order in a file, in every type that a tensor of a file may have. */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readGgufConfiguration } from '../../src/gguf/configuration.ts';
import type { ReadRange } from '../../src/gguf/ranges.ts';
import { columnsForFile, columnsInRuns, type Run, rowsForFile, rowsInRuns } from '../../src/gguf/rearranged.ts';
import { type BlockFormatName, blockFormats } from '../../src/weights/block-formats.ts';
import { valuesOfBytes } from '../../src/weights/index.ts';
import { type Random, withSeed } from '../support/random.ts';

const golden = JSON.parse(readFileSync(new URL('../fixtures/golden/gguf-blocks.json', import.meta.url), 'utf8')) as {
  cases: Record<BlockFormatName, { blocks: string }>;
};
const [rows, columns] = [3, 512];

const readerOf = (bytes: Uint8Array): ReadRange => {
  return async (byteOffset, byteLength) => new Uint8Array(bytes.slice(byteOffset, byteOffset + byteLength));
};

/** Runs of a width over all columns, in an order that moves every one of them. */
function turned(count: number, width: number): Run[] {
  const runs = count / width;
  return Array.from({ length: runs }, (_, run) => ({ from: ((run + 1) % runs) * width, count: width }));
}

/** A tensor of blocks that differ, drawn from the golden ones. */
function blocksOf(type: BlockFormatName, random: Random): Uint8Array {
  const { elements, bytes } = blockFormats[type];
  const all = Buffer.from(golden.cases[type].blocks, 'base64');
  const drawn = Array.from({ length: (rows * columns) / elements }, () => {
    const block = random.integer(0, all.length / bytes - 1);
    return all.subarray(block * bytes, (block + 1) * bytes);
  });
  return new Uint8Array(Buffer.concat(drawn));
}

function inOrder(values: Float32Array, runs: readonly Run[]): number[] {
  return Array.from({ length: rows }, (_, row) =>
    runs.flatMap(({ from, count }) => [...values.subarray(row * columns + from, row * columns + from + count)]),
  ).flat();
}

describe.each(Object.keys(blockFormats) as BlockFormatName[])('columns of %s', (type) => {
  // Of heads that are whole blocks of every type, of some, and of none.
  test.each([256, 128, 32, 8])('in runs of %i', (width) =>
    withSeed(`${type} ${width}`, async (random) => {
      const bytes = blocksOf(type, random);
      const runs = turned(columns, width);
      const expected = inOrder(blockFormats[type].toF32(bytes), runs);
      const made = columnsInRuns(readerOf(bytes), { dtype: type, rows, columns }, runs);
      const whole = await made.range(0, made.byteLength);
      expect(whole).toHaveLength(made.byteLength);
      expect([...valuesOfBytes(made.dtype, whole)]).toEqual(expected);
      const isFloat = made.dtype === 'F32';
      expect(isFloat).toBe(width < 32 || (type === 'Q6_K' && width < 256));
      const [from, to] = [made.byteLength / rows - 3, made.byteLength - 5];
      expect(await made.range(from, to - from)).toEqual(whole.slice(from, to));
    }),
  );
});

test('columns come back from a file', async () => {
  const runs = turned(columns, 8);
  const values = Float32Array.from({ length: rows * columns }, (_, index) => index);
  const file = new Uint8Array(columnsForFile(values, columns, runs).buffer);
  const { range, byteLength } = columnsInRuns(readerOf(file), { dtype: 'F32', rows, columns }, runs);
  expect(new Float32Array((await range(0, byteLength)).buffer)).toEqual(values);
});

test('rows of two tensors come back from a file, by ranges of any bytes', async () => {
  const runs: Run[] = [
    { from: 1, count: 2 },
    { from: 0, count: 3, which: 1 },
    { from: 0, count: 1 },
    { from: 3, count: 1, which: 1 },
  ];
  const width = 5;
  const bytes = Uint8Array.from({ length: 7 * width }, (_, index) => index);
  const files = [0, 1].map((which) => readerOf(rowsForFile(bytes, width, runs, which)));
  const range = rowsInRuns(files, width, runs);
  for (let from = 0; from < bytes.length; from += 3) {
    for (let to = from; to <= bytes.length; to += 4) {
      expect(await range(from, to - from)).toEqual(bytes.slice(from, to));
    }
  }
});

describe('heads of the delta rule that cannot be', () => {
  const configurationOf = (own: Record<string, number>) => {
    const keys = {
      ...{ block_count: 1, embedding_length: 8, context_length: 16, feed_forward_length: 8 },
      ...{ 'attention.head_count': 2, 'attention.key_length': 4, 'attention.value_length': 4 },
      ...{ 'attention.layer_norm_rms_epsilon': 1e-6, 'ssm.conv_kernel': 4, 'ssm.state_size': 4 },
      ...{ 'ssm.group_count': 2, 'ssm.time_step_rank': 4, 'ssm.inner_size': 16, ...own },
    };
    const metadata = new Map<string, string | number>([['general.architecture', 'qwen35']]);
    for (const [key, value] of Object.entries(keys)) metadata.set(`qwen35.${key}`, value);
    const type = { name: 'F32', values: 1, bytes: 4 };
    const tensors = new Map([
      ['token_embd.weight', { name: 'token_embd.weight', type, shape: [3, 8], byteLength: 96 }],
    ]);
    return readGgufConfiguration({ path: 'a.gguf', metadata, tensors, read: async () => new Uint8Array() });
  };

  test.each([
    [{ 'ssm.group_count': 3 }, /"qwen35\.ssm\.group_count" is 3, which 4 heads do not share evenly/],
    [{ 'ssm.group_count': 0 }, /"qwen35\.ssm\.group_count" is 0/],
    [{ 'ssm.inner_size': 15 }, /"qwen35\.ssm\.inner_size" is 15, which 4 heads do not share evenly/],
    [
      { 'ssm.time_step_rank': 2 ** 31, 'ssm.inner_size': 2 ** 31 },
      /"qwen35\.ssm\.time_step_rank" is 2147483648; at most/,
    ],
  ])('%j', async (own, message) => {
    await expect(configurationOf(own)).rejects.toThrow(message);
  });

  test('others are read', async () => {
    expect((await configurationOf({})).config).toMatchObject({ linear_num_key_heads: 2, linear_num_value_heads: 4 });
  });
});
