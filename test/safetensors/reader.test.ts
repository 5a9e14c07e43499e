import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SubzeroError } from '../../src/errors.ts';
import { openSafetensors } from '../../src/safetensors/index.ts';
import { expectFailure, fileOf, layOut, seededIntegers, temporaryDirectory } from './helpers.ts';

const directory = await temporaryDirectory();

const entry = (dtype: string, shape: string, start: number, end: number) =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${start},${end}]}`;

const data = Uint8Array.from({ length: 24 }, (_, i) => i);

/** Opens a file with this header and 24 bytes of data. */
async function openHeader(header: string | Uint8Array, bytes = data) {
  return await openSafetensors(await fileOf(directory, layOut(header, bytes)));
}

describe('a valid file', () => {
  const [a, b] = [entry('F32', '[5,1]', 0, 20), entry('U8', '[4]', 20, 24)];
  const header = `{"b":${b},"__metadata__":{"format":"pt"},"a":${a}}  `;

  test('shows its tensors in the order of the data, and its metadata', async () => {
    const opened = await openHeader(header);
    expect([...opened.tensors.keys()]).toEqual(['a', 'b']);
    expect(opened.tensors.get('a')).toMatchObject({ name: 'a', dtype: 'F32', shape: [5, 1], byteLength: 20 });
    expect(opened.metadata).toEqual({ format: 'pt' });
    await opened.close();
  });

  test('gives whole tensors and ranges as copies of their own', async () => {
    const opened = await openHeader(header);
    expect(await opened.read('a')).toEqual(data.slice(0, 20));
    expect(await opened.read('b')).toEqual(data.slice(20));
    expect(await opened.read('a', 16)).toEqual(data.slice(16, 20));
    expect(await opened.read('b', 4, 0)).toEqual(new Uint8Array(0));
    const range = await opened.read('b', 1, 2);
    expect(range).toEqual(Uint8Array.of(21, 22));
    expect([range.byteOffset, range.buffer.byteLength]).toEqual([0, 2]);
    await opened.close();
  });

  test('reads into given memory where it is large enough', async () => {
    const opened = await openHeader(header);
    const memory = new ArrayBuffer(8);
    const range = await opened.read('a', 3, 8, memory);
    expect(range).toEqual(data.slice(3, 11));
    expect(range.buffer).toBe(memory);
    const next = await opened.read('b', 1, undefined, memory);
    expect(next).toEqual(Uint8Array.of(21, 22, 23));
    expect([next.buffer, next.byteOffset]).toEqual([memory, 0]);
    const longer = await opened.read('a', 0, 9, memory);
    expect(longer).toEqual(data.slice(0, 9));
    expect(longer.buffer).not.toBe(memory);
    await opened.close();
  });

  test.each([
    [-1, 2],
    [0, 21],
    [20, 1],
    [21, undefined],
    [0.5, 1],
    [Number.NaN, 1],
    [0, -1],
  ])('refuses the range %s, %s', async (offset, length) => {
    const opened = await openHeader(header);
    await expectFailure(opened.read('a', offset, length), 'invalid_argument', '"a"', '20 bytes');
    await opened.close();
  });

  test('refuses an unknown tensor, and everything after close', async () => {
    const opened = await openHeader(header);
    await expectFailure(opened.read('c'), 'not_found', '"c"', opened.file);
    await opened.close();
    await opened.close();
    await expectFailure(opened.read('a'), 'conflict', 'closed');
    await expectFailure(opened.fingerprint(), 'conflict', 'closed');
  });

  test('notices that the file shrinks while it is open', async () => {
    const opened = await openHeader(header);
    await truncate(opened.file, layOut(header, data).length - 2);
    await expectFailure(opened.read('b'), 'invalid_data', opened.file, 'after 2 of them');
    await opened.close();
  });

  test('may hold scalars, empty tensors and names of all kinds', async () => {
    const [scalar, empty] = [entry('F64', '[]', 0, 8), entry('F32', '[0,7]', 8, 8)];
    const opened = await openHeader(`{"__proto__":${scalar},"e":${empty},"ü\\n":${entry('I64', '[2]', 8, 24)}}`);
    expect(await opened.read('__proto__')).toEqual(data.slice(0, 8));
    expect(await opened.read('e')).toEqual(new Uint8Array(0));
    expect(await opened.read('ü\n')).toEqual(data.slice(8));
    await opened.close();
  });

  test('may hold no tensor at all', async () => {
    const opened = await openHeader('{}', new Uint8Array(0));
    expect(opened.tensors.size).toBe(0);
    await opened.close();
  });

  test('may have equal keys in different objects, and text that looks like keys', async () => {
    const opened = await openHeader(
      `{"__metadata__":{"a":"{\\"a\\":1,\\"a\\":2}","b":"a"},"a":${entry('U8', '[24]', 0, 24)}}`,
    );
    expect(opened.metadata.a).toBe('{"a":1,"a":2}');
    await opened.close();
  });

  test.each([
    ['BOOL', 24],
    ['I8', 24],
    ['F8_E4M3', 24],
    ['F8_E5M2', 24],
    ['I16', 12],
    ['U16', 12],
    ['F16', 12],
    ['BF16', 12],
    ['I32', 6],
    ['U32', 6],
    ['U64', 3],
    ['F64', 3],
  ])('may hold %s', async (dtype, count) => {
    const opened = await openHeader(`{"a":${entry(dtype, `[${count}]`, 0, 24)}}`);
    expect(opened.tensors.get('a')?.byteLength).toBe(24);
    await opened.close();
  });
});

describe('broken rules', () => {
  const whole = entry('U8', '[24]', 0, 24);
  test.each<[string, string, string[]]>([
    ['a header that is no object', `["a"]`, ['starts with "{"', '0x5b']],
    ['a space in front of the header', ` {"a":${whole}}`, ['starts with "{"', '0x20']],
    ['an empty header', '', ['starts with "{"', 'empty']],
    ['broken JSON', `{"a":${whole}`, ['not valid JSON']],
    ['text behind the JSON', `{"a":${whole}} x`, ['not valid JSON']],
    ['a tensor named twice', `{"a":${whole},"a":${whole}}`, ['"a"', 'twice']],
    ['a tensor named twice, once with an escape', `{"a":${whole},"\\u0061":${whole}}`, ['"a"', 'twice']],
    [
      'a field named twice',
      `{"a":{"dtype":"U8","dtype":"U8","shape":[24],"data_offsets":[0,24]}}`,
      ['"dtype"', 'twice'],
    ],
    ['metadata named twice', `{"__metadata__":{"k":"1","k" : "2"},"a":${whole}}`, ['"k"', 'twice']],
    ['a number in the metadata', `{"__metadata__":{"k":1},"a":${whole}}`, ['"k"', 'only strings', '1']],
    ['metadata that is a list', `{"__metadata__":["k"],"a":${whole}}`, ['__metadata__', 'object']],
    ['a tensor that is null', `{"a":null}`, ['"a"', 'null']],
    ['an unknown dtype', `{"a":${entry('F31', '[6]', 0, 24)}}`, ['"a"', '"F31"', 'BF16']],
    ['a dtype named like a method of objects', `{"a":${entry('toString', '[6]', 0, 24)}}`, ['"a"', '"toString"']],
    ['no dtype', `{"a":{"shape":[24],"data_offsets":[0,24]}}`, ['"a"', 'dtype']],
    ['no shape', `{"a":{"dtype":"U8","data_offsets":[0,24]}}`, ['"a"', 'shape']],
    ['no offsets', `{"a":{"dtype":"U8","shape":[24]}}`, ['"a"', 'data_offsets']],
    ['a negative dimension', `{"a":${entry('U8', '[-4,-6]', 0, 24)}}`, ['"a"', 'shape', '[-4,-6]']],
    ['half a dimension', `{"a":${entry('U8', '[2.5]', 0, 24)}}`, ['"a"', 'shape', '[2.5]']],
    ['a dimension as text', `{"a":${entry('U8', '["24"]', 0, 24)}}`, ['"a"', 'shape']],
    [
      'a shape that overflows 64 bits to 24',
      `{"a":${entry('U8', '[4294967296,4294967296,24]', 0, 24)}}`,
      ['"a"', '2^53'],
    ],
    [
      'a shape that overflows before a zero',
      `{"a":${entry('U8', '[4294967296,4294967296,0]', 0, 0)}}`,
      ['"a"', '2^53'],
    ],
    ['a byte count that overflows', `{"a":${entry('F64', '[9007199254740991]', 0, 24)}}`, ['"a"', '2^53']],
    ['a shape larger than the range', `{"a":${entry('F32', '[7]', 0, 24)}}`, ['"a"', '28 bytes', '[0, 24]']],
    ['a shape smaller than the range', `{"a":${entry('F32', '[5]', 0, 24)}}`, ['"a"', '20 bytes', '[0, 24]']],
    ['an end before the start', `{"a":${entry('U8', '[0]', 24, 0)}}`, ['"a"', 'data_offsets', '[24,0]']],
    ['a negative offset', `{"a":${entry('U8', '[24]', -1, 23)}}`, ['"a"', 'data_offsets']],
    ['an offset of -0', `{"a":{"dtype":"U8","shape":[24],"data_offsets":[-0,24]}}`, ['"a"', 'data_offsets']],
    ['three offsets', `{"a":{"dtype":"U8","shape":[24],"data_offsets":[0,24,24]}}`, ['"a"', 'data_offsets']],
    ['an offset beyond 2^53', `{"a":{"dtype":"U8","shape":[24],"data_offsets":[0,9007199254740993]}}`, ['"a"']],
    [
      'a first byte that belongs to nobody',
      `{"a":${entry('U8', '[23]', 1, 24)}}`,
      ['"a"', 'start at 0', 'got 1', 'hole'],
    ],
    ['a hole', `{"a":${entry('U8', '[8]', 0, 8)},"b":${entry('U8', '[8]', 16, 24)}}`, ['"b"', 'start at 8', 'a hole']],
    ['an overlap', `{"a":${entry('U8', '[16]', 0, 16)},"b":${entry('U8', '[16]', 8, 24)}}`, ['"b"', 'an overlap']],
    ['two tensors at one place', `{"a":${whole},"b":${whole}}`, ['"b"', 'an overlap']],
    ['data behind the last tensor', `{"a":${entry('U8', '[23]', 0, 23)}}`, ['expected 23 bytes', 'got 24']],
    ['data that ends too early', `{"a":${entry('U8', '[25]', 0, 25)}}`, ['expected 25 bytes', 'got 24', 'cut short']],
    ['data without tensors', '{}', ['expected 0 bytes', 'got 24']],
    ['a name that is no Unicode', `{"\\ud800":${whole}}`, ['Unicode']],
  ])('%s', async (_, header, parts) => {
    await expectFailure(openHeader(header), 'invalid_data', directory, ...parts);
  });

  test('bytes that are no UTF-8', async () => {
    const header = new TextEncoder().encode(`{"a":${whole}}`);
    header[2] = 0xff;
    await expectFailure(openHeader(header), 'invalid_data', 'not valid JSON');
  });

  test('a dtype of the format that cannot be opened', async () => {
    await expectFailure(openHeader(`{"a":${entry('C64', '[3]', 0, 24)}}`), 'unsupported', '"a"', 'C64');
  });

  test('a header above 100 MB', async () => {
    const bytes = layOut('{}');
    new DataView(bytes.buffer).setBigUint64(0, 100_000_001n, true);
    await expectFailure(openSafetensors(await fileOf(directory, bytes)), 'invalid_data', '100000000', '100000001');
    new DataView(bytes.buffer).setBigUint64(0, 2n ** 64n - 1n, true);
    await expectFailure(openSafetensors(await fileOf(directory, bytes)), 'invalid_data', '18446744073709551615');
  });

  test('a header longer than the file', async () => {
    const bytes = layOut('{}');
    bytes[0] = 3;
    await expectFailure(
      openSafetensors(await fileOf(directory, bytes)),
      'invalid_data',
      '10 bytes',
      'length field of 3',
    );
  });
});

test('a file cut at any byte is refused', async () => {
  const bytes = layOut(`{"a":${entry('U8', '[24]', 0, 24)}}`, data);
  for (let length = 0; length < bytes.length; length++) {
    await expectFailure(openSafetensors(await fileOf(directory, bytes.slice(0, length))), 'invalid_data', directory);
  }
});

test('a missing file and a directory are refused', async () => {
  await expectFailure(openSafetensors(join(directory, 'none')), 'not_found', 'none');
  await expectFailure(openSafetensors(directory), 'invalid_data', directory, 'directory');
});

test('a hostile message stays short', async () => {
  const name = 'x'.repeat(1_000_000);
  const error = await openHeader(`{"${name}":${entry('U8', '[3]', 0, 4)}}`).catch((caught: SubzeroError) => caught);
  expect((error as SubzeroError).message.length).toBeLessThan(1000);
});

test('mutated files either open correctly or fail with a SubzeroError', async () => {
  const [first, second] = [entry('F32', '[2,2]', 0, 16), entry('BF16', '[4]', 16, 24)];
  const header = `{"__metadata__":{"format":"pt"},"a.b":${first},"c":${second}}`;
  const valid = layOut(header, data);
  const random = seededIntegers(1);
  // Bytes that keep JSON valid are far more likely to reach the rules behind the parser.
  const alphabet = new TextEncoder().encode('0123456789{}[]",:\\-.eaFBU ');
  const file = await fileOf(directory, valid);
  const outcomes = { opened: 0, refused: 0 };
  for (let round = 0; round < 1000; round++) {
    let bytes = valid.slice();
    for (let edits = 1 + random(3); edits > 0; edits--) {
      const at = random(random(4) === 0 ? bytes.length : header.length + 8);
      const byte = random(3) === 0 ? random(256) : alphabet[random(alphabet.length)]!;
      const kind = random(4);
      if (kind === 0) bytes = Uint8Array.of(...bytes.subarray(0, at), ...bytes.subarray(at + 1));
      else if (kind === 1) bytes = Uint8Array.of(...bytes.subarray(0, at), byte, ...bytes.subarray(at));
      else bytes[at] = byte;
      // Half of the time the length field follows the edit, so that the JSON is seen in full.
      if (kind < 2 && random(2) === 0) {
        const view = new DataView(bytes.buffer);
        view.setBigUint64(0, view.getBigUint64(0, true) + (kind === 0 ? -1n : 1n), true);
      }
    }
    await writeFile(file, bytes);
    try {
      const opened = await openSafetensors(file);
      outcomes.opened++;
      let end = 0;
      for (const tensor of opened.tensors.values()) {
        expect((await opened.read(tensor.name)).length).toBe(tensor.byteLength);
        end += tensor.byteLength;
      }
      const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
      expect(8 + headerBytes + end).toBe(bytes.length);
      await opened.close();
    } catch (error) {
      if (!(error instanceof SubzeroError)) throw error;
      outcomes.refused++;
    }
  }
  expect(outcomes.opened).toBeGreaterThan(15);
  expect(outcomes.refused).toBeGreaterThan(300);
});
