/**
 * The `added_tokens` of tokenizer.json: tokens that are found in a text as they are written, before or after it is
 * normalised, and never cut.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { Normalizer } from './normalizer.ts';
import { type Piece, slicePiece, wholeText } from './piece.ts';
import type { DecodedToken } from './pieces.ts';
import { brief, type Section } from './section.ts';
import { isWordCharacter, leadingSpaceEnd, trailingSpaceStart } from './unicode.ts';
import { checkTokenId, type Vocabulary } from './vocabulary.ts';

/** An added token without an id. */
export interface NewToken {
  content: string;
  /** The id that a file gives it. */
  statedId?: number;
  /** Found as a whole word only. */
  singleWord: boolean;
  /** Takes the white space before it. */
  stripsLeft: boolean;
  /** Takes the white space behind it. */
  stripsRight: boolean;
  /** Found in the normalised text, in its own normalised form. */
  normalized: boolean;
  /** Left out of a decoded text on request. */
  special: boolean;
}

export interface AddedToken extends NewToken {
  id: number;
}

/** Reads one token as tokenizer.json and tokenizer_config.json write it. */
export function readAddedToken(section: Section): NewToken {
  const content = section.text('content');
  if (content === '') throw section.wrong('content', 'a text that is not empty', content);
  if (section.raw('id') !== undefined) checkTokenId(section, content, section.raw('id'));
  const special = section.flag('special', false);
  const token = {
    content,
    singleWord: section.flag('single_word', false),
    stripsLeft: section.flag('lstrip', false),
    stripsRight: section.flag('rstrip', false),
    normalized: section.flag('normalized', !special),
    special,
  };
  section.ignore('__type');
  section.done();
  return token;
}

/** A part of a text: an added token's id, or a piece for the pre-tokenizer. */
export type Part = { id: number } | { piece: Piece };

/** The added tokens of a tokenizer. */
export class AddedTokens {
  readonly byId: ReadonlyMap<number, AddedToken>;
  readonly ids: ReadonlyMap<string, number>;
  /** What a token is written as in a decoded text: its normalised form, if it has one. */
  readonly #written: ReadonlyMap<number, string>;
  readonly #normalizer: Normalizer | undefined;
  readonly #asWritten: Matcher;
  readonly #normalized: Matcher;

  /**
   * @param tokens in the order in which they were added; a later entry of the same content replaces an earlier one
   * @param splitsSpecial look for no special token in a text (`split_special_tokens`)
   */
  constructor(tokens: readonly AddedToken[], normalizer: Normalizer | undefined, splitsSpecial: boolean) {
    this.byId = new Map(tokens.map((token) => [token.id, token]));
    this.ids = new Map([...this.byId.values()].map(({ content, id }) => [content, id]));
    this.#normalizer = normalizer;
    const written = new Map<number, string>();
    const matchers = [new Matcher(splitsSpecial), new Matcher(splitsSpecial)] as const;
    for (const token of this.byId.values()) {
      const form = token.normalized ? normalize(token.content) : token.content;
      if (form === '') {
        throw new SubzeroError(
          'invalid_data',
          `added_tokens: the normalizer leaves nothing of ${brief(token.content)}, which would be found everywhere`,
        );
      }
      if (form !== token.content) written.set(token.id, form);
      matchers[token.normalized ? 1 : 0].add(form, token);
    }
    this.#written = written;
    [this.#asWritten, this.#normalized] = matchers;

    function normalize(text: string): string {
      return normalizer === undefined ? text : normalizer(wholeText(text)).text;
    }
  }

  /** An added token as the decoder reads it. */
  decoded(id: number): DecodedToken | undefined {
    const normalized = this.#written.get(id);
    if (normalized !== undefined) return { text: normalized, isPlain: false };
    const token = this.byId.get(id);
    return token === undefined ? undefined : { text: token.content, isPlain: true };
  }

  /** Finds the added tokens of a text and normalises the rest. */
  split(text: string): Part[] {
    return this.#asWritten.split(wholeText(text)).flatMap((part) => {
      if ('id' in part) return [part];
      return this.#normalized.split(this.#normalizer === undefined ? part.piece : this.#normalizer(part.piece));
    });
  }
}

interface Node {
  children: Map<number, Node>;
  token?: AddedToken;
}

/** Finds texts in a text: the leftmost, and of those the longest. */
class Matcher {
  readonly #splitsSpecial: boolean;
  readonly #root: Node = { children: new Map() };
  /** For each UTF-16 unit whether a token begins with it: few do, and every unit of a text is looked at. */
  readonly #begins = new Uint8Array(0x10000);

  constructor(splitsSpecial: boolean) {
    this.#splitsSpecial = splitsSpecial;
  }

  add(text: string, token: AddedToken): void {
    let node = this.#root;
    this.#begins[text.charCodeAt(0)] = 1;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      const child: Node = node.children.get(unit) ?? { children: new Map() };
      node.children.set(unit, child);
      node = child;
    }
    if (node.token !== undefined) {
      throw new SubzeroError(
        'invalid_data',
        `added_tokens: ${brief(token.content)} and ${brief(node.token.content)} are found by the same text ` +
          brief(text),
      );
    }
    node.token = token;
  }

  /** The token whose text begins at a position, and where it ends. */
  #at(text: string, start: number): { token: AddedToken; end: number } | undefined {
    let node: Node | undefined = this.#root;
    let found: { token: AddedToken; end: number } | undefined;
    for (let i = start; i < text.length; i++) {
      node = node.children.get(text.charCodeAt(i));
      if (node === undefined) break;
      if (node.token !== undefined) found = { token: node.token, end: i + 1 };
    }
    return found;
  }

  split(piece: Piece): Part[] {
    const { text } = piece;
    const parts: Part[] = [];
    let done = 0;
    const rest = (end: number) => {
      if (done < end) parts.push({ piece: slicePiece(piece, done, end) });
    };
    if (this.#root.children.size > 0) {
      for (let i = 0; i < text.length; ) {
        const match = this.#begins[text.charCodeAt(i)] === 0 ? undefined : this.#at(text, i);
        if (match === undefined) {
          i++;
          continue;
        }
        const { token } = match;
        let start = i;
        let end = match.end;
        i = end;
        if (this.#splitsSpecial && token.special) continue;
        if (token.singleWord && (endsWithWord(text.slice(0, start)) || startsWithWord(text.slice(end)))) continue;
        if (token.stripsLeft) start = Math.max(trailingSpaceStart(text.slice(0, start)), done);
        if (token.stripsRight) end += leadingSpaceEnd(text.slice(end));
        rest(start);
        // A token of spaces that its neighbour has taken leaves nothing.
        if (start < end) parts.push({ id: token.id });
        done = end;
      }
    }
    rest(text.length);
    return parts;
  }
}

function endsWithWord(text: string): boolean {
  const last = [...text.slice(-2)].at(-1);
  return last !== undefined && isWordCharacter(last);
}

function startsWithWord(text: string): boolean {
  return text !== '' && isWordCharacter(String.fromCodePoint(text.codePointAt(0)!));
}

/**
 * Gives added tokens their ids: the vocabulary's for a token that it holds, else the next free one.
 *
 * @param sections the entries of the file
 * @param others tokens that other files name, after them
 * @throws SubzeroError `invalid_data` if the file says another id, as it would for a library that counts otherwise
 */
export function assignIds(
  sections: readonly Section[],
  others: readonly NewToken[],
  vocabulary: Vocabulary,
): AddedToken[] {
  let next = vocabulary.ids.size;
  const given = new Map<string, number>();
  const assign = (content: string): number => {
    const id = given.get(content) ?? vocabulary.ids.get(content) ?? next;
    if (id === next) next++;
    given.set(content, id);
    return id;
  };
  const tokens = sections.map((section): AddedToken => {
    const token = readAddedToken(section);
    const inFile = section.raw('id');
    const id = assign(token.content);
    if (id !== inFile) {
      throw section.error('invalid_data', `the id of ${brief(token.content)} is ${brief(inFile)}; it must be ${id}`);
    }
    return { ...token, id };
  });
  for (const { statedId, ...token } of others) {
    const id = assign(token.content);
    if (statedId !== undefined && id !== statedId) {
      throw new SubzeroError(
        'invalid_data',
        `added_tokens_decoder or added_tokens.json: the id of ${brief(token.content)} is ${statedId}; it must be ${id}`,
      );
    }
    tokens.push({ ...token, id });
  }
  return tokens;
}
