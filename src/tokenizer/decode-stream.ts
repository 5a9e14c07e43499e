/**
 * Decoding token by token.
 *
 * @module
 */

import type { Pieces } from './pieces.ts';

/** Turns ids into text as they come; the concatenation of all that it returns is the decoding of all ids. */
export interface DecodeStream {
  /** The text that this token completes: empty while a multi-byte character is incomplete. */
  push(id: number): string;
  /** What is left at the end: U+FFFD if the ids ended within a character, else nothing. */
  flush(): string;
}

/** What a stream needs to know of the vocabulary. */
export interface PieceLookup {
  pieces: Pieces;
  /** The vocabulary entry of an id, `undefined` for one that the tokenizer does not know. */
  token(id: number): { text: string; isAdded: boolean } | undefined;
  isSpecial(id: number): boolean;
}

/**
 * Opens a stream.
 * @param options.skipSpecialTokens leave out BOS, EOS and their like
 * @param options.after ids that stand before the stream's first one: their text is not returned, but it decides
 *   whether the first token is the first of its text (which loses the space in front) and completes its characters
 */
export function openDecodeStream(
  lookup: PieceLookup,
  options: { skipSpecialTokens: boolean; after?: readonly number[] },
): DecodeStream {
  // A streaming TextDecoder holds back an incomplete character and replaces bytes that can never become one.
  const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });
  let isFirst = true;
  let spacesToStrip = lookup.pieces.stripSpaces;

  const push = (id: number): string => {
    if (options.skipSpecialTokens && lookup.isSpecial(id)) return '';
    const token = lookup.token(id);
    if (token === undefined) return '';
    const { pieces } = lookup;
    const bytes = isFirst ? pieces.firstBytes(token.text, token.isAdded) : pieces.bytes(token.text, token.isAdded);
    isFirst = false;
    return strip(decoder.decode(bytes, { stream: true }));
  };
  const strip = (text: string): string => {
    let start = 0;
    while (start < text.length && spacesToStrip > 0) {
      if (text[start] !== ' ') {
        spacesToStrip = 0;
        break;
      }
      start++;
      spacesToStrip--;
    }
    return text.slice(start);
  };

  for (const id of options.after ?? []) push(id);
  return { push, flush: () => decoder.decode() };
}
