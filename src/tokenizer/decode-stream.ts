/**
 * Decoding token by token.
 *
 * @module
 */

import { type DecodedToken, type Pieces, stripEnd } from './pieces.ts';

/** Turns ids into text as they come. */
export interface DecodeStream {
  /** The text that this token completes: empty while a multi-byte character is incomplete. */
  push(id: number): string;
  /** What is left at the end: U+FFFD if the ids ended within a character, else nothing. */
  flush(): string;
}

/** What a stream needs to know of the vocabulary. */
export interface PieceLookup {
  pieces: Pieces;
  /** What the decoder reads for an id, `undefined` for one that the tokenizer does not know. */
  token(id: number): DecodedToken | undefined;
  isSpecial(id: number): boolean;
}

/**
 * Opens a stream.
 * @param options.skipSpecialTokens leave out BOS, EOS and their like
 * @param options.after ids that stand before the stream's first one: their text is not returned, but it decides
 *   whether the first token is the first of its text (which loses the space in front) and completes its characters
 * @param options.holdsBytes decode tokens that stand for single bytes only when another token or the end follows: a
 *   row of them that is not UTF-8 is then one U+FFFD a byte, as the reference decodes a whole text. Otherwise a
 *   character is returned as soon as it is complete.
 */
export function openDecodeStream(
  { pieces, token: tokenOf, isSpecial }: PieceLookup,
  options: { skipSpecialTokens: boolean; after?: readonly number[]; holdsBytes?: boolean },
): DecodeStream {
  // A streaming TextDecoder holds back an incomplete character and replaces bytes that can never become one.
  const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });
  let isFirst = true;
  /** Tokens that stand for bytes, held back. */
  let row: number[] = [];
  /** What follows the last token's text if another token comes, and if none comes. */
  let ahead = { ifMore: new Uint8Array(), ifLast: new Uint8Array() };
  let toStrip = pieces.strip.start;
  /** Characters at the end that the text loses if it ends here. */
  let atEnd = '';

  const endRow = (): string => {
    if (row.length === 0) return '';
    const bytes = Uint8Array.from(row);
    row = [];
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return '\uFFFD'.repeat(bytes.length);
    }
  };

  const strip = (text: string): string => {
    const { character } = pieces.strip;
    let start = 0;
    while (toStrip > 0 && start < text.length) {
      if (text.startsWith(character, start)) {
        start += character.length;
        toStrip--;
      } else toStrip = 0;
    }
    const whole = atEnd + text.slice(start);
    const end = stripEnd(whole, pieces.strip);
    atEnd = whole.slice(end);
    return whole.slice(0, end);
  };

  const push = (id: number): string => {
    if (options.skipSpecialTokens && isSpecial(id)) return '';
    const token = tokenOf(id);
    if (token === undefined) return '';
    const bytes = pieces.bytes(token, { isFirst, isLast: false });
    if (options.holdsBytes && pieces.isByte(token)) {
      isFirst = false;
      row.push(...bytes);
      return '';
    }
    let text = endRow();
    if (pieces.looksAhead) {
      const last = pieces.bytes(token, { isFirst, isLast: true });
      const known = commonPrefix(bytes, last);
      text +=
        decoder.decode(ahead.ifMore, { stream: true }) + decoder.decode(bytes.subarray(0, known), { stream: true });
      ahead = { ifMore: bytes.slice(known), ifLast: last.slice(known) };
    } else text += decoder.decode(bytes, { stream: true });
    isFirst = false;
    return strip(text);
  };

  const flush = (): string => {
    const text = strip(endRow() + decoder.decode(ahead.ifLast));
    ahead = { ifMore: new Uint8Array(), ifLast: new Uint8Array() };
    atEnd = '';
    return text;
  };

  for (const id of options.after ?? []) push(id);
  return { push, flush };
}

function commonPrefix(a: Uint8Array, b: Uint8Array): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
