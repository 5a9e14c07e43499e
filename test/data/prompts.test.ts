import { expect, test } from 'vitest';
import type { ChatRenderer } from '../../src/data/conversation.ts';
import { readPrompt } from '../../src/data/prompts.ts';

const chat: ChatRenderer = {
  renderChat: async (messages, { addGenerationPrompt } = {}) =>
    messages.map(({ role, content }) => `<${role}>${content}`).join('') + (addGenerationPrompt ? '<assistant>' : ''),
};

const read = (value: Record<string, unknown>, renderer: ChatRenderer | undefined = chat) =>
  readPrompt({ value, source: 'rows.jsonl:3' }, renderer);

test.each([
  [{ prompt: 'a b', answer: 'c' }, { prompt: 'a b' }],
  [{ prompt: 'a', completion: 'b' }, { prompt: 'a' }],
  [{ prompt: 'a', options: ['x', 'y'], label: 0 }, { prompt: 'a' }],
  [
    { messages: [{ role: 'user', content: 'hi' }], answer: 4 },
    { prompt: '<user>hi<assistant>', isRendered: true },
  ],
  [
    {
      messages: [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'ho' },
      ],
    },
    { prompt: '<user>hi<assistant>', isRendered: true },
  ],
  [
    {
      input: { messages: [{ role: 'user', content: 'hi' }] },
      preferred_output: [{ role: 'assistant', content: 'ho' }],
      non_preferred_output: [{ role: 'assistant', content: 'no' }],
    },
    { prompt: '<user>hi<assistant>', isRendered: true },
  ],
  [{ prompt: [{ role: 'user', content: 'hi' }] }, { prompt: '<user>hi<assistant>', isRendered: true }],
])('the prompt of %j', async (row, expected) => {
  expect(await read(row)).toEqual(expected);
});

test('an Alpaca row has the prompt of its format', async () => {
  const { prompt } = await read({ instruction: 'Add.', input: '1 and 2', output: '3' });
  expect(prompt).toMatch(/### Instruction:\nAdd\.[\s\S]*1 and 2[\s\S]*### Response:\n$/);
});

test.each([
  [{ question: 'a' }, /rows\.jsonl:3: expected a "prompt", "messages" that end before the answer/],
  [{ prompt: '  ' }, /"prompt" is empty/],
  [{ messages: [{ role: 'assistant', content: 'ho' }] }, /holds no message before the answer/],
])('refuses %j', async (row, expected) => {
  await expect(read(row)).rejects.toThrow(expected);
});

test('messages need a chat template', async () => {
  await expect(
    readPrompt({ value: { messages: [{ role: 'user', content: 'hi' }] }, source: 'rows.jsonl:3' }, undefined),
  ).rejects.toThrow(/needs a tokenizer with a chat template/);
});
