import { describe, expect, test } from 'vitest';
import type { ChatRenderer } from '../../src/data/conversation.ts';
import type { Example } from '../../src/data/example.ts';
import { detectFormat } from '../../src/data/formats.ts';
import { makeRow } from '../../src/data/row.ts';
import { tokenizeExamples } from '../../src/data/tokenize.ts';

/** As `[role]content;`, with the tools in front. */
const chat: ChatRenderer = {
  renderChat: async (messages, { tools = [], addGenerationPrompt = false } = {}) => {
    const turns = messages.map(({ role, content }) => `[${role}]${content};`);
    const front = tools.length > 0 ? JSON.stringify(tools) : '';
    return `${front}${turns.join('')}${addGenerationPrompt ? '[assistant]' : ''}`;
  },
};

async function read(value: Record<string, unknown>, renderer: ChatRenderer | undefined = chat): Promise<Example> {
  const row = makeRow(value, 'rows.jsonl:7');
  return detectFormat(row).read(row, { chat: renderer, learn: 'all' });
}

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });
const asked = '[user]sky?;[assistant]';

describe('rows of TRL', () => {
  test.each([
    ['a prompt and two texts', { prompt: 'sky:', chosen: 'blue', rejected: 'green' }, 'sky:', [' blue', ' green']],
    [
      'texts that hold their prompt',
      { chosen: 'It is  blue.', rejected: 'It is  black.' },
      'It is',
      ['  blue.', '  black.'],
    ],
    ['texts with nothing in common', { chosen: 'blue', rejected: 'black' }, '', ['blue', 'black']],
    ['a text that goes on', { chosen: 'so it is', rejected: 'so it' }, 'so', [' it is', ' it']],
    [
      'messages after a prompt',
      { prompt: [user('sky?')], chosen: [assistant('blue')], rejected: [assistant('green')] },
      asked,
      ['blue;', 'green;'],
    ],
    [
      'messages and two texts',
      { messages: [user('sky?')], chosen: 'blue', rejected: 'green' },
      asked,
      ['blue;', 'green;'],
    ],
    [
      'conversations that hold their prompt, beside one more column each of it',
      {
        ...{ prompt: 'sky?', messages: [user('sky?'), assistant('blue')], prompt_id: '1', score_chosen: 7 },
        ...{ chosen: [user('sky?'), assistant('blue')], rejected: [user('sky?'), assistant('green')] },
      },
      asked,
      ['blue;', 'green;'],
    ],
    [
      'lists as JSON texts, as tables have them',
      {
        prompt: JSON.stringify([user('sky?')]),
        chosen: JSON.stringify([assistant('a')]),
        rejected: JSON.stringify([assistant('b')]),
      },
      asked,
      ['a;', 'b;'],
    ],
  ])('%s', async (_, row, prompt, options) => {
    expect(await read(row)).toMatchObject({ prompt, options, label: 0, preference: true });
  });
});

test("OpenAI's rows, with tools", async () => {
  const tools = [{ type: 'function', function: { name: 'look' } }];
  const row = {
    input: { messages: [user('sky?')], tools, parallel_tool_calls: true },
    ...{ preferred_output: [assistant('blue')], non_preferred_output: [assistant('green')] },
  };
  expect(await read(row)).toEqual({
    ...{ prompt: `${JSON.stringify(tools)}${asked}`, options: ['blue;', 'green;'] },
    ...{ label: 0, preference: true, isRendered: true },
  });
});

describe('refused, with the row named', () => {
  test.each([
    [
      'equal texts',
      { prompt: 'sky', chosen: 'blue', rejected: 'blue' },
      'are the same: "blue"; there is nothing to prefer',
    ],
    ['equal texts without a prompt', { chosen: 'It is blue', rejected: 'It is blue' }, 'are the same'],
    [
      'equal messages',
      { prompt: [user('a')], chosen: [assistant('b')], rejected: [assistant('b')] },
      'the chosen and the rejected answer are the same: "b;"',
    ],
    ['a text and messages', { prompt: 'a', chosen: 'b', rejected: [assistant('b')] }, 'must be two texts or two lists'],
    ['an empty answer', { prompt: 'a', chosen: ' ', rejected: 'b' }, '"chosen" is empty'],
    [
      'messages without those before',
      { chosen: [assistant('a')], rejected: [assistant('b')] },
      'need those before them',
    ],
    [
      'several answers',
      { prompt: [user('a')], chosen: [assistant('b'), user('c'), assistant('d')], rejected: [assistant('e')] },
      'each answer must be one message of the assistant\'s; got messages of ["assistant","user","assistant"]',
    ],
    ['an answer of the user', { chosen: [user('a')], rejected: [user('b')] }, 'got messages of ["user"]'],
    [
      'an unknown field of the input',
      { input: { messages: [user('a')], user: 'me' }, preferred_output: [assistant('b')], non_preferred_output: [] },
      'unknown field "user" of "input"',
    ],
    [
      'a completion besides',
      { prompt: 'a', chosen: 'b', rejected: 'c', completion: 'd' },
      'both "chosen" and "completion"',
    ],
  ])('%s', async (_, row, message) => {
    const reading = read(row);
    await expect(reading).rejects.toThrow('rows.jsonl:7: ');
    await expect(reading).rejects.toThrow(message);
  });

  test('a template that writes what is before the answers by what they are', async () => {
    const fickle: ChatRenderer = {
      renderChat: async (messages, options) =>
        `${messages.at(-1)!.content.length}${await chat.renderChat(messages, options)}`,
    };
    const row = { prompt: [user('a')], chosen: [assistant('long')], rejected: [assistant('b')] };
    await expect(read(row, fickle)).rejects.toThrow('rows.jsonl:7: ');
  });

  test('answers that become the same tokens', () => {
    const encoder = {
      ...{ addsBosToken: false, bosTokenId: undefined },
      encode: (text: string) => [...text.toLowerCase()].map((character) => character.charCodeAt(0)),
    };
    const example: Example = { prompt: 'a', options: [' B', ' b'], label: 0, preference: true, source: 'rows.jsonl:7' };
    expect(() => tokenizeExamples(encoder, [example], { contextLength: 9 })).toThrow(
      'rows.jsonl:7: the chosen and the rejected answer are the same tokens',
    );
    const [whole] = tokenizeExamples(encoder, [{ ...example, options: [' b', ' cd'] }], { contextLength: 9 }).examples;
    expect(whole).toMatchObject({ kind: 'preference', label: 0, continuations: [{ scored: 2 }, { scored: 3 }] });
  });
});
