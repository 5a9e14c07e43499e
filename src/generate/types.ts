/**
 * Requests and events of text generation.
 *
 * @module
 */

import type { ChatMessage } from '../tokenizer/chat-messages.ts';

/** An adapter of a text by the name that it is loaded under. */
export interface AdapterChoice {
  name: string;
  /** The factor on its change of the base model, 1 by default. */
  weight?: number;
}

/** One text generation. Exactly one of `prompt`, `tokens`, `messages` is given. */
export interface GenerateRequest {
  model: string;
  /**
   * Adapters in the place of the one that `model` names, if it names one: the sum of their changes, each with its
   * weight. They are loaded models with a LoRA on the same base; none is the base alone.
   */
  adapters?: AdapterChoice[];
  prompt?: string;
  tokens?: number[];
  messages?: ChatMessage[];
  /** Additional variables of the chat template. */
  templateVariables?: Record<string, unknown>;
  /** 0 generates nothing; the prompt may then fill the whole context. */
  maxTokens?: number;
  /** 0 = greedy. Default 1. */
  temperature?: number;
  topK?: number;
  topP?: number;
  seed?: number;
  stop?: string[];
  /** The number of most likely alternatives to report per token; 0 = only the log-probability of the chosen token. */
  topLogprobs?: number;
  /** Report the prompt's tokens in the same way; with `maxTokens` 0 report nothing else. */
  scorePrompt?: boolean;
  /** Token id → number added to its logit. */
  logitBias?: Record<number, number>;
  presencePenalty?: number;
  frequencyPenalty?: number;
}

/** The log-probability of one token. */
export interface TokenLogprob {
  id: number;
  /** Its unique name: the text that it stands for, or `bytes:\xf0` for a part of a character. */
  text: string;
  /** The bytes that it adds, or would have added, to the text; a special token adds none. */
  bytes: number[];
  logprob: number;
}

/** A token with its offset. */
export interface PlacedToken extends Omit<TokenLogprob, 'logprob'> {
  /** `null` for the first token of a prompt, which nothing predicts. */
  logprob: number | null;
  topLogprobs: TokenLogprob[];
  /**
   * Where it begins in the text of the prompt or in the generated text, in Unicode characters. Tokens that share a
   * character have the same offset.
   */
  textOffset: number;
}

export type GenerateEvent =
  | { type: 'start'; promptTokens: number }
  /** The next tokens of a prompt that is to be scored. All of them come before the first generated token. */
  | { type: 'prompt'; tokens: PlacedToken[] }
  /**
   * `text` is what can be shown already: it is empty while a multi-byte character or a possible stop string is
   * incomplete.
   */
  | ({ type: 'token'; text: string; tokenText: string; logprob: number } & Omit<PlacedToken, 'text' | 'logprob'>)
  | {
      type: 'done';
      finishReason: 'stop' | 'length';
      text: string;
      promptTokens: number;
      completionTokens: number;
      /** The token that ended the text and is not part of it; absent if a stop string or the length ended the text. */
      endToken?: PlacedToken;
    };
