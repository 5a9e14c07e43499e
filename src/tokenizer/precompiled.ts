/**
 * SentencePiece's compiled character map (`precompiled_charsmap`): a double-array trie over UTF-8 from a few characters
 * to their replacement.
 *
 * @module
 */

import { decodeBase64 } from '../platform/index.ts';
import type { Section } from './section.ts';
import { asClusters } from './unicode.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * Reads the `precompiled_charsmap` of a section: in base64 the size of the trie in bytes, its units (32 bits each,
 * little endian), and the replacements, each ended by a zero byte.
 */
export function compileCharacterMap(section: Section): (text: string) => string {
  const encoded = section.text('precompiled_charsmap');
  const bytes = decodeBase64(encoded);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const trieBytes = bytes.length < 4 ? -1 : view.getUint32(0, true);
  if (trieBytes < 4 || trieBytes % 4 !== 0 || 4 + trieBytes > bytes.length) {
    throw section.error('invalid_data', '"precompiled_charsmap" is not a compiled character map in base64');
  }
  const units = new Uint32Array(trieBytes / 4);
  for (let i = 0; i < units.length; i++) units[i] = view.getUint32(4 + 4 * i, true);
  const replacements = bytes.subarray(4 + trieBytes);

  /** The replacement of the shortest entry that these characters begin with, as the reference takes it. */
  const replacement = (characters: string): string | undefined => {
    const offset = (unit: number) => (unit >>> 10) << ((unit & 0x200) >>> 6);
    let position = offset(units[0]!);
    for (const byte of encoder.encode(characters)) {
      if (byte === 0) break;
      position ^= byte;
      const unit = units[position] ?? 0;
      if ((unit & 0x800000ff) >>> 0 !== byte) return undefined;
      position ^= offset(unit);
      if (((unit >>> 8) & 1) === 1) {
        const start = (units[position] ?? 0) & 0x7fffffff;
        const end = replacements.indexOf(0, start);
        return decoder.decode(replacements.subarray(start, end < 0 ? replacements.length : end));
      }
    }
    return undefined;
  };

  const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
  return (text) => {
    let result = '';
    for (const { index, segment: standIn } of graphemes.segment(asClusters(text))) {
      const segment = text.slice(index, index + standIn.length);
      const whole = encoder.encode(segment).length < 6 ? replacement(segment) : undefined;
      if (whole !== undefined) result += whole;
      else for (const character of segment) result += replacement(character) ?? character;
    }
    return result;
  };
}
