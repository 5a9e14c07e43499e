/**
 * Characters whose bytes are spread over several tokens.
 *
 * @module
 */

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Text of bytes; what can be no character becomes U+FFFD, as WHATWG's decoders do it. */
export function textOfBytes(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** How many bytes at the end begin a character without completing it: 0 to 3. */
export function incompleteTail(bytes: Uint8Array): number {
  for (let length = Math.min(3, bytes.length); length > 0; length--) {
    const tail = bytes.subarray(bytes.length - length);
    // The decoder makes one U+FFFD of the beginning of a character, and several of anything else that is no text.
    if (length < characterLength(tail[0]!) && textOfBytes(tail) === '\ufffd') return length;
  }
  return 0;
}

/** Whether a byte goes on with the character that `begun` begins; otherwise that one is lost. */
export function continuesCharacter(begun: Uint8Array, byte: number): boolean {
  return [...textOfBytes(Uint8Array.of(...begun, byte))].length === 1;
}

/** Bytes of the character that begins with this one; 0 where none does. */
function characterLength(first: number): number {
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}
