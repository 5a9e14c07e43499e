/**
 * Patterns of tokenizer.json, and cutting a text at their matches. Regular expressions are written for Oniguruma;
 * `@huggingface/tokenizers` rewrites them for JavaScript.
 *
 * @module
 */

import { requirePackage } from '../platform/index.ts';
import type { Section } from './section.ts';
import { asUnicode16 } from './unicode.ts';

/** The part of the library that is used; its type declarations leave it out. */
interface Library {
  SplitPreTokenizer: new (section: Record<string, unknown>) => { pattern: RegExp | null };
}

/** A part of a text, in UTF-16 units, and whether the pattern matches it. The parts of a text cover it in order. */
export interface Span {
  start: number;
  end: number;
  isMatch: boolean;
}

/** Cuts a text into what matches and what does not. */
export type Pattern = (text: string) => Span[];

export const splitBehaviors = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const;
export type SplitBehavior = (typeof splitBehaviors)[number];

/** Compiles a section's `pattern`: `{"String": …}` or `{"Regex": …}`. */
export function readPattern(section: Section): Pattern {
  const pattern = section.section('pattern');
  const literal = pattern.optionalText('String');
  const expression = pattern.optionalText('Regex');
  pattern.done();
  if ((literal === undefined) === (expression === undefined)) {
    throw pattern.error('invalid_data', 'expected one of "String" and "Regex"');
  }
  if (literal === '') throw pattern.error('unsupported', '"String" is "", which matches everywhere');
  if (literal !== undefined) return ofText(literal);
  try {
    return ofExpression(compileExpression(expression!));
  } catch (error) {
    throw pattern.error('unsupported', `"Regex" is ${JSON.stringify(expression)}; ${(error as Error).message}`, error);
  }
}

/** A regular expression of Oniguruma as one of JavaScript, flags `gu`. */
function compileExpression(source: string): RegExp {
  // Many tokenizers have no regular expression, and need not load the library.
  const { SplitPreTokenizer } = requirePackage('@huggingface/tokenizers') as Library;
  const { pattern } = new SplitPreTokenizer({
    type: 'Split',
    pattern: { Regex: source },
    behavior: 'Isolated',
    invert: false,
  });
  if (!pattern) throw new Error('it is not a regular expression');
  return source.includes('(?i') ? foldUnicode(source, pattern) : pattern;
}

/**
 * Completes a pattern with parts that ignore case: the library knows the letters of ASCII only, but two signs of other
 * blocks are forms of s and k. What else Unicode's folding would match is refused.
 */
function foldUnicode(source: string, { source: translated, flags }: RegExp): RegExp {
  const groups = [...source.matchAll(/\(\?i:([^()[\]\\]*)\)/g)].map(([, content]) => content!);
  const isPlain = groups.length === source.split('(?i').length - 1;
  if (!isPlain || groups.some((content) => /[^ -~]|ss|ff|fi|fl|st/i.test(content))) {
    throw new Error('where it ignores case, only ASCII letters outside classes and groups are supported');
  }
  return new RegExp(translated.replaceAll('[sS]', '[sS\\u017f]').replaceAll('[kK]', '[kK\\u212a]'), flags);
}

/** Every occurrence of a text. */
function ofText(literal: string): Pattern {
  return (text) => {
    const matches: number[] = [];
    for (let at = text.indexOf(literal); at >= 0; at = text.indexOf(literal, at + literal.length)) {
      matches.push(at, at + literal.length);
    }
    return cover(text, matches);
  };
}

/** Every match of a regular expression with the flags `g` and `u`, which sees the characters of Unicode 16. */
export function ofExpression(expression: RegExp): Pattern {
  return (text) => {
    const matches: number[] = [];
    for (const { index, 0: match } of asUnicode16(text).matchAll(expression)) {
      matches.push(index, index + match.length);
    }
    return cover(text, matches);
  };
}

/** Every single character for which `test` holds. */
export function ofCharacters(test: (codePoint: number) => boolean): Pattern {
  return (text) => {
    const matches: number[] = [];
    for (let i = 0; i < text.length; i++) {
      const codePoint = text.codePointAt(i)!;
      const start = i;
      if (codePoint > 0xffff) i++;
      if (test(codePoint)) matches.push(start, i + 1);
    }
    return cover(text, matches);
  };
}

/** A pattern that matches what the other one does not. */
export function inverted(pattern: Pattern): Pattern {
  return (text) => pattern(text).map(({ start, end, isMatch }) => ({ start, end, isMatch: !isMatch }));
}

/** @param matches where each begins and where it ends, one after the other: a list for each would cost more than it */
function cover(text: string, matches: readonly number[]): Span[] {
  const spans: Span[] = [];
  let last = 0;
  for (let i = 0; i < matches.length; i += 2) {
    const start = matches[i]!;
    const end = matches[i + 1]!;
    if (last !== start) spans.push({ start: last, end: start, isMatch: false });
    spans.push({ start, end, isMatch: true });
    last = end;
  }
  if (last !== text.length) spans.push({ start: last, end: text.length, isMatch: false });
  return spans;
}

/**
 * The parts of a text between matches of a pattern, some of which may be empty. `behavior` says what becomes of a
 * match: it is the delimiter.
 */
export function split(text: string, pattern: Pattern, behavior: SplitBehavior): { start: number; end: number }[] {
  const spans = pattern(text);
  let pieces: { start: number; end: number }[] = [];
  if (behavior === 'Removed') pieces = spans.filter(({ isMatch }) => !isMatch);
  else if (behavior === 'Isolated') pieces = spans;
  else {
    // A span joins the one before (behind, for MergedWithNext) if the behaviour says so; two adjacent matches are
    // alternately joined, as the reference does.
    const isBackwards = behavior === 'MergedWithNext';
    let previousMatch = false;
    for (const span of isBackwards ? spans.reverse() : spans) {
      const last = pieces.at(-1);
      const joins = behavior === 'Contiguous' ? span.isMatch === previousMatch : span.isMatch && !previousMatch;
      if (joins && last !== undefined) {
        if (isBackwards) last.start = span.start;
        else last.end = span.end;
      } else pieces.push({ start: span.start, end: span.end });
      previousMatch = span.isMatch;
    }
    if (isBackwards) pieces.reverse();
  }
  return pieces;
}
