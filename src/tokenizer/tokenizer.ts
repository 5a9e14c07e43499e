/**
 * Text to ids and back. The algorithms are those of `@huggingface/tokenizers`; what is added here is how special
 * tokens are found and put in front, decoding token by token, and chat templates.
 *
 * @module
 */

import { Tokenizer as BaseTokenizer } from '@huggingface/tokenizers';
import type { ChatMessage } from '../engine/types.ts';
import { SubzeroError } from '../errors.ts';
import { renderChatTemplate } from './chat-template.ts';
import { type DecodeStream, openDecodeStream, type PieceLookup } from './decode-stream.ts';
import { isRecord } from './files.ts';
import { compileDecoder } from './pieces.ts';
import { TokenNames } from './token-names.ts';
import { openTokenStream, type TokenStream } from './token-stream.ts';

/** Everything that the files of a tokenizer say, parsed. */
export interface TokenizerDefinition {
  /** The content of tokenizer.json. */
  tokenizer: Record<string, unknown>;
  /** The content of tokenizer_config.json, with the special tokens of special_tokens_map.json filled in. */
  config: Record<string, unknown>;
  /** BOS and EOS ids that config.json and generation_config.json name. */
  bosTokenId?: number;
  eosTokenIds: number[];
  chatTemplate?: string;
  /** For error texts. */
  file: string;
}

/** The fields of tokenizer_config.json that name a special token. */
const specialTokenFields = ['bos_token', 'eos_token', 'unk_token', 'pad_token', 'sep_token', 'cls_token', 'mask_token'];

/** Larger ids than this come from a damaged file: the largest published vocabulary has about 260 thousand. */
const maxTokenId = 1 << 22;

const modelTypes = ['BPE', 'Unigram', 'WordPiece'];

/** A loaded tokenizer. */
export class Tokenizer {
  /** One more than the largest id. A model's logits may be wider: weights are often padded. */
  readonly vocabularySize: number;
  readonly bosToken: string | undefined;
  readonly bosTokenId: number | undefined;
  /** Whether {@link encode} puts BOS in front. */
  readonly addsBosToken: boolean;
  /** Ids that end a generated text; empty if the files name none. */
  readonly eosTokenIds: readonly number[];
  readonly hasChatTemplate: boolean;
  readonly chatTemplate: string | undefined;
  /** The special tokens that the files name, as `eos_token`. */
  readonly specialTokens: Readonly<Record<string, string>>;

  readonly #base: BaseTokenizer;
  readonly #lookup: PieceLookup;
  readonly #names: TokenNames;
  readonly #specialIds: Set<number>;
  readonly #templateVariables: Record<string, unknown>;

  /** @throws SubzeroError `invalid_data` or `unsupported` that names the file and the section at fault */
  constructor(definition: TokenizerDefinition) {
    const { tokenizer, config, file } = definition;
    checkModel(tokenizer, file);
    const pieces = compileDecoder(tokenizer.decoder, file);
    this.#base = construct(tokenizer, config, file);

    const added = this.#base.get_added_tokens_decoder();
    const vocabulary = this.#base.get_vocab();
    let largest = -1;
    for (const id of vocabulary.values()) largest = Math.max(largest, id);
    this.vocabularySize = largest + 1;
    this.#lookup = {
      pieces,
      token: (id) => {
        const text = this.#base.id_to_token(id);
        return text === undefined ? undefined : { text, isAdded: added.has(id) };
      },
      isSpecial: (id) => this.#specialIds.has(id),
    };
    this.#names = new TokenNames({
      size: this.vocabularySize,
      bytes: (id) => this.tokenBytes(id),
      isByte: (id) => /^<0x[0-9A-Fa-f]{2}>$/.test(this.#lookup.token(id)?.text ?? ''),
    });

    const specialTokens = readSpecialTokens(config);
    this.#specialIds = new Set([...added.values()].filter((token) => token.special).map((token) => token.id));
    for (const text of specialTokens.values()) {
      const id = this.#base.token_to_id(text);
      if (id !== undefined) this.#specialIds.add(id);
    }

    const named = specialTokens.get('bos_token');
    this.bosTokenId = (named === undefined ? undefined : this.#base.token_to_id(named)) ?? definition.bosTokenId;
    this.bosToken = this.bosTokenId === undefined ? undefined : this.#base.id_to_token(this.bosTokenId);
    const eosToken = specialTokens.get('eos_token');
    const eosOfTokenizer = eosToken === undefined ? undefined : this.#base.token_to_id(eosToken);
    this.eosTokenIds = [
      ...new Set([...definition.eosTokenIds, ...(eosOfTokenizer === undefined ? [] : [eosOfTokenizer])]),
    ];
    this.addsBosToken =
      this.bosTokenId !== undefined && (config.add_bos_token === true || this.#encode('', true)[0] === this.bosTokenId);

    this.chatTemplate = definition.chatTemplate;
    this.hasChatTemplate = definition.chatTemplate !== undefined;
    this.specialTokens = Object.fromEntries(specialTokens);
    this.#templateVariables = { ...this.specialTokens };
    if (this.bosToken !== undefined) this.#templateVariables.bos_token = this.bosToken;
  }

  /**
   * Ids of a text. Special tokens written in the text are recognised.
   *
   * @param options.addSpecialTokens put BOS (and what else the tokenizer frames a text with) around it; default true.
   *   BOS stands in front once, also when the text itself begins with it, as a rendered chat may.
   */
  encode(text: string, options: { addSpecialTokens?: boolean } = {}): number[] {
    const addSpecialTokens = options.addSpecialTokens ?? true;
    const ids = this.#encode(text, addSpecialTokens);
    if (!addSpecialTokens || !this.addsBosToken) return ids;
    if (ids[0] !== this.bosTokenId) return [this.bosTokenId!, ...ids];
    return ids[1] === this.bosTokenId ? ids.slice(1) : ids;
  }

  #encode(text: string, addSpecialTokens: boolean): number[] {
    const { ids } = this.#base.encode(text, { add_special_tokens: addSpecialTokens });
    if (ids.includes(undefined as unknown as number)) {
      throw new SubzeroError(
        'invalid_data',
        'the tokenizer has no token for a part of the text, and no unknown-token to put in its place',
      );
    }
    return ids;
  }

  /**
   * Text of ids, without any clean-up of spaces. Ids that the tokenizer does not know have no text.
   * @param options.skipSpecialTokens leave out BOS, EOS and their like; default false
   */
  decode(ids: readonly number[], options: { skipSpecialTokens?: boolean } = {}): string {
    const { text, rest } = this.decodeOpen(ids, options);
    return text + rest;
  }

  /**
   * As {@link decode}, of ids that more may follow.
   * @returns `text`, the whole characters, and `rest`, what a character that the ids leave open becomes if none do
   */
  decodeOpen(ids: readonly number[], options: { skipSpecialTokens?: boolean } = {}): { text: string; rest: string } {
    const stream = this.createDecodeStream(options);
    let text = '';
    for (const id of ids) text += stream.push(id);
    return { text, rest: stream.flush() };
  }

  /**
   * Decodes ids as they come; see {@link DecodeStream}.
   * @param options.after the ids before the first one, such as the prompt's; their text is not returned
   */
  createDecodeStream(options: { skipSpecialTokens?: boolean; after?: readonly number[] } = {}): DecodeStream {
    const stream = openDecodeStream(this.#lookup, {
      skipSpecialTokens: options.skipSpecialTokens ?? false,
      after: (options.after ?? []).map(checkId),
    });
    return { push: (id) => stream.push(checkId(id)), flush: stream.flush };
  }

  /** As {@link createDecodeStream}, with the bytes and the place of every token; see {@link TokenStream}. */
  createTokenStream(options: { skipSpecialTokens?: boolean; after?: readonly number[] } = {}): TokenStream {
    const { pieces, token: tokenOf } = this.#lookup;
    const bytes = (id: number, isFirst: boolean): Uint8Array | undefined => {
      const token = options.skipSpecialTokens && this.isSpecialToken(id) ? undefined : tokenOf(checkId(id));
      if (token === undefined) return undefined;
      return isFirst ? pieces.firstBytes(token.text, token.isAdded) : pieces.bytes(token.text, token.isAdded);
    };
    const places = { bytes, stripSpaces: pieces.stripSpaces };
    return openTokenStream(this.createDecodeStream(options), places, options.after ?? []);
  }

  /** The name of one token, which no other has: its text inside a text, see {@link TokenNames.of} for those without. */
  tokenText(id: number): string {
    return this.#names.of(checkId(id));
  }

  /** The vocabulary's entry of one token, as it is written there; empty for an id that the tokenizer does not know. */
  tokenString(id: number): string {
    return this.#lookup.token(checkId(id))?.text ?? '';
  }

  /** The bytes of one token inside a text; none for an id that the tokenizer does not know. */
  tokenBytes(id: number): Uint8Array {
    const token = this.#lookup.token(checkId(id));
    return token === undefined ? new Uint8Array() : this.#lookup.pieces.bytes(token.text, token.isAdded);
  }

  /** Whether an id is BOS, EOS, padding or another token that is not text. */
  isSpecialToken(id: number): boolean {
    return this.#specialIds.has(id);
  }

  /**
   * The prompt that the model's chat template makes of a conversation. Encode it with {@link encode}.
   *
   * @param options.addGenerationPrompt end with the opening of the assistant's turn; default false
   * @param options.variables more variables that the template sees
   * @param options.timeLimit milliseconds that the template may run; default 1000
   * @throws SubzeroError `unsupported` without a template; `invalid_argument` if the template refuses the messages,
   *   takes too long or writes too much
   */
  async renderChat(
    messages: readonly ChatMessage[],
    options: { addGenerationPrompt?: boolean; variables?: Record<string, unknown>; timeLimit?: number } = {},
  ): Promise<string> {
    if (this.chatTemplate === undefined) {
      throw new SubzeroError(
        'unsupported',
        'this model has no chat template (tokenizer_config.json, chat_template.jinja); give a prompt instead of messages',
        { parameter: 'messages' },
      );
    }
    return renderChatTemplate(
      this.chatTemplate,
      {
        ...this.#templateVariables,
        ...options.variables,
        messages,
        add_generation_prompt: options.addGenerationPrompt ?? false,
        tools: null,
        documents: null,
      },
      options.timeLimit === undefined ? {} : { timeLimit: options.timeLimit },
    );
  }
}

function checkId(id: number): number {
  if (!Number.isInteger(id) || id < 0) {
    throw new SubzeroError('invalid_argument', `a token id must be a whole number from 0; got ${id}`, {
      parameter: 'tokens',
    });
  }
  return id;
}

/** Names and texts of the special tokens; a token may be given as its text or as an object with `content`. */
function readSpecialTokens(config: Record<string, unknown>): Map<string, string> {
  const tokens = new Map<string, string>();
  for (const field of specialTokenFields) {
    const value = config[field];
    const text = isRecord(value) ? value.content : value;
    if (typeof text === 'string') tokens.set(field, text);
  }
  return tokens;
}

/** Checks what the library below takes on trust. Fills in a missing model type, as older files have it. */
function checkModel(tokenizer: Record<string, unknown>, file: string): void {
  const wrong = (code: 'invalid_data' | 'unsupported', what: string) =>
    new SubzeroError(code, `${file}: ${what}`, { parameter: file });
  const { model } = tokenizer;
  if (!isRecord(model)) throw wrong('invalid_data', 'expected an object "model" with a vocabulary');
  if (model.type === undefined) {
    if (Array.isArray(model.merges)) model.type = 'BPE';
    else if (model.continuing_subword_prefix !== undefined) model.type = 'WordPiece';
  }
  if (!modelTypes.includes(model.type as string)) {
    throw wrong('unsupported', `tokenizer model ${JSON.stringify(model.type)}; supported are ${modelTypes.join(', ')}`);
  }
  if (model.type === 'Unigram') {
    const rows = model.vocab;
    if (!Array.isArray(rows) || !rows.every((row) => Array.isArray(row) && typeof row[0] === 'string')) {
      throw wrong('invalid_data', 'model.vocab must be a list of [token, score] pairs');
    }
  } else {
    if (!isRecord(model.vocab)) throw wrong('invalid_data', 'model.vocab must be an object from token to id');
    for (const [token, id] of Object.entries(model.vocab)) checkVocabularyId(token, id);
  }
  if (model.type === 'BPE' && !Array.isArray(model.merges)) throw wrong('invalid_data', 'model.merges must be a list');

  const added = (tokenizer.added_tokens ??= []);
  if (!Array.isArray(added)) throw wrong('invalid_data', 'added_tokens must be a list');
  for (const token of added) {
    if (!isRecord(token) || typeof token.content !== 'string' || token.content === '') {
      throw wrong('invalid_data', 'every added token needs an id and a content that is not empty');
    }
    checkVocabularyId(token.content, token.id);
  }
  for (const section of ['normalizer', 'pre_tokenizer', 'post_processor', 'decoder']) tokenizer[section] ??= null;

  function checkVocabularyId(token: string, id: unknown): void {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > maxTokenId) {
      throw wrong('invalid_data', `the id of ${JSON.stringify(token)} must be from 0 to ${maxTokenId}; got ${id}`);
    }
  }
}

function construct(tokenizer: Record<string, unknown>, config: Record<string, unknown>, file: string): BaseTokenizer {
  try {
    return new BaseTokenizer(tokenizer, { ...config, clean_up_tokenization_spaces: false });
  } catch (error) {
    throw new SubzeroError('unsupported', `${file}: ${(error as Error).message}`, { parameter: file, cause: error });
  }
}
