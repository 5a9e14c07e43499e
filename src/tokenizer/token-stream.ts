/**
 * Following a text token by token: what each adds to it, in bytes, and at which of its characters it stands.
 *
 * @module
 */

import type { DecodeStream } from './decode-stream.ts';
import { continuesCharacter, incompleteTail } from './partial-characters.ts';

/** A {@link DecodeStream} that knows its place. */
export interface TokenStream {
  /** The next token. */
  take(id: number): TakenToken;
  /** The bytes that a token would add to the text at this place: none for one that is left out or not known. */
  bytesOf(id: number): Uint8Array;
  /** What is left at the end: U+FFFD if the stream's own tokens end within a character, else nothing. */
  flush(): string;
}

/** What a token brings to a text. */
export interface TakenToken {
  /** The text that it completes: empty while a character is incomplete. */
  text: string;
  /**
   * Characters of `text` that stand before the token's own: 1 where the bytes before it turn out to be no character.
   */
  before: number;
}

/** What a stream needs to know of the tokens. */
export interface TokenPlaces {
  /** The bytes of a token, as the first of a text or not; `undefined` for one that adds nothing to any text. */
  bytes(id: number, isFirst: boolean): Uint8Array | undefined;
  /** How many spaces the whole text loses in front. */
  stripSpaces: number;
}

const space = 0x20;
const nothing = new Uint8Array();

/**
 * Follows the text that a stream makes.
 * @param stream one that has read the ids `after` already
 */
export function openTokenStream(stream: DecodeStream, places: TokenPlaces, after: readonly number[]): TokenStream {
  let isFirst = true;
  let spacesToStrip = places.stripSpaces;
  /** The beginning of a character that the tokens so far leave open. */
  let begun: Uint8Array = nothing;
  /** Whether any token of the stream's own had bytes. */
  let hasOwn = false;

  const bytesOf = (id: number): Uint8Array => {
    const bytes = places.bytes(id, isFirst) ?? nothing;
    return bytes.subarray(spacesInFront(bytes, spacesToStrip));
  };
  /** Moves on by a token. Returns how many characters end before it that did not before. */
  const advance = (id: number): number => {
    const bytes = bytesOf(id);
    const whole = places.bytes(id, isFirst);
    if (whole === undefined) return 0;
    isFirst = false;
    spacesToStrip = bytes.length > 0 ? 0 : spacesToStrip - whole.length;
    if (bytes.length === 0) return 0;
    const isLost = begun.length > 0 && !continuesCharacter(begun, bytes[0]!);
    const open = Uint8Array.of(...begun, ...bytes);
    begun = open.slice(open.length - incompleteTail(open));
    hasOwn = true;
    return isLost ? 1 : 0;
  };

  for (const id of after) advance(id);
  hasOwn = false;
  return {
    take: (id) => {
      const before = advance(id);
      return { text: stream.push(id), before };
    },
    bytesOf,
    flush: () => (hasOwn ? stream.flush() : ''),
  };
}

/** How many of the first `most` bytes are spaces, from the beginning. */
function spacesInFront(bytes: Uint8Array, most: number): number {
  let count = 0;
  while (count < most && bytes[count] === space) count++;
  return count;
}
