/**
 * What one token contributes to the decoded text. The `decoder` section of tokenizer.json is compiled to a function
 * from token to bytes plus the little that depends on the position, so that a text can be decoded token by token.
 *
 * @module
 */

import { bytesOfByteLevelToken } from './byte-level.ts';
import { readPattern } from './pattern.ts';
import { readMetaspace } from './pre-tokenizer.ts';
import { Section } from './section.ts';

/** Where a token stands in its text. */
export interface Place {
  isFirst: boolean;
  isLast: boolean;
}

/** A token as the decoder reads it. */
export interface DecodedToken {
  text: string;
  /** Whether it is an added token, which is written as it stands and not in the byte alphabet. */
  isPlain: boolean;
}

/** A compiled decoder. */
export interface Pieces {
  /** The bytes of a token. They may be a part of a character. */
  bytes(token: DecodedToken, place: Place): Uint8Array;
  /** Whether a token stands for one byte, and is text only together with its neighbours. */
  isByte(token: DecodedToken): boolean;
  /** Whether {@link bytes} depends on `isLast`. */
  looksAhead: boolean;
  /** What the whole text loses at its ends: up to this many of a character. */
  strip: { character: string; start: number; stop: number };
}

const types = [
  'BPEDecoder',
  'ByteFallback',
  'ByteLevel',
  'Fuse',
  'Metaspace',
  'Replace',
  'Sequence',
  'Strip',
  'WordPiece',
];

const encoder = new TextEncoder();

/** One token's text to another text. */
type Step = (text: string, place: Place) => string;

/** A decoder while it is compiled. */
interface Chain {
  steps: Step[];
  /** What the steps have made of the list of tokens: texts, texts and runs of bytes, or one text. */
  state: 'tokens' | 'runs' | 'whole';
  isByteLevel: boolean;
  hasByteTokens: boolean;
  looksAhead: boolean;
  strip: Pieces['strip'];
}

/**
 * Compiles the section.
 * @throws SubzeroError `unsupported` or `invalid_data` that names the section, the field and the value
 */
export function compileDecoder(value: unknown, file: string): Pieces {
  const chain: Chain = {
    steps: [],
    state: 'tokens',
    isByteLevel: false,
    hasByteTokens: false,
    looksAhead: false,
    strip: { character: ' ', start: 0, stop: 0 },
  };
  // Without a decoder, tokens are words: the reference implementation joins them with spaces.
  if (value == null) chain.steps.push((text, { isFirst }) => (isFirst ? text : ` ${text}`));
  else compile(new Section(value, 'decoder', file), chain);

  const { steps, isByteLevel, hasByteTokens, looksAhead, strip } = chain;
  const textOf = (token: DecodedToken, place: Place) => steps.reduce((text, step) => step(text, place), token.text);
  const byteOf = (text: string) => (hasByteTokens ? /^<0x([0-9A-Fa-f]{2})>$/.exec(text)?.[1] : undefined);
  return {
    bytes(token, place) {
      const text = textOf(token, place);
      if (isByteLevel) return (token.isPlain ? undefined : bytesOfByteLevelToken(text)) ?? encoder.encode(text);
      const byte = byteOf(text);
      return byte === undefined ? encoder.encode(text) : Uint8Array.of(Number.parseInt(byte, 16));
    },
    isByte: (token) => byteOf(textOf(token, { isFirst: false, isLast: false })) !== undefined,
    looksAhead,
    strip,
  };
}

function compile(section: Section, chain: Chain): void {
  const { type } = section;
  /** A step on the list of tokens, before anything has joined them. */
  const onTokens = (step: Step): void => {
    if (chain.state !== 'tokens') {
      throw section.error('unsupported', `${type} after ByteFallback, ByteLevel or Fuse is not supported`);
    }
    chain.steps.push(step);
  };
  switch (type) {
    case 'Sequence':
      for (const each of section.sections('decoders')) compile(each, chain);
      break;
    case 'ByteLevel':
      onTokens((text) => text);
      chain.isByteLevel = true;
      chain.state = 'whole';
      section.ignore('add_prefix_space', 'trim_offsets', 'use_regex');
      break;
    case 'ByteFallback':
      onTokens((text) => text);
      chain.hasByteTokens = true;
      chain.state = 'runs';
      break;
    case 'Fuse':
      chain.state = 'whole';
      break;
    case 'Replace': {
      const pattern = readPattern(section);
      const content = section.text('content');
      onTokens((text) =>
        pattern(text)
          .map(({ start, end, isMatch }) => (isMatch ? content : text.slice(start, end)))
          .join(''),
      );
      break;
    }
    case 'Strip':
      compileStrip(section, chain, onTokens);
      break;
    case 'Metaspace': {
      const { replacement, scheme } = readMetaspace(section);
      onTokens((text, { isFirst }) => text.replaceAll(replacement, isFirst && scheme !== 'never' ? '' : ' '));
      break;
    }
    case 'WordPiece': {
      const prefix = section.text('prefix');
      const cleanup = section.flag('cleanup');
      onTokens((text, { isFirst }) => {
        const joined = isFirst ? text : text.startsWith(prefix) ? text.slice(prefix.length) : ` ${text}`;
        return cleanup ? cleanUp(joined) : joined;
      });
      break;
    }
    case 'BPEDecoder': {
      const suffix = section.text('suffix');
      if (suffix === '') throw section.wrong('suffix', 'a text that is not empty', suffix);
      onTokens((text, { isLast }) => text.replaceAll(suffix, isLast ? '' : ' '));
      chain.looksAhead = true;
      break;
    }
    default:
      throw section.unknownType(types);
  }
  section.done();
}

/** Strip takes characters from the ends of each token, or of the whole text if something has joined the tokens. */
function compileStrip(section: Section, chain: Chain, onTokens: (step: Step) => void): void {
  const strip = { character: section.character('content'), start: section.count('start'), stop: section.count('stop') };
  if (chain.state !== 'whole') {
    onTokens((text) => {
      const end = stripEnd(text, strip);
      return text.slice(Math.min(stripStart(text, strip), end), end);
    });
  } else if (chain.strip.start + chain.strip.stop > 0) {
    throw section.error('unsupported', 'a second Strip of the whole text is not supported');
  } else chain.strip = strip;
}

/** Where a text begins that loses its first characters. */
function stripStart(text: string, { character, start }: Pieces['strip']): number {
  let index = 0;
  for (let n = 0; n < start && text.startsWith(character, index); n++) index += character.length;
  return index;
}

/** Where a text ends that loses its last characters. */
export function stripEnd(text: string, { character, stop }: Pieces['strip']): number {
  let index = text.length;
  for (let n = 0; n < stop && text.endsWith(character, index); n++) index -= character.length;
  return index;
}

/** The `cleanup` option of the WordPiece decoder: no space before punctuation and in English contractions. */
function cleanUp(text: string): string {
  return text
    .replace(/ ([.?!,])/g, '$1')
    .replaceAll(" ' ", "'")
    .replaceAll(" n't", "n't")
    .replaceAll(" 'm", "'m")
    .replaceAll(' do not', " don't")
    .replaceAll(" 's", "'s")
    .replaceAll(" 've", "'ve")
    .replaceAll(" 're", "'re");
}
