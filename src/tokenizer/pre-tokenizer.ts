/**
 * The `pre_tokenizer` section of tokenizer.json: cutting a normalised text into the words that the model encodes.
 *
 * @module
 */

import { byteLevelText } from './byte-level.ts';
import {
  inverted,
  ofCharacters,
  ofExpression,
  type Pattern,
  readPattern,
  type SplitBehavior,
  split,
  splitBehaviors,
} from './pattern.ts';
import { mapPiece, type Piece, prependTo, slicePiece } from './piece.ts';
import { Section } from './section.ts';
import { isNumeric, isPunctuation, isWhiteSpace, wordCharacters } from './unicode.ts';

/** Cuts pieces into smaller ones; some change them, too. */
type Step = (pieces: readonly Piece[]) => Piece[];

/** A compiled section. */
export interface PreTokenizer {
  cut: Step;
  /** What each piece becomes after it was cut; by default it stays as it is. */
  write?: (text: string) => string;
}

const types = [
  ...['BertPreTokenizer', 'ByteLevel', 'CharDelimiterSplit', 'Digits', 'FixedLength', 'Metaspace', 'Punctuation'],
  ...['Sequence', 'Split', 'Whitespace', 'WhitespaceSplit'],
];

/** GPT-2's splitting into words, numbers, punctuation and spaces. */
const gpt2Words = new RegExp(
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\p{White_Space}\\p{L}\\p{N}]+" +
    '|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+',
  'gu',
);

const wordsAndSigns = new RegExp(`[${wordCharacters}]+|[^${wordCharacters}\\p{White_Space}]+`, 'gu');

/**
 * Compiles the section.
 * @throws SubzeroError `unsupported` or `invalid_data` that names the section, the field and the value
 */
export function compilePreTokenizer(value: unknown, file: string): PreTokenizer | undefined {
  return value == null ? undefined : compile(new Section(value, 'pre_tokenizer', file));
}

function compile(section: Section): PreTokenizer {
  const preTokenizer = compileType(section);
  section.done();
  return typeof preTokenizer === 'function' ? { cut: preTokenizer } : preTokenizer;
}

function compileType(section: Section): PreTokenizer | Step {
  switch (section.type) {
    case 'Sequence': {
      const all = section.sections('pretokenizers').map(compile);
      const steps = all.map(({ cut, write }, index): Step => {
        if (write === undefined || index === all.length - 1) return cut;
        return (pieces) => cut(pieces).map((piece) => mapPiece(piece, write));
      });
      return { ...all.at(-1), cut: (pieces) => steps.reduce<Piece[]>((last, step) => step(last), [...pieces]) };
    }
    case 'BertPreTokenizer': {
      const words = splitting(ofCharacters(isWhiteSpace), 'Removed');
      const signs = splitting(ofCharacters(isPunctuation), 'Isolated');
      return (pieces) => signs(words(pieces));
    }
    case 'ByteLevel':
      return byteLevel(section);
    case 'CharDelimiterSplit': {
      const delimiter = section.character('delimiter').codePointAt(0)!;
      return splitting(
        ofCharacters((c) => c === delimiter),
        'Removed',
      );
    }
    case 'Digits':
      return splitting(ofCharacters(isNumeric), section.flag('individual_digits') ? 'Isolated' : 'Contiguous');
    case 'FixedLength': {
      const length = section.count('length', 5);
      if (length === 0) throw section.wrong('length', 'a whole number from 1', length);
      return cutting((text) => {
        const parts: { start: number; end: number }[] = [];
        let count = 0;
        let end = 0;
        for (const character of text) {
          if (count++ % length === 0) parts.push({ start: end, end });
          end += character.length;
          parts.at(-1)!.end = end;
        }
        return parts;
      });
    }
    case 'Metaspace':
      return metaspace(section);
    case 'Punctuation':
      return splitting(ofCharacters(isPunctuation), section.choice('behavior', splitBehaviors, 'Isolated'));
    case 'Split': {
      const pattern = readPattern(section);
      const behavior = section.choice('behavior', splitBehaviors);
      return splitting(section.flag('invert') ? inverted(pattern) : pattern, behavior);
    }
    case 'Whitespace':
      return splitting(inverted(ofExpression(wordsAndSigns)), 'Removed');
    case 'WhitespaceSplit':
      return splitting(ofCharacters(isWhiteSpace), 'Removed');
    default:
      throw section.unknownType(types);
  }
}

/** The fields of a Metaspace section, as the pre-tokenizer and the decoder read them. */
export function readMetaspace(section: Section): {
  replacement: string;
  scheme: 'always' | 'first' | 'never';
  split: boolean;
} {
  const replacement = section.character('replacement');
  const scheme = section.choice('prepend_scheme', ['always', 'first', 'never'], 'always');
  const split = section.raw('split') == null ? true : section.flag('split');
  section.ignore('str_rep');
  const addsSpace = section.raw('add_prefix_space');
  if (addsSpace != null && section.flag('add_prefix_space') === false && scheme !== 'never') {
    throw section.error('invalid_data', `"add_prefix_space" is false and "prepend_scheme" is ${scheme}: they disagree`);
  }
  return { replacement, scheme, split };
}

function metaspace(section: Section): Step {
  const { replacement, scheme, split: splits } = readMetaspace(section);
  const codePoint = replacement.codePointAt(0)!;
  const cut = splitting(
    ofCharacters((c) => c === codePoint),
    'MergedWithNext',
  );
  return (pieces) => {
    const marked = pieces.map((piece) => {
      const replaced = mapPiece(piece, (text) => text.replaceAll(' ', () => replacement));
      const prepends = scheme === 'always' || (scheme === 'first' && piece.origin > 0);
      return prepends && !replaced.text.startsWith(replacement) ? prependTo(replaced, replacement) : replaced;
    });
    return splits ? cut(marked) : marked;
  };
}

function byteLevel(section: Section): PreTokenizer {
  const addsSpace = section.flag('add_prefix_space');
  const usesWords = section.flag('use_regex', true);
  section.ignore('trim_offsets');
  const words = splitting(ofExpression(gpt2Words), 'Isolated');
  return {
    cut: (pieces) => {
      const spaced = addsSpace
        ? pieces.map((piece) => (piece.text.startsWith(' ') ? piece : prependTo(piece, ' ')))
        : [...pieces];
      return usesWords ? words(spaced) : spaced;
    },
    write: byteLevelText,
  };
}

function splitting(pattern: Pattern, behavior: SplitBehavior): Step {
  return cutting((text) => split(text, pattern, behavior));
}

/** Cuts every piece into parts; there are none without a text. */
function cutting(cut: (text: string) => { start: number; end: number }[]): Step {
  return (pieces) => {
    const parts: Piece[] = [];
    for (const piece of pieces) {
      for (const { start, end } of cut(piece.text)) {
        if (start < end) parts.push(slicePiece(piece, start, end));
      }
    }
    return parts;
  };
}
