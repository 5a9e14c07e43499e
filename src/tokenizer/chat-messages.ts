/**
 * A conversation as transformers hands it to a chat template.
 *
 * @module
 */

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
