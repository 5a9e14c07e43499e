/**
 * The models that look words up: WordLevel takes a whole word, WordPiece (Schuster and Nakajima 2012) the longest
 * beginning over and over.
 *
 * @module
 */

import type { Model } from './model.ts';
import { missingUnknown } from './model-bpe.ts';
import type { Section } from './section.ts';
import { readVocabulary, type Vocabulary } from './vocabulary.ts';

/** Compiles a `model` section of type WordLevel. */
export function compileWordLevel(section: Section): Model {
  const vocabulary = readVocabulary(section);
  const unknown = unknownOf(vocabulary, section.text('unk_token'));
  return {
    vocabulary,
    encode: (word) => [vocabulary.ids.get(word) ?? unknown()],
  };
}

/** Compiles a `model` section of type WordPiece. */
export function compileWordPiece(section: Section): Model {
  const vocabulary = readVocabulary(section);
  const { ids } = vocabulary;
  const unknown = unknownOf(vocabulary, section.text('unk_token'));
  const prefix = section.text('continuing_subword_prefix');
  const longest = section.count('max_input_chars_per_word');
  return {
    vocabulary,
    encode(word) {
      const characters = [...word];
      if (characters.length > longest) return [unknown()];
      const result: number[] = [];
      for (let start = 0; start < characters.length; ) {
        let end = characters.length;
        let id: number | undefined;
        for (; end > start && id === undefined; end--) {
          id = ids.get((start > 0 ? prefix : '') + characters.slice(start, end).join(''));
        }
        if (id === undefined) return [unknown()];
        result.push(id);
        start = end + 1;
      }
      return result;
    },
  };
}

function unknownOf({ ids }: Vocabulary, token: string): () => number {
  const id = ids.get(token);
  return () => {
    if (id === undefined) throw missingUnknown(token);
    return id;
  };
}
