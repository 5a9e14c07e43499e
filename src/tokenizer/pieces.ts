/**
 * What one token contributes to the decoded text. The decoder section of tokenizer.json is compiled to a function
 * from token to bytes plus the little that depends on the position, so that a text can be decoded token by token.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { bytesOfByteLevelToken } from './byte-level.ts';
import { isRecord } from './files.ts';

/** A compiled decoder. */
export interface Pieces {
  /** The bytes of a token that is not the first one of the text. They may be a part of a character. */
  bytes(token: string, isAdded: boolean): Uint8Array;
  /** As {@link bytes}, for the first token of a text. */
  firstBytes(token: string, isAdded: boolean): Uint8Array;
  /** How many leading spaces the whole text loses (SentencePiece's dummy prefix). */
  stripSpaces: number;
}

/** A step of a decoder: text to text, or text to bytes, which ends the chain for this token. */
type Step = (piece: string, isFirst: boolean, isAdded: boolean) => string | Uint8Array;

const supportedDecoders = 'ByteLevel, Metaspace, WordPiece, ByteFallback, Fuse, Replace, Strip and Sequence';
const encoder = new TextEncoder();

/**
 * Compiles the `decoder` section of a tokenizer.json.
 * @throws SubzeroError `unsupported` for a decoder type that is not known.
 */
export function compileDecoder(decoder: unknown, file: string): Pieces {
  const state = { stripSpaces: 0 };
  // Without a decoder, tokens are words: the reference implementation joins them with spaces.
  const steps: Step[] =
    decoder == null ? [(piece, isFirst) => (isFirst ? piece : ` ${piece}`)] : compile(decoder, state, file);
  const run = (token: string, isFirst: boolean, isAdded: boolean): Uint8Array => {
    let piece: string | Uint8Array = token;
    for (const step of steps) {
      if (typeof piece !== 'string') break;
      piece = step(piece, isFirst, isAdded);
    }
    return typeof piece === 'string' ? encoder.encode(piece) : piece;
  };
  return {
    bytes: (token, isAdded) => run(token, false, isAdded),
    firstBytes: (token, isAdded) => run(token, true, isAdded),
    stripSpaces: state.stripSpaces,
  };
}

function compile(decoder: unknown, state: { stripSpaces: number }, file: string): Step[] {
  const unsupported = (what: string) =>
    new SubzeroError('unsupported', `${file}: decoder ${what} is not supported; supported are ${supportedDecoders}`, {
      parameter: file,
    });
  if (!isRecord(decoder)) throw unsupported(JSON.stringify(decoder));
  switch (decoder.type) {
    case 'Sequence':
      return (Array.isArray(decoder.decoders) ? decoder.decoders : []).flatMap((each) => compile(each, state, file));
    case 'ByteLevel':
      // Added tokens are plain text, whatever characters they are made of.
      return [
        (piece, _isFirst, isAdded) => (isAdded ? undefined : bytesOfByteLevelToken(piece)) ?? encoder.encode(piece),
      ];
    case 'ByteFallback':
      return [
        (piece) => {
          const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(piece)?.[1];
          return byte === undefined ? piece : Uint8Array.of(Number.parseInt(byte, 16));
        },
      ];
    case 'Fuse':
      return []; // joining pieces is what the reader does anyway
    case 'Replace': {
      const pattern = isRecord(decoder.pattern) ? decoder.pattern.String : undefined;
      const content = decoder.content ?? '';
      if (typeof pattern !== 'string' || typeof content !== 'string')
        throw unsupported('Replace with a regular expression');
      return [(piece) => piece.replaceAll(pattern, () => content)];
    }
    case 'Strip': {
      if (decoder.content !== ' ' || (decoder.stop ?? 0) !== 0) throw unsupported(JSON.stringify(decoder));
      state.stripSpaces += Number(decoder.start ?? 0);
      return [];
    }
    case 'Metaspace': {
      const replacement = typeof decoder.replacement === 'string' ? decoder.replacement : '\u2581';
      const addsPrefix = decoder.prepend_scheme !== 'never' && decoder.add_prefix_space !== false;
      return [
        (piece, isFirst) => {
          const text = piece.replaceAll(replacement, ' ');
          return isFirst && addsPrefix && text.startsWith(' ') ? text.slice(1) : text;
        },
      ];
    }
    case 'WordPiece': {
      const prefix = typeof decoder.prefix === 'string' ? decoder.prefix : '##';
      const cleanup = decoder.cleanup !== false;
      return [
        (piece, isFirst) => {
          let text = piece;
          if (!isFirst) text = prefix && piece.startsWith(prefix) ? piece.slice(prefix.length) : ` ${piece}`;
          return cleanup ? cleanUpPiece(text) : text;
        },
      ];
    }
    default:
      throw unsupported(JSON.stringify(decoder.type));
  }
}

/** The `cleanup` option of the WordPiece decoder: no space before punctuation and English contractions. */
function cleanUpPiece(text: string): string {
  return text
    .replace(/ ([.?!,])/g, '$1')
    .replace(/ ' /g, "'")
    .replace(/ (n't|'m|'s|'ve|'re)/g, '$1');
}
