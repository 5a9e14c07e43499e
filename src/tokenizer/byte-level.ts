/**
 * The byte alphabet of GPT-2's byte-level BPE: every byte has one printable character, so that a vocabulary of
 * strings can hold any bytes. Printable Latin-1 bytes stand for themselves, the others are numbered from U+0100 on.
 *
 * @module
 */

const isPrintable = (byte: number) =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);

const byteOfCharacter = new Map<string, number>();
const characterOfByte: string[] = [];
let extra = 0;
for (let byte = 0; byte < 256; byte++) {
  const character = String.fromCodePoint(isPrintable(byte) ? byte : 0x100 + extra++);
  byteOfCharacter.set(character, byte);
  characterOfByte.push(character);
}

const encoder = new TextEncoder();

/** The bytes that a vocabulary entry stands for, or `undefined` if it is not written in the byte alphabet. */
export function bytesOfByteLevelToken(token: string): Uint8Array | undefined {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = byteOfCharacter.get(character);
    if (byte === undefined) return undefined;
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** A text's UTF-8 bytes in the byte alphabet. */
export function byteLevelText(text: string): string {
  let result = '';
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // Most words are ASCII, where a character is its byte.
    if (unit >= 0x80) return byteLevelCharacters(encoder.encode(text));
    result += characterOfByte[unit]!;
  }
  return result;
}

function byteLevelCharacters(bytes: Uint8Array): string {
  let result = '';
  for (const byte of bytes) result += characterOfByte[byte]!;
  return result;
}
