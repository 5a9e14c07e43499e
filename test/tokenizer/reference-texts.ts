/**
 * The texts and ids that test/parity/make_tokenizers.py made its reference values with.
 *
 * @module
 */

import { createHash } from 'node:crypto';
import { openDecodeStream } from '../../src/tokenizer/decode-stream.ts';
import type { Pipeline } from '../../src/tokenizer/pipeline.ts';

/** A tokenizer of random stages, each named by the case of `encode` that has it, and random added tokens. */
export interface Combination {
  model: string;
  normalizers: string[];
  pre_tokenizers: string[];
  added_tokens: Record<string, unknown>[];
  /** The texts on which the reference panics. */
  panics: number[];
  ids: string;
}

/** test/fixtures/tokenizers/variants.json. */
export interface Variants {
  alphabet: string;
  words: string[];
  texts: string[];
  sweep: [number, number][];
  models: Record<string, Record<string, unknown>>;
  encode: { name: string; sections: Record<string, unknown>; texts: string[]; mixed: string; sweep?: string }[];
  decode: { name: string; sections: Record<string, unknown>; size: number; texts: Record<string, string> }[];
  combinations: Combination[];
}

function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state;
  };
}

/** Random texts of an alphabet and words. */
export function mixedTexts({ alphabet, words }: Pick<Variants, 'alphabet' | 'words'>): string[] {
  const next = randomNumbers(7);
  const letters = [...alphabet, ...words, ...words];
  return Array.from({ length: 150 }, () => {
    // The reference draws the length first.
    const length = 1 + (next() % 24);
    return Array.from({ length }, () => letters[next() % letters.length]).join('');
  });
}

/** Every code point of some ranges, each behind and before letters, digits and spaces. */
export function sweepTexts(ranges: readonly [number, number][]): string[] {
  const texts: string[] = [];
  for (const [first, last] of ranges) {
    for (let start = first; start < last; start += 256) {
      let text = '';
      for (let c = start; c < Math.min(start + 256, last); c++) {
        const character = String.fromCodePoint(c);
        text += `a${character}1 ${character}`;
      }
      texts.push(text);
    }
  }
  return texts;
}

/** Random lists of ids below `size`. */
export function idLists(size: number, count: number): number[][] {
  const next = randomNumbers(11);
  return Array.from({ length: count }, () => {
    const length = 1 + (next() % 12);
    return Array.from({ length }, () => next() % size);
  });
}

export function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 8);
}

/** The text of ids; `holdsBytes` as {@link openDecodeStream} says. */
export function decode(
  pipeline: Pipeline,
  ids: readonly number[],
  options: { skipSpecialTokens: boolean; holdsBytes?: boolean },
): string {
  const lookup = {
    pieces: pipeline.pieces,
    token: (id: number) => pipeline.decodedToken(id),
    isSpecial: (id: number) => pipeline.addedTokens.get(id)?.special === true,
  };
  const stream = openDecodeStream(lookup, options);
  return ids.map((id) => stream.push(id)).join('') + stream.flush();
}
