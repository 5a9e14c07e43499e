/**
 * The `pre_tokenizer` section of tokenizer.json: cutting a normalised text into the words that the model encodes.
 *
 * @module
 */

import { byteLevelText } from './byte-level.ts';
import type { Piece } from './normalizer.ts';
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
import { Section } from './section.ts';
import { isNumeric, isPunctuation, isWhiteSpace, wordCharacters } from './unicode.ts';

/** Cuts pieces into smaller ones; some change them, too. */
export type PreTokenizer = (pieces: readonly Piece[]) => Piece[];

const types = [
  ...['BertPreTokenizer', 'ByteLevel', 'CharDelimiterSplit', 'Digits', 'FixedLength', 'Metaspace', 'Punctuation'],
  ...['Sequence', 'Split', 'Whitespace', 'WhitespaceSplit'],
];

/** GPT-2's splitting into words, numbers, punctuation and spaces. */
const gpt2Words =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

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
  return preTokenizer;
}

function compileType(section: Section): PreTokenizer {
  switch (section.type) {
    case 'Sequence': {
      const steps = section.sections('pretokenizers').map(compile);
      return (pieces) => steps.reduce<Piece[]>((last, step) => step(last), [...pieces]);
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
        const characters = [...text];
        return Array.from({ length: Math.ceil(characters.length / length) }, (_, i) =>
          characters.slice(i * length, (i + 1) * length).join(''),
        );
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

function metaspace(section: Section): PreTokenizer {
  const { replacement, scheme, split: splits } = readMetaspace(section);
  const codePoint = replacement.codePointAt(0)!;
  const cut = splitting(
    ofCharacters((c) => c === codePoint),
    'MergedWithNext',
  );
  return (pieces) => {
    const marked = pieces.map(({ text, isFirst }) => {
      const replaced = text.replaceAll(' ', () => replacement);
      const prepends = !replaced.startsWith(replacement) && (scheme === 'always' || (scheme === 'first' && isFirst));
      return { text: prepends ? replacement + replaced : replaced, isFirst };
    });
    return splits ? cut(marked) : marked;
  };
}

function byteLevel(section: Section): PreTokenizer {
  const addsSpace = section.flag('add_prefix_space');
  const usesWords = section.flag('use_regex', true);
  section.ignore('trim_offsets');
  const words = splitting(ofExpression(gpt2Words), 'Isolated');
  return (pieces) => {
    const spaced = addsSpace
      ? pieces.map(({ text, isFirst }) => ({ text: text.startsWith(' ') ? text : ` ${text}`, isFirst }))
      : pieces;
    return (usesWords ? words(spaced) : spaced).map(({ text, isFirst }) => ({ text: byteLevelText(text), isFirst }));
  };
}

function splitting(pattern: Pattern, behavior: SplitBehavior): PreTokenizer {
  return cutting((text) => split(text, pattern, behavior));
}

/** Cuts every piece; the first part begins where the piece begins, if that is the beginning of its text. */
function cutting(cut: (text: string) => string[]): PreTokenizer {
  return (pieces) =>
    pieces.flatMap(({ text, isFirst }) =>
      cut(text).map((part, index) => ({ text: part, isFirst: isFirst && index === 0 && text.startsWith(part) })),
    );
}
