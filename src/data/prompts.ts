/**
 * Rows of which only the prompt is given to a model, and all of which a grader sees.
 *
 * @module
 */

import type { ChatRenderer } from './conversation.ts';
import { readMessage, readTools } from './conversation.ts';
import type { Example } from './example.ts';
import { detectFormat } from './formats.ts';
import type { Row } from './row.ts';
import { recordsField, rowError, textField } from './row.ts';

/** What a row must have, for error texts. */
export const promptShapes = 'a "prompt", "messages" that end before the answer, or a row of another format';

/**
 * The prompt of a row. Of a conversation that ends with the assistant's turn it is what stands before this turn, as
 * OpenAI's reinforcement rows and rows for supervised training have it; of any other format it is that format's prompt.
 */
export async function readPrompt(row: Row, chat: ChatRenderer | undefined): Promise<Example> {
  if ('messages' in row.value || Array.isArray(row.value.prompt)) {
    return readTurns(row, 'messages' in row.value ? 'messages' : 'prompt', chat);
  }
  const others = Object.keys(row.value).filter((field) => field !== 'prompt');
  const isOtherFormat = ['options', 'completion', 'chosen', 'conversations', 'instruction'].some((field) =>
    others.includes(field),
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
