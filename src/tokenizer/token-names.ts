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
  /** Whether it stands for a byte, whatever it is a part of. */
  isByte(id: number): boolean;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Gives every id a name that no other id has. */
export class TokenNames {
  readonly #vocabulary: NamedVocabulary;
  /**
   * Tokens that are not called by their text. Made at the first name, since it takes a look at the whole vocabulary.
   */
  #others: Map<number, string> | undefined;

  constructor(vocabulary: NamedVocabulary) {
    this.#vocabulary = vocabulary;
  }

  /**
   * The text of a token. Where its bytes are a part of a character, or an earlier token has this text, or any has that
   * is no byte token, `bytes:\xf0\x9f` as in OpenAI's completions; where that is no name either, `token_id:5`.
   */
  of(id: number): string {
    this.#others ??= this.#findOthers();
    if (id >= this.#vocabulary.size) return nameOfId(id);
    return this.#others.get(id) ?? textOfBytes(this.#vocabulary.bytes(id));
  }

  #findOthers(): Map<number, string> {
    const { size, bytes, isByte } = this.#vocabulary;
    const ids = Array.from({ length: size }, (_, id) => id);
    const inOrder = [...ids.filter((id) => !isByte(id)), ...ids.filter(isByte)];
    const taken = new Set<string>();
    const take = (name: string): boolean => {
      if (name === '' || taken.has(name)) return false;
      taken.add(name);
      return true;
    };
    const nameless = inOrder.filter((id) => !take(textIfWhole(bytes(id)) ?? ''));
    return new Map(
      nameless.map((id) => {
        const name = nameOfBytes(bytes(id));
        return [id, take(name) ? name : nameOfId(id)];
      }),
    );
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
  if (bytes.length === 0) return '';
  return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
}

function nameOfId(id: number): string {
  return `token_id:${id}`;
}
