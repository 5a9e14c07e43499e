/**
 * A part of the text that is being encoded, on its way through the stages of a tokenizer.
 *
 * @module
 */

export interface Piece {
  text: string;
  /**
   * How many UTF-16 units at its beginning stand in the place of the whole text's first character; 0 in a piece that
   * begins elsewhere. The Metaspace scheme `first` asks for that.
   */
  origin: number;
}

/** A whole text. */
export function wholeText(text: string): Piece {
  return { text, origin: text === '' ? 0 : String.fromCodePoint(text.codePointAt(0)!).length };
}

/** A part of a piece, in UTF-16 units. */
export function slicePiece({ text, origin }: Piece, start: number, end: number): Piece {
  return { text: text.slice(start, end), origin: Math.max(0, Math.min(origin, end) - start) };
}

/** A piece whose text is mapped character by character. */
export function mapPiece({ text, origin }: Piece, map: (text: string) => string): Piece {
  return { text: map(text), origin: origin === 0 ? 0 : map(text.slice(0, origin)).length };
}

/** A piece with a text in front, which stands in the place of its first character. */
export function prependTo({ text, origin }: Piece, prefix: string): Piece {
  return { text: prefix + text, origin: origin === 0 ? 0 : prefix.length + origin };
}
