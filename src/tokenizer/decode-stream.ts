/**
 * Decoding token by token.
 *
 * @module
 */

import { continuesCharacter, incompleteTail, textOfBytes } from './partial-characters.ts';
import type { Pieces } from './pieces.ts';

/** Turns ids into text as they come; the concatenation of all that it returns is the decoding of all ids. */
export interface DecodeStream {
  /** The text that this token completes: empty while a multi-byte character is incomplete. */
  push(id: number): string;
  /** As {@link DecodeStream.push}, with where the token stands in its text. */
  take(id: number): DecodedToken;
  /** The bytes that a token would add to the text at this place: none for one that is left out or not known. */
  bytesOf(id: number): Uint8Array;
  /** What is left at the end: U+FFFD if the stream's own ids ended within a character, else nothing. */
  flush(): string;
}

/** What a token brings to a text. */
export interface DecodedToken {
  text: string;
  bytes: Uint8Array;
  /** Characters of `text` that stand before the token's own: 1 where the bytes before it turn out to be no character. */
  before: number;
}

/** What a stream needs to know of the vocabulary. */
export interface PieceLookup {
  pieces: Pieces;
  /** The vocabulary entry of an id, `undefined` for one that the tokenizer does not know. */
  token(id: number): { text: string; isAdded: boolean } | undefined;
  isSpecial(id: number): boolean;
}

const space = 0x20;
const nothing = new Uint8Array();

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
  const { pieces } = lookup;
  let isFirst = true;
  let spacesToStrip = pieces.stripSpaces;
  /** The beginning of a character that the ids so far leave open. */
  let begun: Uint8Array = nothing;
  /** Whether any of the stream's own ids had bytes. */
  let hasOwn = false;

  /** The bytes of a token at this place, before spaces are stripped; `undefined` for one that is left out. */
  const piece = (id: number): Uint8Array | undefined => {
    const token = options.skipSpecialTokens && lookup.isSpecial(id) ? undefined : lookup.token(id);
    if (!token) return undefined;
    return isFirst ? pieces.firstBytes(token.text, token.isAdded) : pieces.bytes(token.text, token.isAdded);
  };
  const strip = (bytes: Uint8Array): Uint8Array => bytes.subarray(spacesInFront(bytes, spacesToStrip));
  const take = (id: number): DecodedToken => {
    const whole = piece(id);
    if (whole) isFirst = false;
    const bytes = strip(whole ?? nothing);
    spacesToStrip = bytes.length > 0 ? 0 : spacesToStrip - (whole ?? nothing).length;
    if (bytes.length === 0) return { text: '', bytes, before: 0 };
    const before = begun.length > 0 && !continuesCharacter(begun, bytes[0]!) ? 1 : 0;
    const all = Uint8Array.of(...begun, ...bytes);
    const complete = all.length - incompleteTail(all);
    begun = all.slice(complete);
    hasOwn = true;
    return { text: textOfBytes(all.subarray(0, complete)), bytes, before };
  };

  for (const id of options.after ?? []) take(id);
  hasOwn = false;
  return {
    push: (id) => take(id).text,
    take,
    bytesOf: (id) => strip(piece(id) ?? nothing),
    flush: () => {
      const text = hasOwn && begun.length > 0 ? '\ufffd' : '';
      begun = nothing;
      return text;
    },
  };
}

/** How many of the first `most` bytes are spaces, from the beginning. */
function spacesInFront(bytes: Uint8Array, most: number): number {
  let count = 0;
  while (count < most && bytes[count] === space) count++;
  return count;
}
