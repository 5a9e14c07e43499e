/**
 * Text to ids and back, with the special tokens that the files name, decoding token by token, and chat templates.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { ChatMessage } from './chat-messages.ts';
import { templateMessages } from './chat-messages.ts';
import { renderChatTemplates } from './chat-template.ts';
import { type ChatTemplates, chooseChatTemplate } from './chat-template-files.ts';
import { type DecodeStream, openDecodeStream, type PieceLookup } from './decode-stream.ts';
import { Pipeline } from './pipeline.ts';
import { TokenNames } from './token-names.ts';
import { openTokenStream, type TokenStream } from './token-stream.ts';
import type { ResolvedTokenizer } from './tokenizer-config.ts';
import { bosAndEos } from './vocabulary-files.ts';

/** Everything that the files of a tokenizer say. */
export interface TokenizerDefinition extends ResolvedTokenizer {
  /** Put BOS in front of every text, and EOS behind it, where the post-processor of `tokenizer` says nothing. */
  addsBosToken?: boolean;
  addsEosToken?: boolean;
  /** BOS and EOS ids that config.json and generation_config.json name. */
  bosTokenId?: number;
  eosTokenIds: number[];
  /** None if left out. */
  chatTemplates?: ChatTemplates;
  /** For error texts. */
  file: string;
}

/** How a chat is rendered, see {@link Tokenizer.renderChat}. */
export interface RenderOptions {
  tools?: readonly unknown[];
  variables?: Record<string, unknown>;
  timeLimit?: number;
}

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
  /** The one for any conversation, of several. */
  readonly chatTemplate: string | undefined;
  /** The special tokens that the files name, as `eos_token`. */
  readonly specialTokens: Readonly<Record<string, string>>;

  readonly #pipeline: Pipeline;
  readonly #lookup: PieceLookup;
  readonly #names: TokenNames;
  readonly #specialIds: Set<number>;
  readonly #chatTemplates: ChatTemplates;

  /** @throws SubzeroError `invalid_data` or `unsupported` that names the file, the section, the field and the value */
  constructor(definition: TokenizerDefinition) {
    const { tokenizer, alsoAdded, splitsSpecial, named, file } = definition;
    this.#pipeline = new Pipeline(tokenizer, file, { alsoAdded, splitsSpecial });
    this.vocabularySize = this.#pipeline.vocabularySize;
    const tokenOfName = (name: string) => {
      const token = named.get(name);
      const id = token === undefined ? undefined : this.#pipeline.idOf(token);
      return token === undefined || id === undefined ? undefined : { token, id };
    };
    const bos = tokenOfName('bos_token');
    const eos = tokenOfName('eos_token');
    if (definition.addsBosToken || definition.addsEosToken) {
      this.#pipeline.frame(
        bosAndEos(definition.addsBosToken ? bos : undefined, definition.addsEosToken ? eos : undefined),
        file,
      );
    }

    const added = [...this.#pipeline.addedTokens.values()];
    this.#specialIds = new Set(added.filter((token) => token.special).map((token) => token.id));
    this.#lookup = {
      pieces: this.#pipeline.pieces,
      token: (id) => this.#pipeline.decodedToken(id),
      isSpecial: (id) => this.#specialIds.has(id),
    };
    this.#names = new TokenNames({
      size: this.vocabularySize,
      bytes: (id) => this.tokenBytes(id),
      isByte: (id) => {
        const token = this.#lookup.token(id);
        return token !== undefined && this.#lookup.pieces.isByte(token);
      },
    });

    // Where the file puts another token in front than it names, that one begins every text.
    const front = this.#pipeline.tokensInFront;
    if (front.length > 1) {
      throw new SubzeroError(
        'unsupported',
        `${file}: post_processor: ${front.length} tokens in front of a text are not supported; expected at most one`,
        { parameter: file },
      );
    }
    this.addsBosToken = front.length === 1;
    this.bosTokenId = front[0] ?? bos?.id ?? definition.bosTokenId;
    this.bosToken = this.bosTokenId === undefined ? undefined : this.#pipeline.tokenOf(this.bosTokenId);
    this.eosTokenIds = [...new Set([...definition.eosTokenIds, ...(eos === undefined ? [] : [eos.id])])];

    this.#chatTemplates = definition.chatTemplates ?? {};
    this.chatTemplate = this.#chatTemplates.default;
    this.hasChatTemplate = Object.keys(this.#chatTemplates).length > 0;
    this.specialTokens = Object.fromEntries(named);
  }

  /**
   * Ids of a text. Special tokens written in the text are recognised.
   *
   * @param options.addSpecialTokens put BOS (and what else the tokenizer frames a text with) around it; default true.
   *   BOS stands in front once, also when the text itself begins with it, as a rendered chat may.
   */
  encode(text: string, options: { addSpecialTokens?: boolean } = {}): number[] {
    const addSpecialTokens = options.addSpecialTokens ?? true;
    const ids = this.#pipeline.encode(text, { addSpecialTokens });
    return addSpecialTokens && this.addsBosToken && ids[1] === this.bosTokenId ? ids.slice(1) : ids;
  }

  /**
   * Text of ids, without any clean-up of spaces. Ids that the tokenizer does not know have no text.
   * @param options.skipSpecialTokens leave out BOS, EOS and their like; default false
   */
  decode(ids: readonly number[], options: { skipSpecialTokens?: boolean } = {}): string {
    const stream = openDecodeStream(this.#lookup, {
      skipSpecialTokens: options.skipSpecialTokens ?? false,
      holdsBytes: true,
    });
    let text = '';
    for (const id of ids) text += stream.push(checkId(id));
    return text + stream.flush();
  }

  /**
   * As a stream decodes them ({@link createDecodeStream}), of ids that more may follow.
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
      return pieces.bytes(token, { isFirst, isLast: false });
    };
    const places = { bytes, stripSpaces: pieces.strip.character === ' ' ? pieces.strip.start : 0 };
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
    return token === undefined ? new Uint8Array() : this.#lookup.pieces.bytes(token, { isFirst: false, isLast: false });
  }

  /** Whether an id is BOS, EOS, padding or another token that is not text. */
  isSpecialToken(id: number): boolean {
    return this.#specialIds.has(id);
  }

  /**
   * The prompt that the model's chat template makes of a conversation, as transformers' `apply_chat_template` does.
   * The template writes all special tokens itself: {@link encode} it without adding any.
   *
   * @param options.addGenerationPrompt end with the opening of the assistant's turn; default false
   * @param options.tools descriptions of functions, as JSON schemas; a model may have a template of its own for them
   * @param options.variables more variables that the template sees; `documents` among them
   * @param options.timeLimit milliseconds that the template may run; default 1000
   * @throws SubzeroError `unsupported` without a template; `invalid_argument` if the template refuses the messages,
   *   takes too long or writes too much
   */
  async renderChat(
    messages: readonly ChatMessage[],
    options: RenderOptions & { addGenerationPrompt?: boolean } = {},
  ): Promise<string> {
    const { addGenerationPrompt = false, ...others } = options;
    const [text] = await this.renderBeginnings(messages, [{ count: messages.length, addGenerationPrompt }], others);
    return text!;
  }

  /**
   * As {@link renderChat}, of several beginnings of one conversation: its first `count` messages. It takes little more
   * time than one of them.
   */
  async renderBeginnings(
    messages: readonly ChatMessage[],
    beginnings: readonly { count: number; addGenerationPrompt: boolean }[],
    { tools, variables, timeLimit }: RenderOptions = {},
  ): Promise<string[]> {
    const all = templateMessages(messages);
    return renderChatTemplates(
      chooseChatTemplate(this.#chatTemplates, tools !== undefined),
      beginnings.map(({ count, addGenerationPrompt }) => ({
        documents: null,
        ...this.specialTokens,
        ...variables,
        messages: all.slice(0, count),
        tools: tools ?? null,
        add_generation_prompt: addGenerationPrompt,
      })),
      timeLimit === undefined ? {} : { timeLimit },
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
