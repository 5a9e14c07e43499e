/** Rows from files of every kind; what is wrong with one is said in a line with file, row and field. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as zlib from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { readRows } from '../../src/data/containers/index.ts';
import { describeParquet } from '../../src/data/containers/parquet.ts';
import { loadDataset } from '../../src/data/index.ts';
import type { Row } from '../../src/data/row.ts';
import { zstdFrames } from '../../src/data/zstd-frames.ts';

const directory = await mkdtemp(join(tmpdir(), 'subzero-test-'));
afterAll(() => rm(directory, { recursive: true }));

const parquet = (name: string) => fileURLToPath(new URL(`../fixtures/data/parquet/${name}.parquet`, import.meta.url));

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, content);
  return path;
}

async function rowsOf(path: string): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const row of readRows(path)) rows.push(row);
  return rows;
}

/** The rows of a new file: their values, and their places without the path. */
async function rows(name: string, content: string | Uint8Array): Promise<[Record<string, unknown>, string][]> {
  const path = await write(name, content);
  return (await rowsOf(path)).map(({ value, source }) => [value, source.slice(path.length)]);
}

const table = [
  { prompt: 'a, "b"', completion: 'c' },
  { prompt: 'two\nlines', completion: 'd' },
];

describe('one kind of file each', () => {
  test('CSV: quotes, commas and line ends in cells, CRLF, a byte order mark, blank lines', async () => {
    const text = '\uFEFFprompt,completion\r\n"a, ""b""",c\r\n\r\n"two\nlines",d\r\nlast,"e"';
    expect(await rows('a.csv', text)).toEqual([
      [table[0], ':2'],
      [table[1], ':4'],
      [{ prompt: 'last', completion: 'e' }, ':6'],
    ]);
  });

  test('TSV: quotes are characters', async () => {
    expect(await rows('a.tsv', 'text\tlabel\n"quoted" film\t1\n"\t0\n')).toEqual([
      [{ text: '"quoted" film', label: '1' }, ':2'],
      [{ text: '"', label: '0' }, ':3'],
    ]);
  });

  test('JSON: a list, a list in "data", and JSON Lines under that name', async () => {
    const expected = table.map((row, index) => [row, ` (row ${index + 1})`]);
    expect(await rows('list.json', JSON.stringify(table, null, 2))).toEqual(expected);
    expect(await rows('list1.json', JSON.stringify(table))).toEqual(expected);
    expect(await rows('data.json', JSON.stringify({ version: 1, data: table }))).toEqual(expected);
    const lines = table.map((row) => JSON.stringify(row)).join('\n');
    expect(await rows('lines.json', lines)).toEqual(table.map((row, index) => [row, `:${index + 1}`]));
  });

  test.each(['none', 'snappy', 'gzip', 'zstd', 'lz4', 'brotli'])('Parquet packed with %s', async (packing) => {
    const found = await rowsOf(parquet(packing));
    expect(found.map(({ value }) => value)).toEqual(
      [0, 1, 2, 3, 4].map((n) => ({
        ...{ prompt: `Two and ${n} make`, completion: `${n + 2}.`, id: 2 ** 40 + n },
        ...(n === 1 ? {} : { score: n / 4 }),
      })),
    );
    expect(found.map(({ source }) => source)).toEqual(
      [1, 2, 3, 4, 5].map((number) => `${parquet(packing)} (row ${number})`),
    );
    expect(await describeParquet(parquet(packing))).toEqual({
      rows: 5,
      columns: ['prompt', 'completion', 'id', 'score'],
    });
  });

  test('Parquet: lists of structures are conversations', async () => {
    const chat = {
      renderChat: async (messages: readonly { content: string }[]) => messages.map((m) => m.content).join('/'),
    };
    const found = await rowsOf(parquet('messages'));
    expect(found[0]!.value.messages).toEqual([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Yes?' },
    ]);
    const dataset = await loadDataset({ file: parquet('messages') }, { chat: chat as never });
    expect(dataset).toMatchObject({ name: 'messages', unread: ['tags'] });
    expect(dataset.examples).toHaveLength(2);
  });

  test('gzip and zstd on the way', async () => {
    const csv = Buffer.from('prompt,completion\na,b\n');
    const jsonl = Buffer.from(JSON.stringify({ prompt: 'a', completion: 'b' }));
    const row = { prompt: 'a', completion: 'b' };
    expect(await rows('p.csv.gz', zlib.gzipSync(csv))).toEqual([[row, ':2']]);
    expect(await rows('p.csv.zst', zlib.zstdCompressSync(csv))).toEqual([[row, ':2']]);
    expect(await rows('p.jsonl.zst', zlib.zstdCompressSync(jsonl))).toEqual([[row, ':1']]);
    expect(await rows('p.json.gz', zlib.gzipSync(Buffer.from(JSON.stringify([row]))))).toEqual([[row, ' (row 1)']]);
  });

  test('gzip of several members and zstd of several frames, cut within a line', async () => {
    const lines = Array.from({ length: 1000 }, (_, index) => JSON.stringify({ prompt: `${index}`, completion: 'b' }));
    const text = Buffer.from(lines.join('\n'));
    const parts = [0, 1, 999, 30_000, text.length].map((start, index, all) => text.subarray(start, all[index + 1]));
    const skippable = Buffer.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    const frames = parts.flatMap((part) => [zlib.zstdCompressSync(part), skippable]);
    const expected = lines.map((line, index) => [JSON.parse(line), `:${index + 1}`]);
    expect(await rows('m.jsonl.gz', Buffer.concat(parts.map((part) => zlib.gzipSync(part))))).toEqual(expected);
    expect(await rows('m.jsonl.zst', Buffer.concat(frames))).toEqual(expected);
  });

  test('CSV of many pieces: rows across their borders, and no listeners that pile up', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on('warning', note);
    const count = 60_000;
    const text = Array.from({ length: count }, (_, index) => `"${index}\n""é"", ${'x'.repeat(index % 41)}",${index}\n`);
    const read = await rows('many.csv', `prompt,completion\n${text.join('')}`);
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', note);
    expect(read).toHaveLength(count);
    for (const [index, [value, place]] of read.entries()) {
      const prompt = `${index}\n"é", ${'x'.repeat(index % 41)}`;
      if (value.prompt !== prompt || place !== `:${2 * index + 2}`) expect([value, place, index]).toEqual([prompt]);
    }
    expect(warnings).toEqual([]);
  });

  test.each(['jsonl', 'csv', 'jsonl.gz', 'jsonl.zst'])('.%s: no more is read than the next rows need', async (end) => {
    // Digits that do not pack well.
    const noise = (index: number) =>
      Array.from({ length: 16 }, (_, at) => Math.imul(16 * index + at, 0x9e3779b1) >>> 0);
    const row = (index: number) => ({ prompt: `${index}`, completion: noise(index).join('') });
    const count = 20_000;
    const asLine = (index: number) =>
      end === 'csv' ? Object.values(row(index)).join(',') : JSON.stringify(row(index));
    const text = ['prompt,completion', ...Array.from({ length: count }, (_, index) => asLine(index))]
      .slice(end === 'csv' ? 0 : 1)
      .join('\n');
    const pack = end.endsWith('gz') ? zlib.gzipSync : end.endsWith('zst') ? zlib.zstdCompressSync : Buffer.from;
    const bytes = (pack as (text: string) => Uint8Array)(text);
    const path = await write(`ahead.${end}`, bytes);
    const told: number[] = [];
    let [index, most] = [0, 0];
    for await (const { value } of readRows(path, { onRead: (read) => told.push(read) })) {
      if (value.prompt !== `${index}`) expect(value.prompt).toBe(`${index}`);
      most = Math.max(most, told.at(-1)! - (index / count) * bytes.length);
      index++;
    }
    expect(index).toBe(count);
    expect(told.at(-1)).toBe(bytes.length);
    expect(told).toEqual([...told].sort((a, b) => a - b));
    // Pieces of 64 KiB, of which a stream has a few at hand.
    expect(most).toBeLessThan(400_000);
    expect(bytes.length).toBeGreaterThan(600_000);
  });

  test.each(['gz', 'zst'])('.%s: of a small file of many rows, what is told follows the rows', async (end) => {
    const count = 200_000;
    const pack = end === 'gz' ? zlib.gzipSync : zlib.zstdCompressSync;
    const bytes = pack('{"text": "the same row, over and over"}\n'.repeat(count));
    const path = await write(`small.jsonl.${end}`, bytes);
    let told = 0;
    let [index, farthest] = [0, 0];
    for await (const _ of readRows(path, { onRead: (read) => (told = read) })) {
      farthest = Math.max(farthest, Math.abs(told / bytes.length - index++ / count));
    }
    expect(index).toBe(count);
    expect(farthest).toBeLessThan(0.1);
    // All of it is one piece of the file.
    expect(bytes.length).toBeLessThan(64 * 1024);
  });

  test('a reader that stops early leaves nothing behind', async () => {
    const path = await write('long.csv', `prompt,completion\n${'some text,some more\n'.repeat(100_000)}`);
    const dataset = await loadDataset({ file: path }, { limit: 3 });
    expect(dataset.examples).toHaveLength(3);
  });
});

describe('folders', () => {
  test('files by the split in their names, in order', async () => {
    const folder = join(directory, 'folder');
    await mkdir(folder);
    const line = (text: string) => JSON.stringify({ text });
    await writeFile(join(folder, 'train-00001.jsonl'), line('second'));
    await writeFile(join(folder, 'train-00000.csv'), 'text\nfirst\n');
    await writeFile(join(folder, 'validation.jsonl'), line('dev'));
    await writeFile(join(folder, 'README.md'), 'about it');
    const texts = async (split: 'train' | 'validation' | 'evaluation') =>
      (await loadDataset({ file: folder }, { split })).examples.map(({ completion }) => completion);
    expect(await texts('train')).toEqual(['first', 'second']);
    expect(await texts('validation')).toEqual(['dev']);
    expect(await texts('evaluation')).toEqual(['dev']);
    await writeFile(join(folder, 'test.jsonl'), line('final'));
    expect(await texts('evaluation')).toEqual(['final']);
    expect(await texts('validation')).toEqual(['dev']);
    // What is for the final score is not looked at before.
    await rm(join(folder, 'validation.jsonl'));
    await expect(texts('validation')).rejects.toThrow(/has no file for validation by its name; there are README\.md/);
  });

  test('without a file of data, the names that are there are told', async () => {
    const folder = join(directory, 'other');
    await mkdir(join(folder, 'data'), { recursive: true });
    await writeFile(join(folder, 'notes.txt'), '');
    await expect(loadDataset({ file: join(folder, 'data') })).rejects.toThrow(/no data file .*the directory is empty/);
    await writeFile(join(folder, 'data', 'rows.jsonl'), '{"text": "a"}');
    expect((await loadDataset({ file: folder })).examples).toHaveLength(1);
    await expect(loadDataset({ file: folder }, { split: 'validation' })).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('what cannot be read is named', () => {
  const cases: [string, string, string | Uint8Array, RegExp][] = [
    ['a stray quote', 'q.csv', 'a,b\nx,y "z"\n', /q\.csv:2: a quote stands within a cell .*\(cell 2\)$/],
    ['a quote that stays open', 'o.csv', 'a,b\nx,"y\nz,1\n', /o\.csv:2: a quote is opened and not closed/],
    ['text behind a quote', 'c.csv', 'a,b\n"x"y,z\n', /c\.csv:2: something follows the closing quote of a cell/],
    ['a cell too many', 'n.csv', 'a,b\n1,2\n1,2,3\n', /n\.csv:3: expected 2 columns \(a, b\); got 3/],
    ['two columns of one name', 't.csv', 'a,a\n1,2\n', /t\.csv:1: two columns have the name "a"/],
    [
      'a stray quote that another one closes lines below',
      's.csv',
      'a,b\n\n"1\n2",3\n\n4,"x\n5,y\n6,"z\n',
      /s\.csv:6: something follows the closing quote .*\(cell 2\); it is in line 8: is the quote that opens the cell/,
    ],
    [
      'bytes that are no UTF-8',
      'u.csv',
      Uint8Array.of(0x61, 0x0a, 0xff, 0x0a),
      /u\.csv:2: the line is not valid UTF-8: byte 1 of it is 0xFF; .*iconv -f WINDOWS-1252 -t UTF-8/,
    ],
    [
      'a document that is not UTF-8',
      'u.json',
      Buffer.from('[{"text": "a"},\n{"text": "caf\xe9"}]', 'latin1'),
      /u\.json:2: the line is not valid UTF-8: byte 14 of it is 0xE9/,
    ],
    [
      'a file in UTF-16',
      'w.tsv',
      Buffer.from('\uFEFFtext\nhello\n', 'utf16le'),
      /w\.tsv:1: .*; it begins as files in UTF-16 do; convert it \(iconv -f UTF-16/,
    ],
    ['an object that holds no rows', 'k.json', '{"a": [1],\n "b": [2]}', /k\.json: expected a list of rows or/],
    ['a row that is none', 'r.json', '[{"text": "a"}, 3]', /r\.json \(row 2\): expected an object; got 3/],
    ['broken JSON', 'b.json', '[{"text": "a"', /b\.json: not valid JSON/],
    ['no Parquet', 'x.parquet', 'hello, this is text', /x\.parquet: not a Parquet file that can be read/],
    ['broken gzip', 'g.jsonl.gz', 'no gzip', /g\.jsonl\.gz is not a valid gzip file/],
    ['broken zstd', 'z.jsonl.zst', 'no zstd', /z\.jsonl\.zst is not a valid zstd file/],
    [
      'gzip that ends early',
      'e.jsonl.gz',
      zlib.gzipSync(Buffer.from('{"text": "a"}')).subarray(0, 20),
      /e\.jsonl\.gz was cut off: it ends within a member$/,
    ],
    [
      'gzip whose second member ends early',
      'm.jsonl.gz',
      Buffer.concat([zlib.gzipSync('{"text": "a"}\n'), zlib.gzipSync('{"text": "b"}').subarray(0, 20)]),
      /m\.jsonl\.gz was cut off/,
    ],
    ['gzip by another name', 'p.jsonl', zlib.gzipSync('{"text": "a"}'), /p\.jsonl is packed as gzip; .* ends in \.gz$/],
    ['zstd by another name', 'p.csv', zlib.zstdCompressSync('a,b\n'), /p\.csv is packed as zstd; .* ends in \.zst$/],
  ];
  test.each(cases)('%s', async (_name, file, content, message) => {
    const path = await write(file, content);
    await expect(rowsOf(path)).rejects.toMatchObject({
      name: 'SubzeroError',
      message: expect.stringMatching(message),
    });
  });

  test('frames of zstd are walked to the end, cut off anywhere', async () => {
    const pack = (text: string, options = {}) => zlib.zstdCompressSync(Buffer.from(text), options);
    const random = Buffer.from(Uint8Array.from({ length: 400_000 }, (_, index) => (index * 7919) >> 3)).toString(
      'latin1',
    );
    const checksum = { params: { [zlib.constants.ZSTD_c_checksumFlag]: 1 } };
    const skippable = Buffer.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    const walk = async (path: string) => {
      for await (const _ of zstdFrames(path));
    };
    const frames = [pack(''), pack('{"text": "a"}\n'), pack('a'.repeat(300_000), checksum), pack(random), skippable];
    for (const bytes of [...frames, Buffer.concat(frames), Buffer.alloc(0)]) {
      await walk(await write('whole.zst', bytes));
      for (const cut of [1, 2, 3, 4, 5, 8]) {
        if (cut >= bytes.length) continue;
        const path = await write('cut.zst', bytes.subarray(0, bytes.length - cut));
        await expect(walk(path), `${bytes.length} bytes without ${cut}`).rejects.toThrow(/cut off/);
      }
    }
  });

  test('a quote that stays open for too long is named where its row begins', async () => {
    const path = await write('w.csv', `a,b\n1,2\n"3\n4",5\n6,"7\n${'x,y\n'.repeat(5_000_000)}`);
    await expect(rowsOf(path)).rejects.toThrow(
      /w\.csv:5: the row is longer than 16777216 bytes; is a quote not closed/,
    );
  });

  test('a bad row far within a file is named by its line, behind rows of several pieces', async () => {
    const good = '{"prompt": "a", "completion": "b"}\n'.repeat(99_999);
    const path = await write(
      'far.jsonl.zst',
      zlib.zstdCompressSync(`${good}{"prompt": "a", "completion": 5}\n${good}`),
    );
    await expect(loadDataset({ file: path })).rejects.toThrow(
      `${path}:100000: expected a string in "completion"; got 5`,
    );
  });

  test('zstd that ends early', async () => {
    const whole = zlib.zstdCompressSync(Buffer.from('{"text": "some text that is packed"}\n'.repeat(1000)));
    const path = await write('half.jsonl.zst', whole.subarray(0, whole.length - 9));
    await expect(rowsOf(path)).rejects.toThrow(/half\.jsonl\.zst/);
  });

  test('a Parquet file that ends early', async () => {
    const { readFile } = await import('node:fs/promises');
    const bytes = await readFile(parquet('zstd'));
    const damaged = Uint8Array.from(bytes);
    damaged.fill(0xff, 20, 60);
    await expect(rowsOf(await write('d.parquet', damaged))).rejects.toThrow(
      /d\.parquet \(rows 1 to 3\): the row group/,
    );
  });

  test('a nested column where a text must be', async () => {
    await expect(loadDataset({ file: parquet('nested') })).rejects.toThrow(
      /nested\.parquet \(row 1\): expected a string in "prompt"; got \{"text":"a"\}/,
    );
  });
});
