/**
 * What training and evaluation data look like, before and after tokenisation.
 *
 * @module
 */

/**
 * What an example asks of a model: the right one of several answers, an answer, or to rate the first of two answers
 * higher. Of a `prompt` alone the answer is generated, and something else says what it is worth.
 */
export type ExampleKind = 'options' | 'completion' | 'preference' | 'prompt';

/**
 * One example as text: either `options` with the `label` of the right one, or a `completion` to learn.
 * Options and completion are appended to the prompt **exactly** as they are; loaders put the space between with
 * {@link joinAnswer}.
 */
export interface Example {
  prompt: string;
  options?: string[];
  /** Index of the right option. */
  label?: number;
  completion?: string;
  /** The options are an answer that somebody chose and one that was rejected, in this order. */
  preference?: true;
  /** Parts of the completion that are learnt, in UTF-16 units and in order, where that is not all of it. */
  spans?: readonly (readonly [start: number, end: number])[];
  /** All options that count as right, if there are several. */
  correct?: number[];
  /** A chat template wrote the text, and its special tokens with it: BOS is not put in front. */
  isRendered?: boolean;
  /** All answers that count as right for a generated text. */
  references?: string[];
  /** `file:line`, for error texts. */
  source?: string;
  /** The row that it was made of, where somebody wants to see it. */
  item?: Readonly<Record<string, unknown>>;
}

/** Which of the assistant's turns of a conversation are learnt: all whose weight is not 0, or the last one. */
export const learnChoices = ['all', 'last'] as const;
export type Learn = (typeof learnChoices)[number];

/** How one option, or the completion, goes on after the shared prompt. */
export interface Continuation {
  ids: number[];
  /** The last so many of `ids` count for the loss; those before belong to the prompt (a token across the boundary). */
  scored: number;
  /** Which of `ids` count, where that are not the last ones: as many as `scored`, in order. */
  positions?: readonly number[];
}

/** One example as ids. At least one token (BOS or prompt) stands before the first scored one. */
export interface TokenizedExample {
  kind: ExampleKind;
  /** What the sequences of all options begin with, BOS included. */
  prompt: number[];
  /** One per option, the completion alone, the answers chosen and rejected; none of a prompt. */
  continuations: Continuation[];
  /** The place in the prompt whose row predicts the first token of every continuation; its last one if absent. */
  answerRow?: number;
  /** Index of the right option; 0 for all others. */
  label: number;
  /** All indices that count as right, if there are several. */
  correct?: number[];
  /**
   * Where an answer is generated: the ids of the prompt alone, BOS included, all answers that count as right, and for
   * graders the row as JSON.
   */
  generation?: Generation | undefined;
}

/** What an answer is generated from, and what is asked of it. */
export interface Generation {
  prompt: number[];
  references: readonly string[];
  item?: string;
}

/**
 * The text to append to a prompt for an answer: one space and the answer, or the answer alone if a space or a line
 * end is already there or nothing stands before it.
 */
export function joinAnswer(prompt: string, answer: string): string {
  return prompt === '' || /\s$/.test(prompt) || /^\s/.test(answer) ? answer : ` ${answer}`;
}
