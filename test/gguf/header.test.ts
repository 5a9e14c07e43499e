import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SubzeroError } from '../../src/errors.ts';
import { GgufModel } from '../../src/gguf/index.ts';
import { shortText } from '../../src/gguf/short-text.ts';
import { expectFailure, seededIntegers, temporaryDirectory } from '../safetensors/helpers.ts';
import { type FileToLayOut, flag, kind, layOutGguf, list, text, u32, type Value } from './build.ts';

const directory = await temporaryDirectory();
let counter = 0;

async function fileOf(bytes: Uint8Array, name = `${counter++}.gguf`): Promise<string> {
  const file = join(directory, name);
  await writeFile(file, bytes);
  return file;
}

async function openFile(file: FileToLayOut): Promise<GgufModel> {
  return await GgufModel.open(await fileOf(layOutGguf(file)));
}

const data = Uint8Array.from({ length: 24 }, (_, i) => i);
const tensor = { name: 'a', dimensions: [3, 2], type: 0, data };

describe('a valid file', () => {
  const values: [string, Value, unknown][] = [
    ['u8', { kind: 'u8', value: 255 }, 255],
    ['i8', { kind: 'i8', value: -128 }, -128],
    ['u16', { kind: 'u16', value: 65_535 }, 65_535],
    ['i16', { kind: 'i16', value: -32_768 }, -32_768],
    ['u32', u32(4_294_967_295), 4_294_967_295],
    ['i32', { kind: 'i32', value: -2_147_483_648 }, -2_147_483_648],
    ['f32', { kind: 'f32', value: 1.5 }, 1.5],
    ['f64', { kind: 'f64', value: Math.PI }, Math.PI],
    ['small u64', { kind: 'u64', value: 9_007_199_254_740_991n }, 9_007_199_254_740_991],
    ['large u64', { kind: 'u64', value: 2n ** 64n - 1n }, 2n ** 64n - 1n],
    ['i64', { kind: 'i64', value: -(2n ** 63n) }, -(2n ** 63n)],
    ['true', flag(true), true],
    ['text', text('ü\n▁'), 'ü\n▁'],
    ['empty text', text(''), ''],
    ['list', list('i32', [1, -2, 3]), [1, -2, 3]],
    ['empty list', list('text', []), []],
    [
      'lists in lists',
      { kind: 'list', of: 'list', values: [list('u8', [1]), list('text', ['a', '']), list('u8', [])] },
      [[1], ['a', ''], []],
    ],
  ];

  test.each([2, 3])('of version %s has values of all types', async (version) => {
    const model = await openFile({ version, keys: values.map(([key, value]) => [key, value] as const) });
    expect([...model.metadata]).toEqual(values.map(([key, , value]) => [key, value]));
    await model.close();
  });

  test('shows shapes the other way round, and reads at the place of the data', async () => {
    const model = await openFile({ tensors: [{ ...tensor, name: 'b', data: data.slice(0, 24) }, tensor] });
    expect([...model.tensors.keys()]).toEqual(['b', 'a']);
    expect(model.tensors.get('a')).toMatchObject({ shape: [2, 3], byteLength: 24, type: { name: 'F32' } });
    expect(await model.read('a', 4, 8)).toEqual(data.slice(4, 12));
    await model.close();
    await model.close();
    await expectFailure(model.read('a', 0, 4), 'conflict', 'closed');
  });

  test('may have another alignment, holes, scalars, empty tensors and types that cannot be computed with', async () => {
    const keys: FileToLayOut['keys'] = [['general.alignment', u32(64)]];
    const model = await openFile({
      keys,
      alignment: 64,
      tensors: [
        { ...tensor, offset: 64 },
        { name: 'scalar', dimensions: [], type: 0, offset: 0 },
        { name: 'empty', dimensions: [256, 0], type: 10, offset: 0 },
      ].map((each) => ({ data: each.name === 'a' ? new Uint8Array(88) : new Uint8Array(4), ...each })),
    });
    expect(model.tensors.get('scalar')).toMatchObject({ shape: [], byteLength: 4 });
    expect(model.tensors.get('empty')).toMatchObject({ shape: [0, 256], byteLength: 0, type: { name: 'Q2_K' } });
    await model.close();
  });

  test('with a header that does not fit into the first read', async () => {
    const tokens = Array.from({ length: 300_000 }, (_, id) => `token ${id}`);
    const file = await fileOf(layOutGguf({ keys: [['tokens', list('text', tokens)]], tensors: [tensor] }));
    const model = await GgufModel.open(file);
    expect(model.metadata.get('tokens')).toEqual(tokens);
    expect(await model.read('a', 0, 24)).toEqual(data);
    await model.close();
    const without = await GgufModel.open(file, () => false);
    expect(without.metadata.size).toBe(0);
    expect(await without.read('a', 0, 24)).toEqual(data);
    await without.close();
  });
});

test('texts are UTF-8, of whatever characters', () => {
  const random = seededIntegers(9);
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const outcomes = { decoded: 0, left: 0 };
  const check = (bytes: Uint8Array): void => {
    const own = shortText(bytes, 0, bytes.length);
    outcomes[own === undefined ? 'left' : 'decoded']++;
    if (own !== undefined) expect(own).toBe(decoder.decode(bytes));
  };
  for (let round = 0; round < 20_000; round++) {
    check(
      Uint8Array.from({ length: random(6) }, () => [random(256), 0x80 + random(64), 0xc0 + random(48), 65][random(4)]!),
    );
  }
  for (let unit = 0; unit < 0x10000; unit++) {
    if (unit < 0xd800 || unit > 0xdfff) check(new TextEncoder().encode(`a${String.fromCharCode(unit)}`));
  }
  expect(outcomes.decoded).toBeGreaterThan(50_000);
  expect(outcomes.left).toBeGreaterThan(1000);
});

/** A file whose only value has this kind and these bytes. */
function withValue(of: number, bytes: readonly number[]): Uint8Array {
  const file = layOutGguf({ keys: [['key', { kind: 'text', value: 'x'.repeat(bytes.length) }]] });
  const view = new DataView(file.buffer);
  const at = file.length - bytes.length - 8 - 4;
  view.setUint32(at, of, true);
  file.set(bytes, at + 4);
  return file.slice(0, at + 4 + bytes.length);
}

const u64Bytes = (value: bigint): number[] => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return [...bytes];
};

describe('broken rules', () => {
  const q8 = { name: 'a', type: 8, data: new Uint8Array(34) };
  test.each<[string, FileToLayOut, string[]]>([
    ['more keys than fit', { keyCount: 2n ** 60n }, ['number of keys', '1152921504606846976']],
    ['more tensors than fit', { tensorCount: 2n ** 63n }, ['number of tensors', '9223372036854775808']],
    [
      'a key twice',
      {
        keys: [
          ['k', u32(1)],
          ['k', u32(1)],
        ],
      },
      ['"k"', 'twice'],
    ],
    ['a tensor twice', { tensors: [tensor, tensor] }, ['"a"', 'twice']],
    ['an unknown type of data', { tensors: [{ ...tensor, type: 4 }] }, ['"a"', 'number 4']],
    ['a type far away', { tensors: [{ ...tensor, type: 0xffffffff }] }, ['"a"', '4294967295']],
    ['five dimensions', { tensors: [{ ...tensor, dimensions: [1, 1, 1, 1, 1] }] }, ['"a"', 'at most 4', 'got 5']],
    ['a shape that overflows', { tensors: [{ ...tensor, dimensions: [2n ** 40n, 2n ** 40n] }] }, ['"a"', '2^53']],
    ['a dimension above 2^53', { tensors: [{ ...tensor, dimensions: [2n ** 64n - 1n] }] }, ['"a"', '2^53']],
    ['a byte count that overflows', { tensors: [{ ...tensor, dimensions: [2n ** 52n] }] }, ['"a"', '2^53']],
    ['half a block', { tensors: [{ ...q8, dimensions: [48, 2] }] }, ['"a"', 'blocks of 32', 'Q8_0', '48']],
    ['K-quants of 32 columns', { tensors: [{ ...q8, type: 12, dimensions: [32, 8] }] }, ['"a"', '256', 'Q4_K']],
    ['more blocks than data', { tensors: [{ ...q8, dimensions: [32, 2] }] }, ['"a"', '68 bytes', 'cut short']],
    ['an offset between', { tensors: [{ ...tensor, offset: 4 }] }, ['"a"', 'multiple of 32', 'got 4']],
    ['an offset behind the end', { tensors: [{ ...tensor, offset: 2 ** 50 }] }, ['"a"', 'cut short']],
    [
      'an overlap',
      {
        tensors: [
          { ...tensor, data: new Uint8Array(64), dimensions: [16] },
          { ...tensor, name: 'b', offset: 32 },
        ],
      },
      ['"b"', '"a"', 'overlap'],
    ],
    ['an alignment of 0', { keys: [['general.alignment', u32(0)]] }, ['alignment', 'power of two', '0']],
    ['an alignment of 24', { keys: [['general.alignment', u32(24)]] }, ['alignment', '24']],
    ['an alignment that is a text', { keys: [['general.alignment', text('32')]] }, ['alignment', '"32"']],
  ])('%s', async (_, file, parts) => {
    await expectFailure(openFile(file), 'invalid_data', directory, ...parts);
  });

  test.each<[string, Uint8Array, string[]]>([
    ['a text longer than the file', withValue(kind.text, u64Bytes(5000n)), ['"key"', '5000 bytes', 'cut short']],
    ['a text of 2^63 bytes', withValue(kind.text, u64Bytes(2n ** 63n)), ['"key"', '9223372036854775808']],
    [
      'a list longer than the file',
      withValue(kind.list, [6, 0, 0, 0, ...u64Bytes(1000n)]),
      ['"key"', 'length', '1000'],
    ],
    ['an empty list of no kind', withValue(kind.list, [99, 0, 0, 0, ...u64Bytes(0n)]), ['"key"', '99']],
    ['a value of no kind', withValue(13, [0]), ['"key"', 'got 13']],
    ['a truth value of 2', withValue(kind.flag, [2]), ['"key"', '0 or 1', 'got 2']],
    ['a text that is not UTF-8', withValue(kind.text, [...u64Bytes(1n), 0xff]), ['"key"', 'UTF-8']],
    [
      'lists in lists without end',
      withValue(kind.list, Array.from({ length: 50 }, () => [9, 0, 0, 0, ...u64Bytes(1n)]).flat()),
      ['"key"', 'nested'],
    ],
  ])('%s', async (_, bytes, parts) => {
    await expectFailure(GgufModel.open(await fileOf(bytes)), 'invalid_data', directory, ...parts);
  });

  test('other versions and byte orders', async () => {
    for (const version of [0, 1, 4]) await expectFailure(openFile({ version }), 'unsupported', `got ${version}`);
    await expectFailure(openFile({ version: 0x03000000 }), 'unsupported', 'big-endian');
  });

  test('files of other kinds', async () => {
    const open = async (content: string) => await GgufModel.open(await fileOf(new TextEncoder().encode(content)));
    await expectFailure(open(''), 'invalid_data', 'empty');
    await expectFailure(open('<!DOCTYPE html><html>'), 'invalid_data', 'HTML');
    await expectFailure(open('a text file'), 'invalid_data', '"GGUF"');
    await expectFailure(GgufModel.open(join(directory, 'none.gguf')), 'not_found', 'none.gguf');
    await expectFailure(GgufModel.open(directory), 'invalid_data', 'directory');
  });
});

const whole: FileToLayOut = {
  keys: [
    ['general.architecture', text('llama')],
    ['general.alignment', u32(8)],
    ['tokens', list('text', ['a', 'b', 'c'])],
    ['scores', list('f32', [1, 2, 3])],
  ],
  alignment: 8,
  tensors: [
    { name: 'token_embd.weight', dimensions: [4, 2], type: 1, data: data.slice(0, 16) },
    { name: 'b', dimensions: [32], type: 8, data: new Uint8Array(34) },
  ],
};

test('a file cut at any byte is refused', async () => {
  const bytes = layOutGguf(whole);
  for (let length = 0; length < bytes.length; length++) {
    await expectFailure(GgufModel.open(await fileOf(bytes.slice(0, length), 'cut.gguf')), 'invalid_data', directory);
  }
});

test('lists that would not fit into memory are refused before they are made', async () => {
  const bytes = new Uint8Array(24 + 8 + 1 + 4 + 4 + 8 + 2 ** 24 + 1);
  bytes.set(layOutGguf({ keys: [['k', { kind: 'list', of: 'u8', values: [] }]] }));
  new DataView(bytes.buffer).setBigUint64(24 + 8 + 1 + 4 + 4, 2n ** 24n + 1n, true);
  const file = await fileOf(bytes);
  await expectFailure(GgufModel.open(file), 'invalid_data', '"k"', '16777216 entries');
  const passedOver = await GgufModel.open(file, () => false);
  expect(passedOver.metadata.size).toBe(0);
  await passedOver.close();
});

test('a hostile message stays short', async () => {
  const name = 'x'.repeat(60_000);
  const error = await openFile({ tensors: [{ ...tensor, name, type: 99 }] }).catch((caught: SubzeroError) => caught);
  expect((error as SubzeroError).message.length).toBeLessThan(1000);
  await expectFailure(openFile({ tensors: [{ ...tensor, name: 'x'.repeat(70_000) }] }), 'invalid_data', '65535');
});

test('mutated files either open correctly or fail with a SubzeroError', async () => {
  const valid = layOutGguf(whole);
  const random = seededIntegers(1);
  const outcomes = { opened: 0, refused: 0 };
  for (let round = 0; round < 1500; round++) {
    let bytes = valid.slice();
    for (let edits = 1 + random(3); edits > 0; edits--) {
      const at = random(bytes.length);
      const choice = random(6);
      if (choice === 0) bytes = Uint8Array.of(...bytes.subarray(0, at), ...bytes.subarray(at + 1));
      else if (choice === 1) bytes = Uint8Array.of(...bytes.subarray(0, at), random(256), ...bytes.subarray(at));
      else if (choice === 2) bytes.fill(0xff, at, at + 8);
      else if (choice === 3) bytes[at] = random(14);
      else bytes[at] = random(256);
    }
    const file = await fileOf(bytes, 'mutated.gguf');
    try {
      const model = await GgufModel.open(file);
      outcomes.opened++;
      for (const { name, byteLength } of model.tensors.values()) {
        expect((await model.read(name, 0, byteLength)).length).toBe(byteLength);
      }
      await model.close();
    } catch (error) {
      if (!(error instanceof SubzeroError)) throw error;
      outcomes.refused++;
    }
  }
  expect(outcomes.opened).toBeGreaterThan(100);
  expect(outcomes.refused).toBeGreaterThan(500);
});

describe('shards', () => {
  const shard = (number: number, count: number, names: string[], total: number): Uint8Array =>
    layOutGguf({
      keys: [
        ['split.no', { kind: 'u16', value: number }],
        ['split.count', { kind: 'u16', value: count }],
        ['split.tensors.count', { kind: 'i32', value: total }],
      ],
      tensors: names.map((name) => ({ ...tensor, name, data: data.map((byte) => byte + number) })),
    });
  const named = (stem: string, number: number, count: number): string => `${stem}-0000${number}-of-0000${count}.gguf`;

  async function write(stem: string, shards: readonly Uint8Array[]): Promise<string> {
    for (const [index, bytes] of shards.entries()) await fileOf(bytes, named(stem, index + 1, shards.length));
    return join(directory, named(stem, 1, shards.length));
  }

  test('are one model', async () => {
    const model = await GgufModel.open(
      await write('m', [shard(0, 3, ['a'], 4), shard(1, 3, ['b', 'c'], 4), shard(2, 3, ['d'], 4)]),
    );
    expect([...model.tensors.keys()]).toEqual(['a', 'b', 'c', 'd']);
    expect((await model.read('d', 0, 1))[0]).toBe(2);
    expect(model.files.map(({ file }) => file)).toHaveLength(3);
    await model.close();
  });

  test.each([8, 16, 32, 64, 256, 4096])('are read where the first alone states an alignment of %d', async (stated) => {
    // All laid out by it, as Python's gguf does, or the others by the default, as llama.cpp's splitter does.
    for (const laidOut of [stated, 32]) {
      // Headers of many lengths, with and without padding behind the data.
      for (let length = 1; length <= 64; length += 5) {
        const pad = length % 2 === 1;
        const part = (number: number, alignment: number): Uint8Array => {
          const own = ['x', 'y'].map((name, at) => ({
            ...tensor,
            name: `${name}${number}${'_'.repeat(length)}`,
            data: data.map((byte) => byte + 1 + 100 * number + 50 * at),
          }));
          const keys: [string, Value][] = [
            ['split.no', { kind: 'u16', value: number }],
            ['split.count', { kind: 'u16', value: 2 }],
            ...(number === 0 ? ([['general.alignment', u32(stated)]] as [string, Value][]) : []),
          ];
          const bytes = layOutGguf({ keys, tensors: own, alignment });
          const padded = new Uint8Array(pad ? Math.ceil(bytes.length / alignment) * alignment : bytes.length);
          padded.set(bytes);
          return padded;
        };
        const model = await GgufModel.open(await write('aligned', [part(0, stated), part(1, laidOut)]));
        for (const [index, name] of [...model.tensors.keys()].entries()) {
          const first = (await model.read(name, 0, 1))[0];
          expect([name, first]).toEqual([name, 1 + 50 * index]);
        }
        await model.close();
      }
    }
  });

  test('that do not fit together are refused', async () => {
    const first = await write('second', [shard(0, 2, ['a'], 2), shard(1, 2, ['b'], 2)]);
    await expectFailure(GgufModel.open(first.replace('-00001-', '-00002-')), 'invalid_data', 'not the first', first);
    const twice = await write('twice', [shard(0, 2, ['a'], 2), shard(1, 2, ['a'], 2)]);
    await expectFailure(GgufModel.open(twice), 'invalid_data', '"a"', 'once');
    const few = await write('few', [shard(0, 2, ['a'], 3), shard(1, 2, ['b'], 3)]);
    await expectFailure(GgufModel.open(few), 'invalid_data', '3 tensors', 'got 2');
    const wrong = await write('wrong', [shard(0, 2, ['a'], 2), shard(0, 2, ['b'], 2)]);
    await expectFailure(GgufModel.open(wrong), 'invalid_data', '"split.no" to be 1', 'got 0');
    const renamed = await fileOf(shard(0, 2, ['a'], 2), 'renamed.gguf');
    await expectFailure(GgufModel.open(renamed), 'invalid_data', '2 shards', '-00001-of-00002.gguf');
    const alone = await fileOf(shard(0, 2, ['a'], 2), named('alone', 1, 2));
    await expectFailure(GgufModel.open(alone), 'not_found', named('alone', 2, 2), 'missing');
  });
});
