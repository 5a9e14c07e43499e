/**
 * The check of one line of a training file, by the same readers that training uses.
 *
 * @module
 */

import type { ChatRenderer } from '../../src/data/conversation.ts';
import { detectFormat, type Format } from '../../src/data/formats.ts';
import { isPromptRow, promptFormat, readPrompt } from '../../src/data/prompts.ts';
import { isRecord, makeRow, type Row, rowError, show } from '../../src/data/row.ts';

/**
 * Stands in for a model's chat template, which only training knows: an upload belongs to no model yet. It writes
 * conversations so that the reader's own checks apply and nothing else can fail.
 */
const plainChat: ChatRenderer = {
  renderChat: async (messages, { tools = [], addGenerationPrompt = false } = {}) => {
    const text = messages.map(({ role, ...rest }) => `${role}: ${JSON.stringify(rest)}\n`).join('');
    return `${JSON.stringify(tools)}\n${text}${addGenerationPrompt ? 'assistant: ' : ''}`;
  },
};

/**
 * @param text one line without its line end
 * @param source where it stands, as `file:line`
 * @returns its format; a promise of it for conversations
 * @throws SubzeroError `invalid_data` that begins with the source
 */
export function checkExample(text: string, source: string): Format | Promise<Format> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw rowError({ source }, `the line is not valid JSON: ${(error as Error).message}`);
  }
  if (!isRecord(value)) throw rowError({ source }, `expected a JSON object on each line; got ${show(value)}`);
  return checkRow(makeRow(value, source));
}

/**
 * The same for a row that is read already. A row that ends before the answer is one for training by rewards, which only
 * a job can tell from a mistake.
 */
export function checkRow(row: Row): Format | Promise<Format> {
  if (isPromptRow(row)) return readPrompt(row, plainChat).then(() => promptFormat);
  const format = detectFormat(row);
  const example = format.read(row, { chat: plainChat, learn: 'all' });
  return example instanceof Promise ? example.then(() => format) : format;
}
