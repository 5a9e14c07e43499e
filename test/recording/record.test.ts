import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadDataset } from '../../src/data/load.ts';
import { Endpoint } from '../../src/recording/endpoint.ts';
import { promptOf } from '../../src/recording/prompts.ts';
import { type RecordEvent, type RecordRequest, record } from '../../src/recording/record.ts';
import { splitRows } from '../../src/recording/split.ts';
import { chatAnswer, question, type Reply, standIn } from './stand-in.ts';

const root = mkdtempSync(join(tmpdir(), 'subzero-record-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let made = 0;

function rows(values: object[]): string {
  const file = join(root, `prompts-${made++}.jsonl`);
  writeFileSync(file, values.map((value) => `${JSON.stringify(value)}\n`).join(''));
  return file;
}

const linesOf = (file: string): unknown[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));

function request(url: string, file: string, more: Partial<RecordRequest> = {}): RecordRequest {
  const out = join(root, `recording-${made++}`);
  return { ...{ file, out, baseUrl: url, endpoint: 'chat', model: 'teacher', settings: {}, concurrency: 3 }, ...more };
}

async function run(of: RecordRequest, signal = new AbortController().signal) {
  const events: RecordEvent[] = [];
  const endpoint = new Endpoint({ baseUrl: of.baseUrl, retries: 1, timeout: 5 });
  const figures = await record(endpoint, of, (event) => events.push(event), signal);
  return { figures, events };
}

test('answers become rows that train as they are, in the order of the prompts', async () => {
  const { url, asked } = await standIn(async (one) => {
    const text = question(one);
    // The later ones first.
    await new Promise((resolve) => setTimeout(resolve, text === 'one' ? 30 : 1));
    return chatAnswer(`to ${text}`);
  });
  const file = rows([
    { prompt: 'one', completion: 'not of interest' },
    { messages: [{ role: 'user', content: 'two' }] },
    {
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'first' },
        { role: 'assistant', content: 'aye', weight: 1 },
        { role: 'user', content: 'three' },
        { role: 'assistant', content: 'an older answer' },
      ],
    },
  ]);
  const of = request(url, file, { settings: { temperature: 0, max_completion_tokens: 9 }, system: 'You are kind.' });
  const { figures } = await run(of);
  expect(figures).toEqual({
    ...{ prompts: 3, rows: 3, unusable: 0, firstUnusable: null, cut: 0, promptTokens: 15, completionTokens: 6 },
    models: ['teacher-2026-01-01'],
  });
  const first = asked.find((one) => question(one) === 'one')!;
  expect(first.path).toBe('/v1/chat/completions');
  expect(first.body).toEqual({
    ...{ model: 'teacher', temperature: 0, max_completion_tokens: 9 },
    messages: [
      { role: 'system', content: 'You are kind.' },
      { role: 'user', content: 'one' },
    ],
  });
  const third = asked.find((one) => question(one) === 'three')!;
  expect(third.body.messages).toHaveLength(4);
  expect(JSON.stringify(third.body)).not.toContain('weight');
  const golden = linesOf(join(of.out, 'golden.jsonl')) as {
    messages: { role: string; content: string; weight?: number }[];
  }[];
  expect(golden.map(({ messages }) => messages.at(-1))).toEqual(
    ['one', 'two', 'three'].map((text) => ({ role: 'assistant', content: `to ${text}` })),
  );
  expect(golden[2]!.messages[2]).toEqual({ role: 'assistant', content: 'aye', weight: 0 });
  const chat = {
    renderChat: async (all: readonly { role: string; content: string }[], { addGenerationPrompt = false } = {}) =>
      all.map(({ role, content }) => `<${role}>${content}.`).join('') + (addGenerationPrompt ? '<assistant>' : ''),
  };
  const { examples } = await loadDataset({ file: join(of.out, 'golden.jsonl') }, { chat: chat as never });
  expect(examples[2]!.completion).toBe('to three.');
  const header = JSON.parse(readFileSync(join(of.out, 'recording.json'), 'utf8'));
  expect(header).toMatchObject({ model: 'teacher', baseUrl: url, settings: { temperature: 0 }, figures: { rows: 3 } });
});

test('a recording that could not begin leaves nothing behind', async () => {
  const { url } = await standIn(() => ({ status: 404, body: { error: { message: 'no model "teachr"' } } }));
  const of = request(url, rows([{ prompt: 'one' }, { prompt: 'two' }]));
  await expect(run(of)).rejects.toThrow(/no model "teachr"/);
  expect(existsSync(of.out)).toBe(false);
  // A folder that was there stays, with what is in it.
  mkdirSync(of.out);
  writeFileSync(join(of.out, 'notes.txt'), 'mine');
  await expect(run(of)).rejects.toThrow(/no model/);
  expect(readdirSync(of.out)).toEqual(['notes.txt']);
  // Answers are kept, whatever happens later.
  const { url: other } = await standIn((one) =>
    question(one) === 'two' ? { status: 404, body: {} } : chatAnswer(`to ${question(one)}`),
  );
  const begun = request(other, of.file, { concurrency: 1 });
  await expect(run(begun)).rejects.toThrow(/status 404/);
  expect(linesOf(join(begun.out, 'answers.jsonl'))).toHaveLength(1);
  expect(readdirSync(begun.out)).toContain('recording.json');
});

test('no prompt that has an answer is asked again, however it was interrupted', async () => {
  const values = Array.from({ length: 12 }, (_, index) => ({ prompt: `question ${index}` }));
  const abort = new AbortController();
  const { url, asked } = await standIn((one, count) => {
    if (count === 5) abort.abort();
    return chatAnswer(`to ${question(one)}`);
  });
  const of = request(url, rows(values));
  const first = await run(of, abort.signal);
  expect(first.figures).toBeUndefined();
  const before = asked.length;
  expect(before).toBeLessThan(12);
  // What was being written when the power failed is no answer.
  writeFileSync(
    join(of.out, 'answers.jsonl'),
    `${readFileSync(join(of.out, 'answers.jsonl'), 'utf8')}{"index": 11, "ro`,
  );
  const second = await run(of);
  expect(second.events[0]).toEqual({ type: 'start', prompts: 12, answered: before });
  expect(asked.map(question).toSorted()).toEqual(values.map(({ prompt }) => prompt).toSorted());
  expect(second.figures).toMatchObject({ rows: 12 });
  // And a third time nothing at all.
  expect((await run(of)).figures).toMatchObject({ rows: 12 });
  expect(asked).toHaveLength(12);
});

test('an endpoint that fails ends it; what was answered is kept', async () => {
  let isUp = false;
  const { url, asked } = await standIn((one): Reply => {
    if (!isUp && question(one) === 'b') return { status: 500, headers: { 'retry-after-ms': '1' }, body: 'down' };
    return chatAnswer('yes');
  });
  const of = request(url, rows([{ prompt: 'a' }, { prompt: 'b' }, { prompt: 'c' }]), { concurrency: 1 });
  await expect(run(of)).rejects.toMatchObject({ code: 'io', message: expect.stringContaining('status 500: down') });
  isUp = true;
  expect((await run(of)).figures).toMatchObject({ rows: 3 });
  expect(asked.map(question)).toEqual(['a', 'b', 'b', 'b', 'c']);
});

test('answers that make no row are counted and not asked for again', async () => {
  const call = { id: 'call_1', type: 'function', function: { name: 'look', arguments: '{"at": 1}' } };
  const replies: Record<string, Reply> = {
    refused: { status: 400, body: { error: { message: 'against the rules' } } },
    empty: chatAnswer(' '),
    unwilling: chatAnswer(null, { refusal: 'I will not' }),
    filtered: chatAnswer('x', {}, 'content_filter'),
    nothing: { body: { choices: [] } },
    long: chatAnswer('and so on', {}, 'length'),
    called: chatAnswer(null, { tool_calls: [call] }),
  };
  const { url, asked } = await standIn((one) => replies[question(one)]!);
  const of = request(url, rows(Object.keys(replies).map((prompt) => ({ prompt }))));
  const { figures, events } = await run(of);
  expect(figures).toMatchObject({ prompts: 7, rows: 2, unusable: 5, cut: 1 });
  expect(figures!.firstUnusable).toBe('status 400: against the rules');
  expect(events.filter((event) => event.type === 'answer' && event.unusable !== undefined)).toHaveLength(5);
  expect(linesOf(join(of.out, 'golden.jsonl'))[1]).toMatchObject({
    messages: [{}, { content: '', tool_calls: [call] }],
  });
  await run(of);
  expect(asked).toHaveLength(7);
});

test('texts are continued by /completions; columns have other names', async () => {
  const { url, asked } = await standIn(() => ({ body: { choices: [{ text: ' great\n', finish_reason: 'stop' }] } }));
  const of = request(url, rows([{ q: 'it was' }]), { endpoint: 'completions', reading: { columns: ['prompt=q'] } });
  await run(of);
  expect(asked[0]).toMatchObject({ path: '/v1/completions', body: { model: 'teacher', prompt: 'it was' } });
  expect(linesOf(join(of.out, 'golden.jsonl'))).toEqual([{ prompt: 'it was', completion: ' great\n' }]);
});

test('a folder belongs to one recording', async () => {
  const { url } = await standIn(() => chatAnswer('yes'));
  const of = request(url, rows([{ prompt: 'a' }]));
  await run(of);
  for (const [more, what] of [
    [{ settings: { temperature: 1 } }, 'differs in "settings"'],
    [{ model: 'other' }, 'differs in "model"'],
    [{ file: rows([{ prompt: 'b' }]) }, 'differs in "prompts"'],
  ] as const) {
    await expect(run({ ...of, ...more })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(what),
    });
  }
});

test('rows that are no prompts are named', () => {
  const of = (value: Record<string, unknown>) => promptOf({ value, source: 'p.jsonl:3' }, 'chat', undefined);
  expect(() => of({ question: 'a' })).toThrow(/p\.jsonl:3: expected a string in "prompt"/);
  expect(() => of({ messages: [{ role: 'assistant', content: 'a' }] })).toThrow(
    /p\.jsonl:3: "messages" holds no question/,
  );
  expect(() => of({ messages: [{ content: 'a' }] })).toThrow(/p\.jsonl:3: expected a string in "role"/);
  const chat = { value: { messages: [{ role: 'user', content: 'a' }] }, source: 'p.jsonl:3' };
  expect(() => promptOf(chat, 'completions', undefined)).toThrow(/cannot be sent to \/completions/);
});

test('rows are parted by a seed, and each is in one part', async () => {
  const file = rows(Array.from({ length: 20 }, (_, index) => ({ prompt: String(index), completion: 'x' })));
  const to = (name: string) => ({ train: join(root, `${name}-train.jsonl`), test: join(root, `${name}-test.jsonl`) });
  expect(await splitRows(file, to('a'), 0.25, 3)).toEqual({ train: 15, test: 5 });
  const parts = [linesOf(to('a').train), linesOf(to('a').test)] as { prompt: string }[][];
  const numbers = parts.map((part) => part.map(({ prompt }) => Number(prompt)));
  expect(numbers.flat().toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index));
  for (const part of numbers) expect(part).toEqual(part.toSorted((a, b) => a - b));
  await splitRows(file, to('b'), 0.25, 3);
  expect(readFileSync(to('b').test)).toEqual(readFileSync(to('a').test));
  expect(await splitRows(file, to('c'), 0.001, 0)).toEqual({ train: 19, test: 1 });
  await expect(splitRows(rows([{ prompt: 'a' }]), to('d'), 0.5, 0)).rejects.toThrow(/has 1 row/);
});
