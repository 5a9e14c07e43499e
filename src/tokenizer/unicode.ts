/**
 * Unicode as the reference implementation of tokenizers knows it. Its parts follow different Unicode versions, the
 * engines that run this code follow others, and ids must not depend on either: see unicode-tables.ts.
 *
 * @module
 */

import * as tables from './unicode-tables.ts';

/** A set of code points, unpacked from a table on first use. */
function codePointSet(...packed: string[]): (codePoint: number) => boolean {
  let bits: Uint8Array | undefined;
  return (codePoint) => {
    bits ??= unpack(packed);
    return ((bits[codePoint >> 3]! >> (codePoint & 7)) & 1) === 1;
  };
}

function unpack(packed: readonly string[]): Uint8Array {
  const bits = new Uint8Array(0x110000 >> 3);
  for (const table of packed) {
    const numbers = table.split(' ').map((digits) => Number.parseInt(digits, 36));
    let last = 0;
    for (let i = 0; i < numbers.length; i += 2) {
      const first = last + numbers[i]!;
      last = first + numbers[i + 1]!;
      for (let c = first; c <= last; c++) bits[c >> 3]! |= 1 << (c & 7);
    }
  }
  return bits;
}

export const isPunctuation = codePointSet(tables.punctuation);
export const isControl = codePointSet(tables.control);
export const isNonspacingMark = codePointSet(tables.nonspacingMarks);
export const isCombiningMark = codePointSet(tables.combiningMarks);
export const isNumeric = codePointSet(tables.numeric);
const isUnassigned = codePointSet(tables.unassigned);
const isNewJoining = codePointSet(tables.newJoining);
/** Newer characters, with those that no engine has yet. */
const isNotNormalized = codePointSet(tables.notNormalized, tables.unassigned);

const whiteSpace = /\p{White_Space}/u;

export function isWhiteSpace(codePoint: number): boolean {
  if (codePoint < 0x80) return codePoint === 0x20 || (codePoint >= 9 && codePoint <= 13);
  return whiteSpace.test(String.fromCodePoint(codePoint));
}

/** Characters of words, as `\w` of the reference's second regular-expression engine. */
export const wordCharacters = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';
const wordCharacter = new RegExp(`[${wordCharacters}]`, 'u');

export function isWordCharacter(character: string): boolean {
  return wordCharacter.test(asUnicode16(character));
}

/** Where the white space at the beginning of a text ends. */
export function leadingSpaceEnd(text: string): number {
  let end = 0;
  while (end < text.length && isWhiteSpace(text.charCodeAt(end))) end++;
  return end;
}

/** Where the white space at the end of a text begins. */
export function trailingSpaceStart(text: string): number {
  let start = text.length;
  while (start > 0 && isWhiteSpace(text.charCodeAt(start - 1))) start--;
  return start;
}

/** A text of the same length in which others stand for some characters: one of one UTF-16 unit, or one of two. */
function withStandIns(text: string, standIn: (codePoint: number) => readonly [string, string] | undefined): string {
  if (!/[^\0-\u0294\u0296-\u0377]/.test(text)) return text;
  let result = '';
  let copied = 0;
  for (let i = 0; i < text.length; i++) {
    const codePoint = text.codePointAt(i)!;
    const width = codePoint > 0xffff ? 2 : 1;
    const replaced = standIn(codePoint);
    if (replaced !== undefined) {
      result += text.slice(copied, i) + replaced[width - 1];
      copied = i + width;
    }
    i += width - 1;
  }
  return result + text.slice(copied);
}

const noncharacters = ['\uFDD0', '\u{1FFFE}'] as const;
const marks = ['\u0300', '\u{101FD}'] as const;
/** U+0295 is a small letter up to Unicode 16, and a letter without case from then on. */
const smallLetters = ['\u0296', ''] as const;

/** A text that means to regular expressions in every engine what it means in Unicode 16; the positions are the same. */
export function asUnicode16(text: string): string {
  return withStandIns(text, (c) => (c === 0x295 ? smallLetters : isUnassigned(c) ? noncharacters : undefined));
}

/** A text that has the same grapheme clusters in every engine: those of Unicode 17; the positions are the same. */
export function asClusters(text: string): string {
  return withStandIns(text, (c) => (isNewJoining(c) ? marks : isUnassigned(c) ? noncharacters : undefined));
}

/** Lower case as of Unicode 17, of letters that an older engine does not know: [first, last, distance]. */
const newLetters = [
  [0xa7ce, 0xa7ce, 1],
  [0xa7d2, 0xa7d2, 1],
  [0xa7d4, 0xa7d4, 1],
  [0x16ea0, 0x16eb8, 27],
] as const;

/** Lower case, character by character: no letter looks at its neighbours, as the final sigma does in JavaScript. */
export function lowerCase(text: string): string {
  if (!/[^\0-\x7f]/.test(text)) return text.toLowerCase();
  let result = '';
  for (const character of text) {
    const codePoint = character.codePointAt(0)!;
    const row =
      codePoint >= 0xa7ce ? newLetters.find(([first, last]) => codePoint >= first && codePoint <= last) : undefined;
    result += row === undefined ? character.toLowerCase() : String.fromCodePoint(codePoint + row[2]);
  }
  return result;
}

/** A normalisation form as of the Unicode version of the reference's normalisers. */
export function normalizeUnicode(text: string, form: 'NFC' | 'NFD' | 'NFKC' | 'NFKD'): string {
  if (!/[^\0-\x7f]/.test(text)) return text;
  // A character that the reference does not know is neither changed nor passed by a mark: it cuts the text.
  let result = '';
  let start = 0;
  for (let i = 0; i < text.length; ) {
    const codePoint = text.codePointAt(i)!;
    const end = i + (codePoint > 0xffff ? 2 : 1);
    if (isNotNormalized(codePoint)) {
      result += text.slice(start, i).normalize(form) + text.slice(i, end);
      start = end;
    }
    i = end;
  }
  return result + text.slice(start).normalize(form);
}
