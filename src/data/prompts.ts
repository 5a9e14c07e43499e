/**
 * Rows of which only the prompt is given to a model, and all of which a grader sees.
 *
 * @module
 */

import type { ChatRenderer } from './conversation.ts';
import { readMessage, readTools } from './conversation.ts';
import type { Example } from './example.ts';
import { detectFormat, type Format } from './formats.ts';
import type { Row } from './row.ts';
import { isRecord, recordsField, rowError, textField } from './row.ts';

/** The format of rows whose answer is generated. */
export const promptFormat: Format = {
  ...{ name: 'prompt', kind: 'prompt', fields: ['prompt'] },
  shape: '{"prompt"} or {"messages": [..., {"role": "user", "content"}]}, and what a grader asks for',
  read: (row, { chat }) => readPrompt(row, chat),
};

/** Whether a row holds a prompt and nothing that could be learnt as its answer. */
export function isPromptRow({ value }: Row): boolean {
  const { messages } = value;
  if (Array.isArray(messages)) {
    const last: unknown = messages.at(-1);
    const turns = isRecord(last) && last.role !== 'assistant';
    return turns && !('chosen' in value) && !('rejected' in value);
  }
  return (
    'prompt' in value &&
    !['options', 'completion', 'chosen', 'rejected', 'label', 'text'].some((field) => field in value)
  );
}

/** What a row must have, for error texts. */
const promptShapes = 'a "prompt", "messages" that end before the answer, or a row of another format';

/**
 * The prompt of a row. Of a conversation that ends with the assistant's turn it is what stands before this turn, as
 * OpenAI's reinforcement rows and rows for supervised training have it; of any other format it is that format's prompt.
 */
export async function readPrompt(row: Row, chat: ChatRenderer | undefined): Promise<Example> {
  if ('messages' in row.value || Array.isArray(row.value.prompt)) {
    return readTurns(row, 'messages' in row.value ? 'messages' : 'prompt', chat);
  }
  const others = Object.keys(row.value).filter((field) => field !== 'prompt');
  const isOtherFormat = ['options', 'completion', 'chosen', 'preferred_output', 'conversations', 'instruction'].some(
    (field) => others.includes(field),
  );
  if ('prompt' in row.value) return { prompt: textField(row, 'prompt') };
  if (!isOtherFormat) throw rowError(row, `expected ${promptShapes}`);
  const { prompt, isRendered } = await detectFormat(row).read(row, { chat, learn: 'last' });
  return { prompt, ...(isRendered ? { isRendered } : {}) };
}

async function readTurns(row: Row, field: string, chat: ChatRenderer | undefined): Promise<Example> {
  if (!chat) throw rowError(row, `"${field}" needs a tokenizer with a chat template`);
  const messages = recordsField(row, field).map((message) => readMessage(message).message);
  if (messages.at(-1)?.role === 'assistant') messages.pop();
  if (messages.length === 0) throw rowError(row, `"${field}" holds no message before the answer`);
  const tools = readTools(row);
  const prompt = await chat.renderChat(messages, {
    addGenerationPrompt: true,
    ...(tools.length > 0 ? { tools } : {}),
  });
  return { prompt, isRendered: true };
}
