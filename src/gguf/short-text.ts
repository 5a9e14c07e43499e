/**
 * Decoding short texts of UTF-8. A vocabulary has some 400 thousand of them, and calling a `TextDecoder` for each costs
 * more than all else of a header.
 *
 * @module
 */

/** Longer texts are left to a `TextDecoder`. */
const longest = 64;

/**
 * The text of some bytes; undefined where they are many, or have something other than characters of one to three bytes:
 * rare characters and what is no UTF-8, for a `TextDecoder` to read or to refuse.
 */
export function shortText(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (end - start > longest) return undefined;
  let text = '';
  for (let at = start; at < end; ) {
    const first = bytes[at]!;
    const [second, third] = [at + 1 < end ? bytes[at + 1]! : 0, at + 2 < end ? bytes[at + 2]! : 0];
    if (first < 0x80) {
      text += String.fromCharCode(first);
      at += 1;
    } else if (first >= 0xc2 && first < 0xe0 && isNext(second)) {
      text += String.fromCharCode(((first & 0x1f) << 6) | (second & 0x3f));
      at += 2;
    } else if (first > 0xe0 && first < 0xf0 && first !== 0xed && isNext(second) && isNext(third)) {
      // Left out are 0xe0 and 0xed, which also begin what is no character.
      text += String.fromCharCode(((first & 0x0f) << 12) | ((second & 0x3f) << 6) | (third & 0x3f));
      at += 3;
    } else {
      return undefined;
    }
  }
  return text;
}

function isNext(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}
