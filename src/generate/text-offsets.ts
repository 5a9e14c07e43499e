/**
 * Where tokens begin in the text that they were made from.
 *
 * @module
 */

import type { Tokenizer } from '../tokenizer/index.ts';

/** The length of a text in Unicode characters. */
export function characterCount(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/**
 * Returns the offset at which each token of a prompt begins, in Unicode characters. Tokens that share a character have
 * the same offset.
 *
 * @param text the prompt; a special token that does not occur in it was added by the tokenizer and has no length
 */
export function promptOffsets(tokenizer: Tokenizer, tokens: readonly number[], text: string): number[] {
  const stream = tokenizer.createTokenStream();
  const length = characterCount(text);
  let [place, offset] = [0, 0];
  return tokens.map((id) => {
    // A tokenizer that rewrites the text may make it longer.
    const start = Math.min(offset, length);
    if (tokenizer.isSpecialToken(id) && !text.startsWith(tokenizer.tokenText(id), place)) return start;
    const { text: piece, before } = stream.take(id);
    place += piece.length;
    offset += characterCount(piece);
    return Math.min(start + before, length);
  });
}
