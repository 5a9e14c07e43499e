/**
 * Text in UTF-8, and what to say of bytes that are none.
 *
 * @module
 */

const whole = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @throws TypeError for bytes that are not UTF-8 */
export function decodeUtf8(bytes: Uint8Array): string {
  return whole.decode(bytes);
}

/** What to do with a file in another encoding. */
export const utf8Advice =
  'write the file in UTF-8, or convert it (iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW for what Windows calls ANSI)';

/** Where a line is not UTF-8, and what to do. */
export function utf8Problem(line: Uint8Array): string {
  // The byte order marks of UTF-16.
  const [first, second] = line;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) {
    return 'the line is not valid UTF-8; it begins as files in UTF-16 do; convert it (iconv -f UTF-16 -t UTF-8)';
  }
  const at = invalidByte(line);
  const byte = line[at]!.toString(16).toUpperCase().padStart(2, '0');
  return `the line is not valid UTF-8: byte ${at + 1} of it is 0x${byte}; ${utf8Advice}`;
}

/** Where the first character begins that is none, in bytes that are not UTF-8. */
function invalidByte(bytes: Uint8Array): number {
  const textOf = (length: number): string | undefined => {
    try {
      // A character that is cut off at the end is none that is wrong.
      const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
      return decoder.decode(bytes.subarray(0, length), { stream: true });
    } catch {
      return undefined;
    }
  };
  let right = 0;
  let wrong = bytes.length + 1;
  while (wrong - right > 1) {
    const middle = (right + wrong) >> 1;
    if (textOf(middle) === undefined) wrong = middle;
    else right = middle;
  }
  return new TextEncoder().encode(textOf(Math.min(right, bytes.length))).length;
}
