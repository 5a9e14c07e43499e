/** Experts in MXFP4 as gpt-oss is published: stacks against the values of transformers, and what is refused. */

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SubzeroError } from '../../src/errors.ts';
import { matchTensors } from '../../src/model/checkpoint-tensors.ts';
import { openWeights, readConfigurationFile } from '../../src/model/load.ts';
import { fileBytes, repack, valuesOfBytes } from '../../src/weights/index.ts';
import { withSeed } from '../support/random.ts';
import { decode, open, type Tensor } from './support.ts';

const fixtures = new URL('../fixtures/quantized/', import.meta.url);
const stacks = JSON.parse(readFileSync(new URL('mxfp4.json', fixtures), 'utf8')) as {
  shape: [number, number, number];
  blocks: string;
  scales: string;
  values: string;
}[];

/** The name before `_blocks`, of a module that `open` puts in front. */
const part = 'gate_up_proj';
const stack = `model.layers.0.q_proj.${part}`;
const config = { quant_method: 'mxfp4', modules_to_not_convert: ['model.layers.*.self_attn'] };

const names = { blocks: `${part}_blocks`, scales: `${part}_scales` } as const;

function tensorsOf({ shape: [experts, rows, columns], blocks, scales }: (typeof stacks)[number]) {
  const groups = columns / 32;
  return {
    [names.blocks]: { dtype: 'U8', shape: [experts, rows, groups, 16], data: decode(blocks) },
    [names.scales]: { dtype: 'U8', shape: [experts, rows, groups], data: decode(scales) },
  } satisfies Record<string, Tensor>;
}

test.each([
  ['whole blocks of 64 are kept', 0, 'mxfp4'],
  ['others are widened to the type that the library takes', 1, 'BF16'],
])('%s, with the values of transformers', async (_, index, dtype) => {
  const each = stacks[index]!;
  const source = await open({ config, tensors: tensorsOf(each) });
  const { shape } = each;
  const [experts, rows, columns] = shape;
  const byteLength = experts * rows * fileBytes(dtype, columns);
  expect([...source.tensors.values()]).toEqual([{ name: stack, dtype, shape, byteLength, outFirst: true }]);
  const bytes = await source.read(stack);
  const expected = new Float32Array(decode(each.values).buffer);
  // −0 is 0 here: a code of its own in both.
  const numbers = (values: Float32Array): number[] => Array.from(values, (value) => value + 0);
  if (dtype === 'mxfp4') {
    expect(expected.some((value) => !Number.isFinite(value))).toBe(true);
    // The library has 2^−127 · code beyond the normal numbers too; 2^127 · 6 is infinite in both.
    expect(numbers(valuesOfBytes(dtype, bytes))).toEqual(numbers(expected));
    expect(repack('mxfp4', dtype, bytes)).toBe(bytes);
  } else {
    expect(numbers(valuesOfBytes(dtype, bytes))).toEqual(numbers(expected));
  }
  await withSeed('ranges of stacks', async (random) => {
    for (let round = 0; round < 8; round++) {
      const start = random.integer(0, bytes.length);
      const length = random.integer(0, bytes.length - start);
      expect(await source.read(stack, start, length)).toEqual(bytes.slice(start, start + length));
    }
  });
});

test('a scale that stands for no number is refused with its place, where it is read', async () => {
  const each = stacks[0]!;
  const tensors = tensorsOf(each);
  // The scale of the third group of expert 1, row 3.
  tensors[names.scales]!.data[(32 + 3) * 4 + 2] = 255;
  const source = await open({ config, tensors });
  const row = fileBytes('mxfp4', 128);
  await source.read(stack, 0, 35 * row);
  await expect(source.read(stack, 35 * row, row)).rejects.toMatchObject({
    code: 'invalid_data',
    message: expect.stringMatching(/gate_up_proj_scales".*255, no number, at \[1, 3, 2\]/),
  });
});

test.each<[string, (tensors: ReturnType<typeof tensorsOf>) => Record<string, Tensor>, RegExp]>([
  ['no scales', ({ [names.scales]: _, ...others }) => others, /_scales": expected it beside .* missing/],
  ['no blocks', ({ [names.blocks]: _, ...others }) => others, /_blocks": expected it beside .* missing/],
  ['blocks of 8 bytes', (tensors) => changed(tensors, 'blocks', { shape: [2, 32, 8, 8] }), /16 bytes for 32.*got 8/],
  ['blocks of one matrix', (tensors) => changed(tensors, 'blocks', { shape: [64, 4, 16] }), /4 dimensions/],
  ['signed blocks', (tensors) => changed(tensors, 'blocks', { dtype: 'I8' }), /expected the type U8, got I8/],
  ['scales in F32', (tensors) => changed(tensors, 'scales', { dtype: 'F32' }), /expected the type U8, got F32/],
  [
    'scales of fewer rows',
    (tensors) => changed(tensors, 'scales', { shape: [2, 16, 8] }),
    /\[2, 32, 4\].*\[2, 16, 8\]/,
  ],
  [
    'the plain tensor besides',
    (tensors) => ({ ...tensors, [part]: { dtype: 'F32', shape: [1], data: new Uint8Array(4) } }),
    /both plain and quantised/,
  ],
])('%s: refused by the name of the tensor', async (_, change, message) => {
  await expect(open({ config, tensors: change(tensorsOf(stacks[0]!)) })).rejects.toMatchObject({
    code: 'invalid_data',
    message: expect.stringMatching(message),
  });
});

function changed(tensors: ReturnType<typeof tensorsOf>, which: keyof typeof names, change: Partial<Tensor>) {
  const name = names[which];
  return { ...tensors, [name]: { ...tensors[name], ...change } };
}

test('a setting that is not known is refused', async () => {
  const given = { ...config, group_size: 16 };
  await expect(open({ config: given, tensors: tensorsOf(stacks[0]!) })).rejects.toThrow('"group_size" is not known');
});

test('experts of another shape than config.json says are refused by name', async () => {
  const folder = new URL('mxfp4', fixtures).pathname;
  const decoder = await readConfigurationFile(folder);
  const source = await openWeights(folder);
  const name = 'model.layers.1.mlp.experts.down_proj';
  const tensors = new Map(source.tensors);
  tensors.set(name, { ...tensors.get(name)!, shape: [4, 64, 128] });
  await expect(matchTensors(folder, decoder, { ...source, tensors })).rejects.toThrow(
    `"${name}" has shape [4, 64, 128]; config.json implies [4, 64, 64]`,
  );
  await source.close();
});

test('whatever tensors are there, they are read whole or refused', async () => {
  await withSeed('bad stacks in MXFP4', async (random) => {
    let refused = 0;
    for (let round = 0; round < 200; round++) {
      const tensors: Record<string, Tensor> = tensorsOf(stacks[random.integer(0, stacks.length - 1)]!);
      const [name, given] = Object.entries(tensors)[random.integer(0, 1)]!;
      const shape = given.shape.map((side) => (random.integer(0, 3) === 0 ? random.integer(0, 40) : side));
      const size = shape.reduce((product, side) => product * side, 1);
      // As files are: bytes are as many as the shape says.
      tensors[name] = { ...given, shape, data: Uint8Array.from({ length: size }, () => random.integer(0, 255)) };
      if (random.integer(0, 8) === 0) delete tensors[name];
      try {
        const source = await open({ config, tensors });
        const { byteLength } = source.tensors.get(stack)!;
        expect((await source.read(stack)).length).toBe(byteLength);
      } catch (error) {
        expect(error).toBeInstanceOf(SubzeroError);
        expect((error as SubzeroError).message).toContain(part);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(100);
  });
});
