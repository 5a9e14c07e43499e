import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import type { ChatRenderer } from '../../src/data/conversation.ts';
import type { Learn } from '../../src/data/example.ts';
import { type Dataset, loadDataset } from '../../src/data/index.ts';
import { readLines } from '../../src/data/lines.ts';
import { loadTokenizer } from '../../src/tokenizer/index.ts';

const directory = await mkdtemp(join(tmpdir(), 'subzero-test-'));
const file = join(directory, 'data.jsonl');
afterAll(() => rm(directory, { recursive: true }));

/** Loads a file with these lines; objects are written as JSON. */
async function load(lines: readonly unknown[], chat?: ChatRenderer, learn?: Learn): Promise<Dataset> {
  const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');
  await writeFile(file, text);
  return loadDataset({ file }, { ...(chat ? { chat } : {}), ...(learn ? { learn } : {}) });
}

describe('formats', () => {
  test('prompt and completion, with one space between', async () => {
    const dataset = await load([
      { prompt: 'Two and two make', completion: 'four.' },
      { prompt: 'Two and two make', completion: ' four.' },
      { prompt: 'Q: 2 + 2?\nA:\n', completion: '4' },
    ]);
    expect(dataset).toMatchObject({ name: 'completion', kind: 'completion', metric: 'loss', file });
    expect(dataset.examples).toEqual([
      { prompt: 'Two and two make', completion: ' four.', source: `${file}:1` },
      { prompt: 'Two and two make', completion: ' four.', source: `${file}:2` },
      { prompt: 'Q: 2 + 2?\nA:\n', completion: '4', source: `${file}:3` },
    ]);
  });

  test('options, with the label as index or as text', async () => {
    const dataset = await load([
      { prompt: 'It was', options: ['bad', 'good'], label: 1 },
      { prompt: 'It was', options: ['bad', 'good'], label: 'bad' },
      { prompt: 'Digit:', options: ['1', '0'], label: '0' },
    ]);
    expect(dataset).toMatchObject({ kind: 'options', metric: 'accuracy' });
    expect(dataset.examples.map(({ options, label }) => [options, label])).toEqual([
      [[' bad', ' good'], 1],
      [[' bad', ' good'], 0],
      [[' 1', ' 0'], 1],
    ]);
  });

  test('plain text has no prompt', async () => {
    const { examples } = await load([{ text: 'Once upon a time.' }]);
    expect(examples).toMatchObject([{ prompt: '', completion: 'Once upon a time.' }]);
  });

  test('alpaca, with and without input', async () => {
    const { examples } = await load([
      { instruction: 'Add.', input: '2 and 2', output: '4' },
      { instruction: 'Say hello.', output: 'Hello.' },
    ]);
    expect(examples[0]!.prompt).toMatch(/### Instruction:\nAdd\.\n\n### Input:\n2 and 2\n\n### Response:\n$/);
    expect(examples[0]!.completion).toBe('4');
    expect(examples[1]!.prompt).not.toContain('### Input');
    expect(examples[1]!.completion).toBe('Hello.');
  });

  test('messages and ShareGPT conversations learn the last answer where it is asked for', async () => {
    const tokenizer = await loadTokenizer(fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url)));
    const expected = {
      prompt: '<|endoftext|><|user|>Hi<|assistant|>Yes?<|user|>Good?<|assistant|>',
      completion: 'Very.',
    };
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Yes?' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Go' },
          { type: 'text', text: 'od?' },
        ],
      },
      { role: 'assistant', content: 'Very.' },
    ];
    const conversations = [
      { from: 'human', value: 'Hi' },
      { from: 'gpt', value: 'Yes?' },
      { from: 'human', value: 'Good?' },
      { from: 'gpt', value: 'Very.' },
    ];
    expect((await load([{ messages }], tokenizer, 'last')).examples).toMatchObject([expected]);
    expect((await load([{ conversations }], tokenizer, 'last')).examples).toMatchObject([expected]);
  });
});

describe('errors name file and line and say what was expected', () => {
  const chat: ChatRenderer = { renderChat: async (messages) => `${messages.length} messages` };
  const cases: [string, unknown[], RegExp][] = [
    [
      'an unknown label',
      [{ prompt: 'p', options: ['a', 'b'], label: 'c' }],
      /:1: label "c" is not among options \["a","b"\]/,
    ],
    ['an index out of range', [{ prompt: 'p', options: ['a', 'b'], label: 2 }], /:1: label 2 is not .* from 0 to 1/],
    ['a missing label', [{ prompt: 'p', options: ['a', 'b'] }], /:1: no "label"/],
    ['one option', [{ prompt: 'p', options: ['a'], label: 0 }], /:1: "options" must be a list of at least two/],
    ['equal options', [{ prompt: 'p', options: ['a', 'a'], label: 0 }], /at least two different texts/],
    [
      'a mixture',
      [{ text: 'a' }, '', { prompt: 'p', completion: 'c' }],
      /:3: this row is .*data\.jsonl:1 is \{"text"\}/,
    ],
    ['an unknown row', [{ question: 'q' }], /:1: unknown row with fields \["question"\]; expected one of .*"messages"/],
    ['a contradiction', [{ text: 't', label: 1 }], /:1: a row cannot have both "text" and "label"/],
    ['broken JSON', [{ text: 'a' }, '{"text": '], /:2: the line is not valid JSON/],
    ['a list', ['[1]'], /:1: expected a JSON object on each line; got \[1\]/],
    ['an empty completion', [{ prompt: 'p', completion: ' ' }], /:1: "completion" is empty/],
    ['an empty file', ['', '  '], /data\.jsonl holds no examples/],
    ['an unknown speaker', [{ conversations: [{ from: 'robot', value: 'x' }] }], /:1: "from" must be one of human/],
    [
      'a conversation without answer',
      [{ messages: [{ role: 'user', content: 'x' }] }],
      /:1: the last message must be the assistant's/,
    ],
    [
      'a template that rewrites the prompt',
      [
        {
          messages: [
            { role: 'user', content: 'x' },
            { role: 'assistant', content: 'y' },
          ],
        },
      ],
      /:1: the model's chat template writes the conversation differently/,
    ],
  ];
  test.each(cases)('%s', async (_name, lines, message) => {
    await expect(load(lines, chat)).rejects.toMatchObject({
      name: 'SubzeroError',
      message: expect.stringMatching(message),
    });
  });

  test('a failing template is reported with the line', async () => {
    const messages = [{ role: 'assistant', content: 'y' }];
    await expect(load([{ messages }])).rejects.toThrow(/:1: a conversation needs the chat template of a model/);
    const { SubzeroError } = await import('../../src/errors.ts');
    const refusing: ChatRenderer = {
      renderChat: () => Promise.reject(new SubzeroError('unsupported', 'no template')),
    };
    await expect(load([{ messages }], refusing)).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/:1: no template/),
    });
  });

  test('a file that is missing', async () => {
    await expect(loadDataset({ file: join(directory, 'none.jsonl') })).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('readLines', () => {
  async function lines(content: string | Uint8Array, limit?: number) {
    await writeFile(file, content);
    const result: [number, string][] = [];
    for await (const { text, number } of readLines(file, limit)) result.push([number, text]);
    return result;
  }

  test('understands a byte order mark, CRLF, blank lines and a missing last line end', async () => {
    expect(await lines('\uFEFFa\r\n\r\n \nb\u2028c\n\uFEFFd')).toEqual([
      [1, 'a'],
      [4, 'b\u2028c'],
      [5, '\uFEFFd'],
    ]);
    expect(await lines('')).toEqual([]);
  });

  test('joins what the chunks of the stream cut, within characters too', async () => {
    const long = '日本'.repeat(40_000);
    expect(await lines(`x\n${long}\ny\n`)).toEqual([
      [1, 'x'],
      [2, long],
      [3, 'y'],
    ]);
  });

  test('bounds the length of a line and refuses what is not UTF-8', async () => {
    expect(await lines('12345\n12345\n', 5)).toHaveLength(2);
    await expect(lines('12345\n123456\n', 5)).rejects.toThrow(/data\.jsonl:2: the line is longer than 5 bytes/);
    await expect(lines(Uint8Array.of(0x61, 0x0a, 0xff, 0x0a))).rejects.toThrow(
      /data\.jsonl:2: the line is not valid UTF-8: byte 1 of it is 0xFF; write the file in UTF-8, or convert it/,
    );
  });

  test('limit stops the reading early', async () => {
    await writeFile(file, `{"text": "a"}\n{"text": "b"}\nbroken`);
    expect((await loadDataset({ file }, { limit: 2 })).examples).toHaveLength(2);
  });
});
