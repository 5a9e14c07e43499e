/**
 * Whether a chat template writes the calls of tools that a conversation tells of: templates that know of none leave
 * them out and say nothing.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { ChatMessage, ToolCall } from './chat-messages.ts';

/**
 * Renders the conversation once more, with a mark in place of every called name and every answer of a tool, and looks
 * for the marks. Does nothing for a conversation without either, or where the template refuses the marks.
 * @throws SubzeroError `unsupported` that names the first message of which something is left out
 */
export async function checkToolHistory(
  messages: readonly ChatMessage[],
  render: (messages: readonly ChatMessage[]) => Promise<string>,
): Promise<void> {
  const fields = new Map<string, string>();
  const mark = (field: string): string => {
    const text = `subzero_mark_${fields.size}_end`;
    fields.set(text, field);
    return text;
  };
  const marked = messages.map((message, index): ChatMessage => {
    const { role, tool_calls: calls } = message;
    const path = `messages.${index}`;
    return {
      ...message,
      ...(role === 'tool' ? { content: mark(`${path}.content`) } : {}),
      ...(calls ? { tool_calls: calls.map((call, place) => rename(call, mark(`${path}.tool_calls.${place}`))) } : {}),
    };
  });
  if (fields.size === 0) return;
  const text = await renderIfAccepted(render, marked);
  if (text === undefined) return;
  for (const [written, field] of fields) {
    if (text.includes(written)) continue;
    throw new SubzeroError(
      'unsupported',
      `the chat template of this model leaves out ${field}; write calls of tools and their answers as plain messages`,
      { parameter: field },
    );
  }
}

function rename(call: ToolCall, name: string): ToolCall {
  return { ...call, function: { ...call.function, name } };
}

async function renderIfAccepted(
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
