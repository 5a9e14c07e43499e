/**
 * From the prompt or the messages of a request to what the engine generates from, with the limits on text.
 *
 * @module
 */

import type { ChatMessage, GenerateRequest, ModelInfo } from '../../src/engine/types.ts';
import { invalid } from '../errors.ts';
import type { ChatRequest, CompletionRequest } from '../schemas/generation.ts';

/** Exactly one of the three. */
export type Prompt = Pick<GenerateRequest, 'prompt' | 'tokens' | 'messages'>;

function checkLength(characters: number, maximum: number, param: string): void {
  if (characters > maximum) {
    throw invalid(`"${param}" has ${characters} characters; this server takes at most ${maximum}.`, param, 'too_long');
  }
}

/** The prompts of a completion, or the inputs of an embedding, in order. */
export function completionPrompts(
  prompt: CompletionRequest['prompt'],
  model: ModelInfo,
  maxCharacters: number,
  param = 'prompt',
): Prompt[] {
  if (typeof prompt === 'string') {
    checkLength(prompt.length, maxCharacters, param);
    return [{ prompt }];
  }
  if (typeof prompt[0] === 'number') return [tokenPrompt(prompt as number[], model, param)];
  return (prompt as (string | number[])[]).map((item) => {
    if (typeof item !== 'string') return tokenPrompt(item, model, param);
    checkLength(item.length, maxCharacters, param);
    return { prompt: item };
  });
}

function tokenPrompt(tokens: number[], model: ModelInfo, param: string): Prompt {
  if (tokens.length > model.contextLength) {
    throw invalid(
      `"${param}" has ${tokens.length} tokens, but the context of "${model.id}" is ${model.contextLength}.`,
      param,
      'context_length_exceeded',
    );
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

/** The conversation as plain text messages; `developer` is the newer name of `system`. */
export function chatMessages(messages: ChatRequest['messages'], maxCharacters: number): ChatMessage[] {
  const plain = messages.map(({ role, content, name }) => ({
    role: role === 'developer' ? 'system' : role,
    content: typeof content === 'string' ? content : (content ?? []).map(({ text }) => text).join(''),
    ...(name === undefined ? {} : { name }),
  }));
  const characters = plain.reduce((sum, { content }) => sum + content.length, 0);
  checkLength(characters, maxCharacters, 'messages');
  const empty = messages.findIndex(({ role, content }) => role !== 'assistant' && (content ?? null) === null);
  if (empty >= 0)
    throw invalid(`"messages.${empty}.content" is required.`, `messages.${empty}.content`, 'missing_field');
  return plain;
}
