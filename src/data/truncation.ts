/**
 * What becomes of an example that is longer than the model's context.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { parameter, words } from '../words.ts';
import type { Continuation, TokenizedExample } from './example.ts';

/**
 * It loses its beginning, and a plain text becomes several examples; it loses its end; it is left out; the run is
 * refused.
 */
export const truncateChoices = ['left', 'right', 'drop', 'error'] as const;
export type Truncate = (typeof truncateChoices)[number];

/** Tokens of the longest sequence of an example: its prompt with one continuation, which may stand in for a mask. */
export function sequenceLength({ prompt, continuations, answerRow }: TokenizedExample): number {
  if (answerRow !== undefined) return prompt.length;
  return prompt.length + continuations.reduce((most, { ids }) => Math.max(most, ids.length), 0);
}

/** The error of an example that does not fit and may not be cut. */
export function tooLong(source: string | undefined, tokens: number, contextLength: number): SubzeroError {
  const what = `the example has ${tokens} tokens, more than the context of ${contextLength}`;
  return new SubzeroError(
    'invalid_data',
    words`${source === undefined ? '' : `${source}: `}${what}, and ${parameter('truncate')} is "error"`,
  );
}

/**
 * An example without its end.
 * @param example a completion that is longer than the context
 * @throws SubzeroError `invalid_data` where nothing would be left to learn, or for options, which mean nothing once cut
 */
export function withoutEnd(
  example: TokenizedExample,
  contextLength: number,
  source: string | undefined,
): TokenizedExample {
  const refuse = (what: string): SubzeroError => {
    const advice = words`; use another choice of ${parameter('truncate')}, such as drop`;
    return new SubzeroError('invalid_data', words`${source === undefined ? '' : `${source}: `}${what}${advice}`);
  };
  if (example.kind !== 'completion') throw refuse('answers to tell apart cannot lose their end');
  if (example.answerRow !== undefined) throw refuse('a prompt with a mask cannot lose its end alone');
  const room = contextLength - example.prompt.length;
  const [whole] = example.continuations as [Continuation];
  const positions = whole.positions?.filter((place) => place < room);
  const scored = positions ? positions.length : room - (whole.ids.length - whole.scored);
  if (room < 1 || scored < 1) throw refuse(`the prompt alone fills the context of ${contextLength} tokens`);
  return {
    ...example,
    continuations: [{ ids: whole.ids.slice(0, room), scored, ...(positions ? { positions } : {}) }],
  };
}
