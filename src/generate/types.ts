/**
 * What is asked of a generation, and what it tells.
 *
 * @module
 */

import type { ChatMessage } from '../tokenizer/chat-messages.ts';

/** One text generation. Exactly one of `prompt`, `tokens`, `messages` is given. */
export interface GenerateRequest {
  model: string;
  prompt?: string;
  tokens?: number[];
  messages?: ChatMessage[];
  /** More variables of the chat template. */
  templateVariables?: Record<string, unknown>;
  /** 0 generates nothing; the prompt may fill the context then. */
  maxTokens?: number;
  /** 0 = greedy. Default 1. */
  temperature?: number;
  topK?: number;
  topP?: number;
  seed?: number;
  stop?: string[];
  /** How many of the most likely alternatives to report per token (0 = only the chosen token's log-probability). */
  topLogprobs?: number;
  /** Report the prompt's tokens in the same way; with `maxTokens` 0 nothing else. */
  scorePrompt?: boolean;
  /** Token id → additive logit bias. */
  logitBias?: Record<number, number>;
  presencePenalty?: number;
  frequencyPenalty?: number;
}

/** The log-probability of one token. */
export interface TokenLogprob {
  id: number;
  /** Its name, which no other token has: the text it stands for, or `bytes:\xf0` for a part of a character. */
  text: string;
  /** What it adds to the text, or would have added: a special token nothing. */
  bytes: number[];
  logprob: number;
}

/** A token at its place. */
export interface PlacedToken extends Omit<TokenLogprob, 'logprob'> {
  /** `null` for the first token of a prompt, which nothing predicts. */
  logprob: number | null;
  topLogprobs: TokenLogprob[];
  /** Where it begins in the text of the prompt, or in the generated text: a count of Unicode characters. Tokens that share a character begin at it. */
  textOffset: number;
}

export type GenerateEvent =
  | { type: 'start'; promptTokens: number }
  /** The next tokens of a prompt that is to be scored; all come before the first that is generated. */
  | { type: 'prompt'; tokens: PlacedToken[] }
  /** `text` is what is ready to be shown: nothing while a multi-byte character or a possible stop string is incomplete. */
  | ({ type: 'token'; text: string; tokenText: string; logprob: number } & Omit<PlacedToken, 'text' | 'logprob'>)
  | {
      type: 'done';
      finishReason: 'stop' | 'length';
      text: string;
      promptTokens: number;
      completionTokens: number;
      /** The token that ended the text, which is no part of it, unless a stop string or the length did. */
      endToken?: PlacedToken;
    };
