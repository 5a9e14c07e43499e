/**
 * Rows as requests to an endpoint, and its answers as rows to train on.
 *
 * @module
 */

import { makeRow, parsedList, type Row, recordsField, rowError, show, stringField, textField } from '../data/row.ts';

/** Which of OpenAI's endpoints is asked. */
export const endpoints = { chat: '/chat/completions', completions: '/completions' } as const;
export type EndpointName = keyof typeof endpoints;

/** What a prompt is, apart from the settings that all have in common. */
export type Prompt = { messages: Record<string, unknown>[]; tools?: unknown } | { prompt: string };

/** A row of a golden set, or why an answer makes none. */
export type Golden = { row: Record<string, unknown> } | { unusable: string };

/**
 * The prompt of a row: its `messages` without the answer of an assistant at their end, or its `prompt`, which a chat
 * has as a user's message. Answers of the row play no part.
 * @param system put in front of conversations that have no system message of their own
 * @throws SubzeroError `invalid_data` with the row's place
 */
export function promptOf(row: Row, endpoint: EndpointName, system: string | undefined): Prompt {
  if (!('messages' in row.value)) {
    const prompt = textField(row, 'prompt');
    if (endpoint === 'completions') return { prompt };
    return { messages: withSystem([{ role: 'user', content: prompt }], system) };
  }
  if (endpoint === 'completions') {
    throw rowError(row, 'a conversation cannot be sent to /completions; expected a "prompt", or the endpoint chat');
  }
  const messages = recordsField(row, 'messages').map(({ value }) => withoutTraining(value));
  if (messages.at(-1)?.role === 'assistant') messages.pop();
  if (messages.length === 0) throw rowError(row, '"messages" holds no question: nothing but an answer');
  for (const message of messages) stringField(makeRow(message, row.source), 'role');
  const tools = parsedList(row.value.tools);
  if (tools !== undefined && !Array.isArray(tools))
    throw rowError(row, `expected a list in "tools"; got ${show(tools)}`);
  return {
    messages: withSystem(messages, system),
    ...(Array.isArray(tools) && tools.length > 0 ? { tools } : {}),
  };
}

/** What trainers read of a message, and endpoints refuse. */
function withoutTraining({ weight: _, ...message }: Record<string, unknown>): Record<string, unknown> {
  return message;
}

function withSystem(messages: Record<string, unknown>[], system: string | undefined): Record<string, unknown>[] {
  const hasOne = messages.some(({ role }) => role === 'system' || role === 'developer');
  return system === undefined || hasOne ? messages : [{ role: 'system', content: system }, ...messages];
}

/** What a golden set keeps of an answer beside its row. */
export interface AnswerFacts {
  finishReason: string | null;
  /** The name that the endpoint has for what answered. */
  model: string | null;
  promptTokens: number;
  completionTokens: number;
}

/** Reads an answer of the endpoint. */
export function goldenOf(prompt: Prompt, answer: unknown): Golden & AnswerFacts {
  const { choices, model, usage } = (answer ?? {}) as Partial<{
    choices: { message?: Record<string, unknown>; text?: unknown; finish_reason?: string | null }[];
    model: unknown;
    usage: { prompt_tokens?: number; completion_tokens?: number };
  }>;
  const choice = Array.isArray(choices) ? choices[0] : undefined;
  const facts: AnswerFacts = {
    finishReason: choice?.finish_reason ?? null,
    model: typeof model === 'string' ? model : null,
    promptTokens: usage?.prompt_tokens ?? 0,
    completionTokens: usage?.completion_tokens ?? 0,
  };
  const unusable = (why: string): Golden & AnswerFacts => ({ unusable: why, ...facts });
  if (!choice) return unusable(`the answer has no choices: ${show(answer)}`);
  if (choice.finish_reason === 'content_filter') return unusable('the answer was held back by a content filter');
  if ('prompt' in prompt) {
    const { text } = choice;
    if (typeof text !== 'string' || text.trim() === '') return unusable('the answer is empty');
    return { row: { prompt: prompt.prompt, completion: text }, ...facts };
  }
  const { content, tool_calls: calls, refusal } = choice.message ?? {};
  if (typeof refusal === 'string' && refusal !== '') return unusable(`the model refuses: ${show(refusal)}`);
  const called = Array.isArray(calls) && calls.length > 0;
  const isText = typeof content === 'string' && content.trim() !== '';
  if (!isText && !called) return unusable('the answer is empty');
  const message = { role: 'assistant', content: isText ? content : '', ...(called ? { tool_calls: calls } : {}) };
  const { messages, tools } = prompt;
  // Earlier answers were not the model's of today: they are read, and not learnt.
  const before = messages.map((each) => (each.role === 'assistant' ? { ...each, weight: 0 } : each));
  return { row: { messages: [...before, message], ...(tools === undefined ? {} : { tools }) }, ...facts };
}
