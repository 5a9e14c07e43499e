/**
 * Python's view of a text: a sequence of code points, with its own idea of what is white space.
 *
 * @module
 */

/** What Python's `str.isspace`, `str.strip` and `\s` take as white space: a class of a regular expression. */
export const space = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';

const surrogate = /[\ud800-\udfff]/;
const leading = new RegExp(`^${space}+`);
const onlySpace = new RegExp(`^${space}+$`);
const oneSpace = new RegExp(space);

/** The code points of a text, one string each. */
export const pointsOf = (text: string): string[] => (surrogate.test(text) ? [...text] : text.split(''));

/** How many code points a text has. */
export function lengthOf(text: string): number {
  if (!surrogate.test(text)) return text.length;
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** The code points from `start` to `end`, both within the text. */
export function sliceOf(text: string, start: number, end: number): string {
  if (start >= end) return '';
  return surrogate.test(text) ? [...text].slice(start, end).join('') : text.slice(start, end);
}

export const isSpace = (text: string): boolean => onlySpace.test(text);

/** Without the characters at the left and right; white space if none are given. */
export function strip(text: string, characters: string | undefined, sides: 'both' | 'left' | 'right'): string {
  if (characters === undefined) {
    let result = sides === 'right' ? text : text.replace(leading, '');
    if (sides !== 'left') {
      let end = result.length;
      while (end > 0 && oneSpace.test(result[end - 1]!)) end--;
      result = result.slice(0, end);
    }
    return result;
  }
  const set = new Set(pointsOf(characters));
  const points = pointsOf(text);
  let start = 0;
  let end = points.length;
  if (sides !== 'right') while (start < end && set.has(points[start]!)) start++;
  if (sides !== 'left') while (end > start && set.has(points[end - 1]!)) end--;
  return points.slice(start, end).join('');
}

/** Order by code points, as Python compares texts; JavaScript compares UTF-16 units. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  if (!surrogate.test(a) && !surrogate.test(b)) return a < b ? -1 : 1;
  const left = [...a];
  const right = [...b];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = left[i]!.codePointAt(0)! - right[i]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** Letters whose title case is neither their upper case nor its first letter followed by lower case. */
const titleExceptions: Readonly<Record<string, string>> = {
  Ǆ: 'ǅ',
  ǅ: 'ǅ',
  ǆ: 'ǅ',
  Ǉ: 'ǈ',
  ǈ: 'ǈ',
  ǉ: 'ǈ',
  Ǌ: 'ǋ',
  ǋ: 'ǋ',
  ǌ: 'ǋ',
  Ǳ: 'ǲ',
  ǲ: 'ǲ',
  ǳ: 'ǲ',
  ŉ: 'ʼN',
};

/** One code point in title case. */
export function titleCase(point: string): string {
  const exception = titleExceptions[point];
  if (exception !== undefined) return exception;
  // Georgian and Greek letters with a subscript iota have an upper case that Unicode does not use for titles.
  if (/[\u10d0-\u10ff]/.test(point)) return point;
  if (/[\u1f80-\u1faf\u1fb3\u1fbc\u1fc3\u1fcc\u1ff3\u1ffc]/.test(point)) {
    const code = point.codePointAt(0)!;
    if (code >= 0x1f80 && code <= 0x1faf) return String.fromCodePoint(code | 8);
    return String.fromCodePoint({ 8115: 0x1fbc, 8131: 0x1fcc, 8179: 0x1ffc }[code] ?? code);
  }
  const upper = [...point.toUpperCase()];
  // An iota below stays below.
  if (upper.length > 1 && upper.at(-1) === 'Ι') return `${upper.slice(0, -1).join('')}\u0345`;
  return upper[0]! + upper.slice(1).join('').toLowerCase();
}

export const isCased = (point: string): boolean => isLowerCase(point) || isUpperCase(point) || /\p{Lt}/u.test(point);
export const isLowerCase = (point: string): boolean => /\p{Lowercase}/u.test(point);
export const isUpperCase = (point: string): boolean => /\p{Uppercase}/u.test(point);

/** A code point of a text in lower case; that of a sigma depends on whether it ends a word. */
export function lowerAt(points: readonly string[], index: number): string {
  const point = points[index]!;
  if (point !== 'Σ') return point.toLowerCase();
  const before = points.slice(0, index).join('');
  return points.join('').toLowerCase()[before.toLowerCase().length]!;
}

/** Every word's first letter in title case, the others in lower case; a word ends at what has no case. */
export function titleWords(text: string): string {
  let inside = false;
  return pointsOf(text)
    .map((point, index, points) => {
      const shown = inside ? lowerAt(points, index) : titleCase(point);
      inside = isCased(point);
      return shown;
    })
    .join('');
}
