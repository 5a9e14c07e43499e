/**
 * A conversation as transformers hands it to a chat template.
 *
 * @module
 */

/** A chat message as the OpenAI API has it, text only, and as a chat template sees it. */
export interface ChatMessage {
  role: string;
  content: string;
  name?: string;
  tool_calls?: ToolCall[];
  /** The call that a message of the role `tool` answers. */
  tool_call_id?: string;
  /** What an assistant thought before its answer. */
  reasoning_content?: string;
}

/** A call that an assistant's turn made. */
export interface ToolCall {
  id?: string;
  type: 'function';
  function: { name: string; arguments: object };
}

/** The names that a message's reasoning comes under; templates read the first, and a few the second. */
const reasoningFields = ['reasoning_content', 'thinking', 'reasoning'];

/**
 * Messages without the fields that are null, which templates take for absent, and with their reasoning under the names
 * that templates read, as `apply_chat_template` of transformers 5.24 does.
 */
export function templateMessages(messages: readonly object[]): Record<string, unknown>[] {
  return messages.map((message) => {
    const entries = Object.entries(message).filter(([, value]) => value !== null && value !== undefined);
    const present: Record<string, unknown> = Object.fromEntries(entries);
    const field = reasoningFields.find((name) => present[name] !== undefined);
    if (field === undefined) return present;
    const reasoning = present[field];
    return { thinking: reasoning, ...present, reasoning_content: reasoning };
  });
}
