/**
 * Texts and conversations as the token ids that a loaded model reads.
 *
 * @module
 */

import { contextOverflow } from '../context-overflow.ts';
import { SubzeroError } from '../errors.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import { checkTokenIds } from '../tokenizer/token-ids.ts';
import { checkToolHistory } from '../tokenizer/tool-history.ts';
import type { ChatMessage, TokenizeChatOptions } from './types.ts';

/** Longest text that is tokenised: tokenizers are written for documents, not for books. */
const maxTextLength = 4 * 1024 * 1024;

/** The token ids that a model reads of a conversation. */
export async function chatTokens(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: Omit<TokenizeChatOptions, 'templateVariables'> & {
    variables: Record<string, unknown>;
    contextLength?: number;
  },
): Promise<number[]> {
  // A template writes the special tokens itself, so none are added unless they are asked for.
  const { variables, addGenerationPrompt = true, addSpecialTokens = false, contextLength } = options;
  const render = (others: readonly ChatMessage[]) => tokenizer.renderChat(others, { addGenerationPrompt, variables });
  const text = await render(messages);
  await checkToolHistory(messages, render);
  return encodeText(tokenizer, text, { addSpecialTokens, contextLength, parameter: 'messages' });
}

/**
 * The token ids of a text.
 * @param options.contextLength of the model that is to read the text, if one is
 * @throws SubzeroError `invalid_argument` or `context_length_exceeded` for texts beyond four million characters
 */
export function encodeText(
  tokenizer: Tokenizer,
  text: string,
  options: { addSpecialTokens?: boolean; contextLength?: number | undefined; parameter?: string },
): number[] {
  const { addSpecialTokens = true, contextLength, parameter = 'prompt' } = options;
  if (text.length > maxTextLength) {
    const what = `it has ${text.length} characters of at most ${maxTextLength}`;
    throw contextLength === undefined
      ? new SubzeroError('invalid_argument', `the text is too long: ${what}`, { parameter })
      : contextOverflow(what, contextLength, parameter);
  }
  return tokenizer.encode(text, { addSpecialTokens });
}

/**
 * The token ids of inputs that are embedded.
 * @param inputs texts, or token ids as they are
 * @throws SubzeroError naming the input that is empty, too long, or has ids that the model lacks
 */
export function inputTokens(
  inputs: readonly (string | number[])[],
  { tokenizer, contextLength, vocabularySize }: { tokenizer: Tokenizer; contextLength: number; vocabularySize: number },
): number[][] {
  return inputs.map((input, index) => {
    const tokens =
      typeof input === 'string' ? encodeText(tokenizer, input, { contextLength, parameter: 'input' }) : input;
    if (tokens.length === 0) {
      throw new SubzeroError('invalid_argument', `input ${index} has no tokens`, { parameter: 'input' });
    }
    if (tokens.length > contextLength) {
      throw contextOverflow(`input ${index} has ${tokens.length} tokens`, contextLength, 'input');
    }
    checkTokenIds(tokens, { vocabularySize, tokenString: (id) => tokenizer.tokenString(id), parameter: 'input' });
    return tokens;
  });
}
