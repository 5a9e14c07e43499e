/**
 * The `model` section of tokenizer.json: one word to ids.
 *
 * @module
 */

import { compileBpe } from './model-bpe.ts';
import { compileUnigram } from './model-unigram.ts';
import { compileWordLevel, compileWordPiece } from './model-words.ts';
import { Section } from './section.ts';
import type { Vocabulary } from './vocabulary.ts';

/** A compiled model. */
export interface Model {
  readonly vocabulary: Vocabulary;
  /** Where parts of a word have the same ids alone as within it: those parts. */
  parts?(word: string): readonly string[];
  /**
   * The ids of one word of the pre-tokenizer; it is not empty.
   * @throws SubzeroError `invalid_data` if the vocabulary cannot express the word and names no unknown-token
   */
  encode(word: string): readonly number[];
}

const modelTypes = ['BPE', 'Unigram', 'WordLevel', 'WordPiece'];

/**
 * Compiles the section. Files from before the field `type` are told apart by their other fields.
 * @throws SubzeroError `unsupported` or `invalid_data` that names the section, the field and the value
 */
export function compileModel(value: unknown, file: string): Model {
  const section = new Section(value, 'model', file);
  const model = compileType(section);
  section.done();
  return model;
}

/** The type that the section names, or that its fields tell. */
export function modelTypeOf(value: unknown, file: string): string {
  const section = new Section(value, 'model', file);
  return String(section.raw('type') ?? typeOfFields(section));
}

function compileType(section: Section): Model {
  const type = section.raw('type') ?? typeOfFields(section);
  switch (type) {
    case 'BPE':
      return compileBpe(section);
    case 'Unigram':
      return compileUnigram(section);
    case 'WordPiece':
      return compileWordPiece(section);
    case 'WordLevel':
      return compileWordLevel(section);
    default:
      throw section.unknownType(modelTypes);
  }
}

/** The type of a model whose section does not say it. */
export function typeOfFields(section: Section): string {
  if (section.raw('merges') !== undefined) return 'BPE';
  if (Array.isArray(section.raw('vocab'))) return 'Unigram';
  return section.raw('continuing_subword_prefix') === undefined ? 'WordLevel' : 'WordPiece';
}
