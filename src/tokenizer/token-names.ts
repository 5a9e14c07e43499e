/**
 * One name for each token of a vocabulary, for people and for tables with tokens as keys.
 *
 * @module
 */

import { textOfBytes } from './partial-characters.ts';

/** What the names are made of. */
export interface NamedVocabulary {
  /** One more than the largest id. */
  size: number;
  /** The bytes of a token inside a text. */
  bytes(id: number): Uint8Array;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Gives every id a name that no other id has. */
export class TokenNames {
  readonly #vocabulary: NamedVocabulary;
  /** Tokens that are not called by their text. Made at the first name, since it takes a look at the whole vocabulary. */
  #others: Map<number, string> | undefined;

  constructor(vocabulary: NamedVocabulary) {
    this.#vocabulary = vocabulary;
  }

  /**
   * The text of a token. Where its bytes are a part of a character, or a token with a larger id has the same text (the
   * letter beside its byte token), `bytes:\xf0\x9f` as in OpenAI's completions; where that is no name either,
   * `token_id:5`.
   */
  of(id: number): string {
    this.#others ??= this.#findOthers();
    if (id >= this.#vocabulary.size) return nameOfId(id);
    return this.#others.get(id) ?? textOfBytes(this.#vocabulary.bytes(id));
  }

  #findOthers(): Map<number, string> {
    const { size, bytes } = this.#vocabulary;
    const owners = new Map<string, number>();
    for (let id = 0; id < size; id++) {
      const text = textIfWhole(bytes(id));
      if (text) owners.set(text, id);
    }
    const others = new Map<number, string>();
    for (let id = 0; id < size; id++) {
      const own = bytes(id);
      const text = textIfWhole(own);
      if (text && owners.get(text) === id) continue;
      const name = nameOfBytes(own);
      const isFree = own.length > 0 && !owners.has(name);
      if (isFree) owners.set(name, id);
      others.set(id, isFree ? name : nameOfId(id));
    }
    return others;
  }
}

function textIfWhole(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

function nameOfBytes(bytes: Uint8Array): string {
  return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
}

function nameOfId(id: number): string {
  return `token_id:${id}`;
}
