/**
 * The stages of tokenizer.json as one function from text to ids. They follow the reference implementation
 * (huggingface/tokenizers 0.23) to the id; what is not known of a file is refused.
 *
 * @module
 */

import { type AddedToken, AddedTokens, assignIds, type NewToken } from './added-tokens.ts';
import { compileModel, type Model } from './model.ts';
import { compileNormalizer } from './normalizer.ts';
import type { Piece } from './piece.ts';
import { compileDecoder, type DecodedToken, type Pieces } from './pieces.ts';
import { compilePostProcessor, type PostProcessor } from './post-processor.ts';
import { compilePreTokenizer, type PreTokenizer } from './pre-tokenizer.ts';
import { Section } from './section.ts';
import { TextMemory } from './text-memory.ts';

/** Words whose ids are remembered, and UTF-16 units of the longest one. */
const wordsRemembered = 32_768;
const longestWord = 64;

/** The same of what stands between added tokens, such as the messages of a conversation that is encoded in parts. */
const passagesRemembered = 64;
const longestPassage = 16_384;

/** A compiled tokenizer.json. */
export class Pipeline {
  /** One more than the largest id. */
  readonly vocabularySize: number;
  readonly pieces: Pieces;
  readonly #model: Model;
  readonly #added: AddedTokens;
  readonly #preTokenizer: PreTokenizer | undefined;
  #postProcessor: PostProcessor | undefined;
  readonly #words = new TextMemory<readonly number[]>(wordsRemembered, longestWord);
  readonly #passages = new TextMemory<readonly number[]>(passagesRemembered, longestPassage);

  /**
   * @param tokenizer the parsed file
   * @param options.alsoAdded tokens that other files add: they follow those of the file
   * @param options.splitsSpecial look for no special token in a text
   * @throws SubzeroError `unsupported` or `invalid_data` that names the file, the section, the field and the value
   */
  constructor(
    tokenizer: Record<string, unknown>,
    file: string,
    options: { alsoAdded?: readonly NewToken[]; splitsSpecial?: boolean } = {},
  ) {
    const section = new Section(tokenizer, '', file);
    const version = section.raw('version');
    if (version != null && version !== '1.0') throw section.wrong('version', '"1.0"', version);
    // Cutting and filling up are for batches; a caller of the reference asks for them, and nothing here does.
    section.ignore('truncation', 'padding');
    this.#model = compileModel(section.raw('model'), file);
    const { vocabulary } = this.#model;
    const normalizer = compileNormalizer(section.raw('normalizer'), file);
    this.#preTokenizer = compilePreTokenizer(section.raw('pre_tokenizer'), file);
    this.#postProcessor = compilePostProcessor(section.raw('post_processor'), file);
    this.pieces = compileDecoder(section.raw('decoder'), file);
    const sections = section.raw('added_tokens') == null ? [] : section.sections('added_tokens');
    const tokens = assignIds(sections, options.alsoAdded ?? [], vocabulary);
    section.done();
    this.#added = new AddedTokens(tokens, normalizer, options.splitsSpecial ?? false);
    let largest = -1;
    for (const ids of [vocabulary.tokens, this.#added.byId]) {
      for (const id of ids.keys()) largest = Math.max(largest, id);
    }
    this.vocabularySize = largest + 1;
  }

  get addedTokens(): ReadonlyMap<number, AddedToken> {
    return this.#added.byId;
  }

  /** Puts another post-processor in the place of the file's. */
  frame(postProcessor: unknown, file: string): void {
    this.#postProcessor = compilePostProcessor(postProcessor, file);
  }

  /** The ids that the post-processor puts in front of a text. */
  get tokensInFront(): number[] {
    const text = -1;
    const framed = this.#postProcessor?.([text]) ?? [];
    return framed.slice(0, Math.max(0, framed.indexOf(text)));
  }

  /** The id of a token, added or not. */
  idOf(token: string): number | undefined {
    return this.#added.ids.get(token) ?? this.#model.vocabulary.ids.get(token);
  }

  /** A token as the vocabulary has it: an added one's content. */
  tokenOf(id: number): string | undefined {
    return this.#added.byId.get(id)?.content ?? this.#model.vocabulary.tokens.get(id);
  }

  /** A token as the decoder reads it. */
  decodedToken(id: number): DecodedToken | undefined {
    const added = this.#added.decoded(id);
    const text = this.#model.vocabulary.tokens.get(id);
    return added ?? (text === undefined ? undefined : { text, isPlain: false });
  }

  /** Ids of a text. A lone surrogate is read as U+FFFD. */
  encode(text: string, options: { addSpecialTokens: boolean }): number[] {
    const ids: number[] = [];
    for (const part of this.#added.split(text.replace(/\p{Surrogate}/gu, '\uFFFD'))) {
      if ('id' in part) ids.push(part.id);
      else append(ids, this.#idsOfPiece(part.piece));
    }
    return options.addSpecialTokens && this.#postProcessor !== undefined ? this.#postProcessor(ids) : ids;
  }

  #idsOfPiece(piece: Piece): readonly number[] {
    // What a text begins with may have other ids than elsewhere.
    const known = piece.origin === 0 ? this.#passages.get(piece.text) : undefined;
    if (known !== undefined) return known;
    const ids: number[] = [];
    const parts = this.#preTokenizer?.write === undefined ? this.#model.parts : undefined;
    for (const { text } of this.#preTokenizer?.cut([piece]) ?? [piece]) {
      for (const word of parts?.(text) ?? [text]) append(ids, this.#idsOfWord(word));
    }
    if (piece.origin === 0) this.#passages.set(piece.text, ids);
    return ids;
  }

  #idsOfWord(word: string): readonly number[] {
    if (word === '') return [];
    const known = this.#words.get(word);
    if (known !== undefined) return known;
    const ids = this.#model.encode(this.#preTokenizer?.write?.(word) ?? word);
    this.#words.set(word, ids);
    return ids;
  }
}

function append(list: number[], more: readonly number[]): void {
  for (const each of more) list.push(each);
}
