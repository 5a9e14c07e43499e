import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkExample } from '../../server/files/examples.ts';
import type { ChatRenderer } from '../../src/data/conversation.ts';
import type { Example, Learn } from '../../src/data/example.ts';
import { loadDataset } from '../../src/data/load.ts';
import { tokenizeExamples } from '../../src/data/tokenize.ts';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { defaultConfiguration } from '../../src/settings/configuration.ts';
import { loadTokenizer } from '../../src/tokenizer/index.ts';
import { decodeHeader, encodeHeader, type JournalHeader } from '../../src/zo/journal-format.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'subzero-conversation-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** As `[role]content` with every field that a message has, and an end to each turn. */
const chat: ChatRenderer = {
  renderChat: async (messages, { tools = [], addGenerationPrompt = false } = {}) => {
    const turns = messages.map(({ role, content, tool_calls: calls = [], reasoning_content: thought }) => {
      const called = calls.map(({ function: { name, arguments: given } }) => `{${name} ${JSON.stringify(given)}}`);
      return `[${role}]${thought ? `<${thought}>` : ''}${content}${called.join('')};`;
    });
    const start = tools.length > 0 ? JSON.stringify(tools) : '';
    return `${start}${turns.join('')}${addGenerationPrompt ? '[assistant]' : ''}`;
  },
};

async function read(row: object, options: { learn?: Learn; chat?: ChatRenderer } = {}): Promise<Example> {
  const file = join(folder, 'rows.jsonl');
  await writeFile(file, `${JSON.stringify(row)}\n`);
  return (await loadDataset({ file }, { chat, ...options })).examples[0]!;
}

/** The texts that are learnt. */
function learnt({ completion = '', spans = [[0, completion.length]] }: Example): string[] {
  return spans.map(([start, end]) => completion.slice(start, end));
}

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string, more: object = {}) => ({ role: 'assistant', content, ...more });

describe('which turns are learnt', () => {
  const messages = [user('a'), assistant('b'), user('c'), assistant('d')];

  test('all of them, or the last', async () => {
    const all = await read({ messages });
    expect(all.prompt).toBe('[user]a;[assistant]');
    expect(learnt(all)).toEqual(['b;', 'd;']);
    const last = await read({ messages }, { learn: 'last' });
    expect([last.prompt, learnt(last), last.spans]).toEqual([
      '[user]a;[assistant]b;[user]c;[assistant]',
      ['d;'],
      undefined,
    ]);
  });

  test('not those of weight 0', async () => {
    const first = await read({
      messages: [user('a'), assistant('b', { weight: 0 }), user('c'), assistant('d', { weight: 1 })],
    });
    expect([first.prompt, learnt(first)]).toEqual(['[user]a;[assistant]b;[user]c;[assistant]', ['d;']]);
    const last = await read({ messages: [user('a'), assistant('b'), user('c'), assistant('d', { weight: 0 })] });
    expect([last.prompt, last.completion]).toEqual(['[user]a;[assistant]', 'b;']);
    await expect(read({ messages: [user('a'), assistant('b', { weight: 0 })] })).rejects.toThrow(
      /rows.jsonl:1: nothing is learnt: every assistant message has "weight": 0/,
    );
    await expect(read({ messages: [user('a'), assistant('b', { weight: 0.5 })] })).rejects.toThrow(
      /"weight" must be 0 or 1/,
    );
    await expect(read({ messages: [{ ...user('a'), weight: 1 }, assistant('b')] })).rejects.toThrow(
      /for assistant messages/,
    );
  });

  test('a template that writes earlier turns otherwise is refused, and told how to go on', async () => {
    // As templates of reasoning models: what was thought is written in the last turn only.
    const forgetful: ChatRenderer = {
      renderChat: (given, options) =>
        chat.renderChat(
          given.map((message, index) =>
            index < given.length - 1 ? { ...message, reasoning_content: undefined as never } : message,
          ),
          options,
        ),
    };
    const thinking = [user('a'), assistant('b', { reasoning_content: 'hm' }), user('c'), assistant('d')];
    await expect(read({ messages: thinking }, { chat: forgetful })).rejects.toThrow(
      /writes message 2 otherwise once others follow it.*"weight": 0.*--learn last/,
    );
    expect(learnt(await read({ messages: thinking }, { chat: forgetful, learn: 'last' }))).toEqual(['d;']);
  });
});

describe('fields of messages and rows', () => {
  test('null is absent, wherever a table puts it', async () => {
    expect(await read({ instruction: 'a', input: null, output: 'b', history: null })).toMatchObject({
      completion: 'b',
    });
    expect(await read({ prompt: 'a', completion: 'b', options: null, label: null })).toMatchObject({
      completion: ' b',
    });
    const empty = { name: null, tool_calls: null, function_call: null, weight: null, refusal: null, audio: null };
    const row = { messages: [{ ...user('a'), ...empty }, assistant('b', empty)], tools: null, conversations: null };
    expect(learnt(await read(row))).toEqual(['b;']);
    expect(await checkExample(JSON.stringify(row), 'f:1')).toMatchObject({ name: 'messages' });
  });

  test('calls of tools and the tools beside them are part of the text', async () => {
    const call = { id: 'c1', type: 'function', function: { name: 'look', arguments: '{"x": null}' } };
    const row = {
      tools: [{ type: 'function', function: { name: 'look' } }],
      messages: [
        user('a'),
        { role: 'assistant', content: null, tool_calls: [call] },
        { role: 'tool', tool_call_id: 'c1', content: '7' },
        assistant('b', { tool_calls: [] }),
      ],
    };
    const example = await read(row);
    expect(example.prompt).toBe('[{"type":"function","function":{"name":"look"}}][user]a;[assistant]');
    expect(learnt(example)).toEqual(['{look {"x":null}};', 'b;']);
    expect(await checkExample(JSON.stringify(row), 'f:1')).toMatchObject({ name: 'messages' });
  });

  test('a template that leaves them out is refused', async () => {
    const plain: ChatRenderer = { renderChat: async (given) => given.map(({ content }) => content).join('') };
    const call = { type: 'function', function: { name: 'look', arguments: {} } };
    await expect(
      read(
        { messages: [user('a'), assistant('x', { tool_calls: [call] }), user('c'), assistant('b')] },
        { chat: plain },
      ),
    ).rejects.toThrow(/rows.jsonl:1: .*leaves out messages.1.tool_calls.0/);
    await expect(
      read({ messages: [user('a'), assistant('b', { reasoning_content: 'hm' })] }, { chat: plain }),
    ).rejects.toThrow(/leaves out "reasoning_content" of message 2/);
    await expect(
      read({ tools: [{ type: 'function' }], messages: [user('a'), assistant('b')] }, { chat: plain }),
    ).rejects.toThrow(/leaves out "tools"/);
  });

  test.each([
    [{ messages: [user('a'), assistant('b', { mood: 'good' })] }, /unknown field "mood" of a message/],
    [{ messages: [user('a'), assistant('b', { function_call: { name: 'f' } })] }, /write "tool_calls"/],
    [{ messages: [user('a'), assistant('b')], functions: [{}] }, /write "tools"/],
    [{ messages: [user('a'), assistant('b', { tool_calls: [{ function: {} }] })] }, /expected a string in "name"/],
    [{ conversations: [{ from: 'human', value: 'a', loss: 1 }] }, /unknown field "loss" of a turn/],
    [{ instruction: 'a', output: 'b', history: [['x']] }, /"history" must be a list of pairs/],
    [{ conversations: [{ from: 'system', value: 'a' }], system: 'b' }, /a system prompt in "system" and one in/],
  ])('%j is refused', async (row, message) => {
    await expect(read(row)).rejects.toThrow(message);
  });

  test('ShareGPT: a system prompt beside the turns, calls and observations', async () => {
    const example = await read({
      system: 's',
      conversations: [
        { from: 'human', value: 'a' },
        { from: 'function_call', value: '{"name": "look", "arguments": {"y": 1}}' },
        { from: 'observation', value: '7' },
        { from: 'gpt', value: 'b' },
      ],
    });
    expect(example.prompt).toBe('[system]s;[user]a;[assistant]');
    expect(learnt(example)).toEqual(['{look {"y":1}};', 'b;']);
  });

  test('Alpaca: a system prompt in place of the preamble, and history', async () => {
    const row = { system: 'Be brief.', instruction: 'c', output: 'd', history: [['a', 'b']] };
    const example = await read(row);
    expect(example.prompt).toBe('Be brief.\n\n### Instruction:\na\n\n### Response:\n');
    expect(learnt(example)).toEqual(['b', 'd']);
    expect((await read(row, { learn: 'last' })).prompt).toMatch(
      /### Response:\nb\n\n### Instruction:\nc\n\n### Response:\n$/,
    );
  });

  test('columns that nothing is read from are named', async () => {
    const file = join(folder, 'more.jsonl');
    await writeFile(
      file,
      '{"prompt": "a", "completion": "b", "id": 1}\n{"prompt": "a", "completion": "b", "score": 2}\n',
    );
    expect((await loadDataset({ file })).unread).toEqual(['id', 'score']);
  });
});

const reviews = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));

describe('tokens', async () => {
  const tokenizer = await loadTokenizer(reviews);
  const row = { messages: [user('x y z'), assistant(' one two'), user('w'), assistant(' three')] };

  test('those of learnt turns count', async () => {
    const example = await read(row, { chat: tokenizer });
    const { examples } = tokenizeExamples(tokenizer, [example], { contextLength: 256 });
    const { continuations } = examples[0]!;
    const [{ ids, positions = [], scored }] = continuations as [(typeof continuations)[number]];
    expect(scored).toBe(positions.length);
    expect(tokenizer.decode(positions.map((place) => ids[place]!))).toBe(' one two three');
  });

  test('a text that is too long loses its beginning, learnt turns too, but not the last', async () => {
    const example = await read(row, { chat: tokenizer });
    const whole = tokenizer.encode(example.prompt + example.completion!).length;
    const cut = tokenizeExamples(tokenizer, [example], { contextLength: whole - 3 });
    const [{ prompt, continuations }] = cut.examples as [(typeof cut.examples)[number]];
    expect(cut.truncated).toBe(1);
    expect(prompt.length + continuations[0]!.ids.length).toBe(whole - 3);
    const { ids, positions = [] } = continuations[0]!;
    expect(tokenizer.decode(positions.map((place) => ids[place]!))).toMatch(/ three$/);
    expect(() => tokenizeExamples(tokenizer, [example], { contextLength: 2 })).toThrow(/leaves no room for it/);
  });
});

test('the loss is that of a mask of labels in PyTorch', async () => {
  const golden = JSON.parse(
    await readFile(new URL('../fixtures/golden/conversations.json', import.meta.url), 'utf8'),
  ) as { messages: object[]; all: number; last: number }[];
  const engine = new LocalEngine(await Gpu.open());
  try {
    await engine.loadModel({ id: 'model', path: reviews });
    for (const [index, { messages, ...losses }] of golden.entries()) {
      const file = join(folder, `golden-${index}.jsonl`);
      await writeFile(file, `${JSON.stringify({ messages })}\n`);
      for (const learn of ['all', 'last'] as const) {
        const { loss } = await engine.evaluate({ model: 'model', data: { file }, learn });
        expect(Math.abs(loss - losses[learn]), `row ${index}, ${learn}`).toBeLessThan(1e-5);
      }
    }
  } finally {
    await engine.close();
  }
});

test('a journal that is silent about it learnt the last turn', () => {
  const { learn, ...configuration } = defaultConfiguration;
  const header = {
    ...{ packageVersion: '0.1.0', basePath: 'm', baseFingerprint: 'f', dataFingerprint: 'd', adapter: 'a', extra: {} },
    configuration,
  } as unknown as JournalHeader;
  expect(learn).toBe('all');
  expect(decodeHeader(encodeHeader(header), 'journal').header.configuration.learn).toBe('last');
});
