/**
 * The `normalizer` section of tokenizer.json: text to text, before a text is cut into words.
 *
 * @module
 */

import { byteLevelText } from './byte-level.ts';
import { readPattern } from './pattern.ts';
import { mapPiece, type Piece, prependTo, slicePiece, wholeText } from './piece.ts';
import { compileCharacterMap } from './precompiled.ts';
import { Section } from './section.ts';
import {
  isCombiningMark,
  isControl,
  isNonspacingMark,
  isWhiteSpace,
  leadingSpaceEnd,
  lowerCase,
  normalizeUnicode,
  trailingSpaceStart,
} from './unicode.ts';

export type Normalizer = (piece: Piece) => Piece;

const types = [
  ...['BertNormalizer', 'Strip', 'StripAccents', 'NFC', 'NFD', 'NFKC', 'NFKD', 'Sequence', 'Lowercase', 'Nmt'],
  ...['Precompiled', 'Replace', 'Prepend', 'ByteLevel'],
];

/**
 * Compiles the section.
 * @throws SubzeroError `unsupported` or `invalid_data` that names the section, the field and the value
 */
export function compileNormalizer(value: unknown, file: string): Normalizer | undefined {
  return value == null ? undefined : compile(new Section(value, 'normalizer', file));
}

function compile(section: Section): Normalizer {
  const normalizer = compileType(section);
  section.done();
  return normalizer;
}

function compileType(section: Section): Normalizer {
  switch (section.type) {
    case 'Sequence': {
      const steps = section.sections('normalizers').map(compile);
      return (piece) => steps.reduce((last, step) => step(last), piece);
    }
    case 'BertNormalizer':
      return bert(section);
    case 'Strip': {
      const left = section.flag('strip_left');
      const right = section.flag('strip_right');
      return (piece) => {
        const end = right ? trailingSpaceStart(piece.text) : piece.text.length;
        const start = left ? Math.min(end, leadingSpaceEnd(piece.text)) : 0;
        return slicePiece(piece, start, end);
      };
    }
    case 'StripAccents':
      return without(isCombiningMark);
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD': {
      const form = section.type as 'NFC' | 'NFD' | 'NFKC' | 'NFKD';
      return (piece) => mapPiece(piece, (text) => normalizeUnicode(text, form));
    }
    case 'Lowercase':
      return (piece) => mapPiece(piece, lowerCase);
    case 'Nmt': {
      const clean = without(isRemovedByNmt);
      return (piece) => mapPiece(clean(piece), (text) => text.replace(nmtSpaces, ' '));
    }
    case 'Precompiled': {
      const map = compileCharacterMap(section);
      // What the map removes at the beginning leaves its place to the first character that it keeps.
      return (piece) => {
        const mapped = mapPiece(piece, map);
        return piece.origin > 0 && mapped.origin === 0 ? wholeText(mapped.text) : mapped;
      };
    }
    case 'Replace': {
      const pattern = readPattern(section);
      const content = section.text('content');
      return ({ text, origin }) => {
        const result: Piece = { text: '', origin: 0 };
        for (const { start, end, isMatch } of pattern(text)) {
          result.text += isMatch ? content : text.slice(start, end);
          // New characters stand in the place of the last character that they replace.
          if (isMatch) result.origin += origin > 0 && end <= origin ? content.length : 0;
          else result.origin += Math.max(0, Math.min(origin, end) - start);
        }
        return result;
      };
    }
    case 'Prepend': {
      const prefix = section.text('prepend');
      return (piece) => (piece.text === '' ? piece : prependTo(piece, prefix));
    }
    case 'ByteLevel':
      return (piece) => mapPiece(piece, byteLevelText);
    default:
      throw section.unknownType(types);
  }
}

/** Control characters but for tab, line feed, form feed and carriage return; and two of the second row. */
function isRemovedByNmt(c: number): boolean {
  if (c < 0x20) return c > 0 && c !== 0x09 && c !== 0x0a && c !== 0x0c && c !== 0x0d;
  return c === 0x7f || c === 0x8f || c === 0x9f;
}

const nmtSpaces = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g;

/** BERT's cleaning: control characters, spaces around Chinese characters, accents and case. */
function bert(section: Section): Normalizer {
  const steps: Normalizer[] = [];
  if (section.flag('clean_text')) {
    steps.push(
      without(isControl),
      mapping((character, c) => (isWhiteSpace(c) ? ' ' : character)),
    );
  }
  if (section.flag('handle_chinese_chars')) {
    steps.push(mapping((character, c) => (isChinese(c) ? ` ${character} ` : character)));
  }
  const lowercase = section.flag('lowercase');
  const accents = section.raw('strip_accents') == null ? lowercase : section.flag('strip_accents');
  if (accents) {
    steps.push((piece) => mapPiece(piece, (text) => normalizeUnicode(text, 'NFD')), without(isNonspacingMark));
  }
  if (lowercase) steps.push((piece) => mapPiece(piece, lowerCase));
  return (piece) => steps.reduce((last, step) => step(last), piece);
}

/** The blocks that BERT takes for Chinese; one of them begins late, as in the reference implementation. */
const chineseBlocks = [
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xf900, 0xfaff],
  [0x20000, 0x2a6df],
  [0x2a700, 0x2b81f],
  [0x2b920, 0x2ceaf],
  [0x2f800, 0x2fa1f],
] as const;

function isChinese(codePoint: number): boolean {
  return codePoint >= 0x3400 && chineseBlocks.some(([first, last]) => codePoint >= first && codePoint <= last);
}

/** Removes characters. */
function without(test: (codePoint: number) => boolean): Normalizer {
  return mapping((character, c) => (test(c) ? '' : character));
}

function mapping(map: (character: string, codePoint: number) => string): Normalizer {
  return (piece) =>
    mapPiece(piece, (text) => {
      let result = '';
      for (const character of text) result += map(character, character.codePointAt(0)!);
      return result;
    });
}
