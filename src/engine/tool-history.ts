/**
 * Whether a chat template writes the calls of tools that a conversation tells of: templates without words for them drop them
 * without a word.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { ChatMessage } from './types.ts';

/** Stands for what a tool answered. */
const probe = 'what a tool answered';

/**
 * Compares what the template makes of the conversation with what it makes of others.
 * @param text what it makes of `messages`
 * @param render what it makes of other messages
 * @throws SubzeroError `unsupported` for calls, or answers of tools, that do not change the text
 */
export async function checkToolHistory(
  messages: readonly ChatMessage[],
  text: string,
  render: (messages: readonly ChatMessage[]) => Promise<string>,
): Promise<void> {
  const refuse = (what: string, index: number, field: string) =>
    new SubzeroError('unsupported', `the chat template of this model does not write ${what}; leave them out`, {
      parameter: `messages.${index}.${field}`,
    });
  const calling = messages.findIndex(({ tool_calls: calls }) => calls !== undefined);
  if (calling >= 0) {
    const without = messages.map(({ tool_calls: _, ...message }) => message);
    if ((await renderOrDiffer(render, without)) === text) throw refuse('calls of tools', calling, 'tool_calls');
  }
  const answering = messages.findIndex(({ role }) => role === 'tool');
  if (answering >= 0) {
    const other = messages.map((message) => (message.role === 'tool' ? { ...message, content: probe } : message));
    if ((await renderOrDiffer(render, other)) === text) throw refuse('answers of tools', answering, 'role');
  }
}

/** A template that refuses the other messages tells them apart. */
async function renderOrDiffer(
  render: (messages: readonly ChatMessage[]) => Promise<string>,
  messages: readonly ChatMessage[],
): Promise<string | undefined> {
  try {
    return await render(messages);
  } catch (error) {
    if (error instanceof SubzeroError && error.code === 'invalid_argument') return undefined;
    throw error;
  }
}
