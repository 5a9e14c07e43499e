/**
 * From the prompt or the messages of a request to what the engine generates from, with the limits on text.
 *
 * @module
 */

import { contextOverflow } from '../../src/context-overflow.ts';
import type { ChatMessage, GenerateRequest, ModelInfo, ToolCall } from '../../src/engine/types.ts';
import { invalid } from '../errors.ts';
import type { CompletionRequest } from '../schemas/generation.ts';
import { refuseUnsupported } from '../schemas/known-fields.ts';
import type { Messages } from '../schemas/messages.ts';
import { checkDepth } from '../schemas/nulls.ts';

/** Exactly one of text, token ids and messages. */
export type Prompt = Pick<GenerateRequest, 'prompt' | 'tokens' | 'messages' | 'templateVariables'>;

/** Counts characters before a tokenizer has to: texts far beyond any context would keep it busy. */
function checkLength(characters: number, maximum: number, { contextLength }: ModelInfo, param: string): void {
  if (characters <= maximum) return;
  throw contextOverflow(`it has ${characters} characters of at most ${maximum} here`, contextLength, param);
}

/** The prompts of a completion, or the inputs of an embedding, in order. */
export function completionPrompts(
  prompt: CompletionRequest['prompt'],
  model: ModelInfo,
  maxCharacters: number,
  param = 'prompt',
): Prompt[] {
  if (typeof prompt === 'string') {
    checkLength(prompt.length, maxCharacters, model, param);
    return [{ prompt }];
  }
  if (typeof prompt[0] === 'number') return [tokenPrompt(prompt as number[], model, param)];
  return (prompt as (string | number[])[]).map((item) => {
    if (typeof item !== 'string') return tokenPrompt(item, model, param);
    checkLength(item.length, maxCharacters, model, param);
    return { prompt: item };
  });
}

function tokenPrompt(tokens: number[], model: ModelInfo, param: string): Prompt {
  if (tokens.length > model.contextLength) {
    throw contextOverflow(`it has ${tokens.length} tokens`, model.contextLength, param);
  }
  checkTokens(tokens, model, param);
  return { tokens };
}

/** @throws ApiError 400 for an id outside the vocabulary */
export function checkTokens(tokens: number[], model: ModelInfo, param: string): void {
  const unknown = tokens.find((token) => token >= model.vocabularySize);
  if (unknown !== undefined) {
    throw invalid(
      `Token ${unknown} is not in the vocabulary of "${model.id}" (0 to ${model.vocabularySize - 1}).`,
      param,
    );
  }
}

/**
 * The conversation as templates see it: plain text; `developer` is the newer name of `system`.
 * @throws ApiError 400 that names the message, `context_length_exceeded` for more than `maxCharacters`
 */
export function chatMessages(messages: Messages, model: ModelInfo, maxCharacters: number): ChatMessage[] {
  const plain = messages.map(plainMessage);
  const characters = plain.reduce((sum, message) => sum + charactersOf(message), 0);
  checkLength(characters, maxCharacters, model, 'messages');
  return plain;
}

function charactersOf({ content, reasoning_content: reasoning = '', tool_calls: calls }: ChatMessage): number {
  return content.length + reasoning.length + (calls ? JSON.stringify(calls).length : 0);
}

function plainMessage(message: Messages[number], index: number): ChatMessage {
  const { role, content, name, tool_calls: calls, tool_call_id: callId } = message;
  const path = `messages.${index}`;
  refuseUnsupported('messages', message, `${path}.`);
  if (role !== 'assistant' && (content ?? null) === null) {
    throw invalid(`"${path}.content" is required.`, `${path}.content`, 'missing_field');
  }
  if (calls?.length && role !== 'assistant') {
    throw invalid(`"${path}.tool_calls" belong to the role "assistant".`, `${path}.tool_calls`);
  }
  const reasoning = message.reasoning_content ?? message.reasoning ?? undefined;
  return {
    role: role === 'developer' ? 'system' : role,
    content: typeof content === 'string' ? content : (content ?? []).map(({ text }) => text).join(''),
    ...(name ? { name } : {}),
    ...(calls?.length
      ? { tool_calls: calls.map((call, place) => plainCall(call, `${path}.tool_calls.${place}`)) }
      : {}),
    ...(callId ? { tool_call_id: callId } : {}),
    ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
  };
}

/** With `arguments` as an object, as templates write them; clients send a string of JSON. */
function plainCall(call: NonNullable<Messages[number]['tool_calls']>[number], path: string): ToolCall {
  const { name, arguments: given } = call.function;
  const id = call.id ? { id: call.id } : {};
  return { ...id, type: 'function', function: { name, arguments: parseArguments(given ?? {}, path) } };
}

function parseArguments(given: string | object, path: string): object {
  if (typeof given !== 'string') return given;
  const name = `${path}.function.arguments`;
  let value: unknown;
  try {
    value = given === '' ? {} : JSON.parse(given);
  } catch {
    // What is no JSON is no object either.
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(`"${name}" is no JSON object (got ${JSON.stringify(given.slice(0, 80))}).`, name, 'invalid_value');
  }
  checkDepth(value);
  return value;
}
