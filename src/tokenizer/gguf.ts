/**
 * The tokenizer of a GGUF file as the files of a model folder: tokenizer.json and tokenizer_config.json, made from
 * `tokenizer.ggml.*`. The keys are a whitelist: one is used, known to change nothing here, or refused.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { GgufModel, type Metadata, type MetadataValue, quoteValue } from '../gguf/index.ts';
import { wordSplittings } from './gguf-splits.ts';
import { mergesOfScores } from './spm-merges.ts';
import { bosAndEos } from './vocabulary-files.ts';

type Json = Record<string, unknown>;

/** What the files of a model folder would say. */
export interface GgufTokenizer {
  /** tokenizer.json. */
  tokenizer: Json;
  /** tokenizer_config.json, with the chat templates. */
  tokenizerConfig: Json;
  bosTokenId?: number;
  /** Ids that end a text: EOS, and the ends of turns and messages. */
  eosTokenIds: number[];
}

/** Types of tokens by their numbers in a file. */
export const kinds = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** The keys of special tokens that have a name in tokenizer_config.json. */
const namedTokens = {
  bos_token: 'bos_token_id',
  eos_token: 'eos_token_id',
  unk_token: 'unknown_token_id',
  sep_token: 'seperator_token_id',
  pad_token: 'padding_token_id',
  mask_token: 'mask_token_id',
} as const;

/** Keys below `tokenizer.` that change no id and no text here, with why. */
const neutralKeys: Readonly<Record<string, string>> = {
  'ggml.token_type_count': 'for classes of texts, of which a language model has one',
  'ggml.cls_token_id': 'names a token that no text is framed with',
  'huggingface.json': 'the original file, whose ids are those of the other keys',
};

/** Tokens for filling a gap in a text, which are special tokens like others. */
const gapToken = /^ggml\.(fim_(pre|suf|mid|pad|rep|sep)|prefix|suffix|middle)_token_id$/;

/**
 * Reads the tokenizer of a file.
 * @throws SubzeroError `not_found`, `io`, `invalid_data`; `unsupported` for what would change ids or text and is not
 *   known; the message names the key and the value
 */
export async function readGgufTokenizer(path: string): Promise<GgufTokenizer> {
  const model = await GgufModel.open(path, (key) => key.startsWith('tokenizer.'));
  await model.close();
  return ggufTokenizer(model.metadata, path);
}

/** The tokenizer that metadata says. @param file for messages */
export function ggufTokenizer(metadata: Metadata, file: string): GgufTokenizer {
  return new Reader(metadata, file).read();
}

class Reader {
  readonly #metadata: Metadata;
  readonly #file: string;
  readonly #read = new Set<string>();

  constructor(metadata: Metadata, file: string) {
    this.#metadata = metadata;
    this.#file = file;
  }

  read(): GgufTokenizer {
    const model = this.#raw('ggml.model');
    if (model === undefined) {
      throw new SubzeroError('not_found', `${this.#file} holds no tokenizer ("tokenizer.ggml.model")`, {
        parameter: this.#file,
      });
    }
    const tokens = this.#tokens();
    const types = this.#numbers('ggml.token_type', tokens.length) ?? tokens.map(() => kinds.normal);
    const ids = this.#ids(tokens);
    const isSentencePiece = model === 'llama';
    const named = this.#named(tokens, isSentencePiece);
    const built = isSentencePiece ? this.#sentencePiece(tokens, types, ids, named) : this.#byteLevel(model, ids);
    const addsBos = this.#flag('ggml.add_bos_token', built.addsBos);
    const addsEos = this.#flag('ggml.add_eos_token', false);
    const special = (name: 'bos_token' | 'eos_token', key: string) => {
      const token = named.get(name);
      if (token === undefined) throw this.#wrong(key, `false where the file names no ${name}`, true);
      return { token, id: ids.get(token)! };
    };
    const frame =
      addsBos || addsEos
        ? bosAndEos(
            addsBos ? special('bos_token', 'ggml.add_bos_token') : undefined,
            addsEos ? special('eos_token', 'ggml.add_eos_token') : undefined,
          )
        : null;
    const eosTokenIds = [...new Set(['eos', 'eot', 'eom'].map((name) => this.#id(`ggml.${name}_token_id`, tokens)))];
    const bos = named.get('bos_token');
    const result = {
      tokenizer: {
        version: '1.0',
        truncation: null,
        padding: null,
        added_tokens: addedTokens(tokens, types),
        normalizer: built.normalizer,
        pre_tokenizer: built.preTokenizer,
        post_processor: frame,
        decoder: built.decoder,
        model: built.model,
      },
      tokenizerConfig: {
        tokenizer_class: 'PreTrainedTokenizerFast',
        clean_up_tokenization_spaces: false,
        ...Object.fromEntries(named),
        ...this.#chatTemplates(),
      },
      ...(bos === undefined ? {} : { bosTokenId: ids.get(bos)! }),
      eosTokenIds: eosTokenIds.filter((id) => id !== undefined),
    };
    this.#done();
    return result;
  }

  /** A vocabulary of SentencePiece, whose scores say which tokens are merged first. */
  #sentencePiece(
    tokens: readonly string[],
    types: readonly number[],
    ids: ReadonlyMap<string, number>,
    named: ReadonlyMap<string, string>,
  ) {
    // Such a model does not split texts into words, whatever the file says.
    this.#raw('ggml.pre');
    if (this.#flag('ggml.remove_extra_whitespaces', false)) {
      throw this.#refused('ggml.remove_extra_whitespaces', 'true', 'false');
    }
    const scores = this.#numbers('ggml.scores', tokens.length);
    if (scores === undefined) throw this.#wrong('ggml.scores', 'a list of numbers', undefined);
    const space = '\u2581';
    const addsSpace = this.#flag('ggml.add_space_prefix', true);
    const mergeable = new Map([...ids].filter(([, id]) => types[id] === kinds.normal));
    const replace = { type: 'Replace', pattern: { String: ' ' }, content: space };
    return {
      normalizer: addsSpace
        ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: space }, replace] }
        : replace,
      preTokenizer: null,
      decoder: {
        type: 'Sequence',
        decoders: [
          { type: 'Replace', pattern: { String: space }, content: ' ' },
          { type: 'ByteFallback' },
          { type: 'Fuse' },
          ...(addsSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
        ],
      },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: named.get('unk_token') ?? null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: true,
        byte_fallback: true,
        ignore_merges: false,
        vocab: Object.fromEntries(ids),
        merges: mergesOfScores(mergeable, (id) => scores[id]!),
      },
      addsBos: true,
    };
  }

  /** A byte-level vocabulary with merges. */
  #byteLevel(model: MetadataValue, ids: ReadonlyMap<string, number>) {
    if (model !== 'gpt2') throw this.#refused('ggml.model', quoteValue(model), '"gpt2" or "llama"');
    const name = this.#raw('ggml.pre');
    const splitting =
      typeof name === 'string' && Object.hasOwn(wordSplittings, name) ? wordSplittings[name] : undefined;
    if (!splitting) {
      throw this.#refused(
        'ggml.pre',
        name === undefined ? 'missing, which would say how a text is cut into words' : quoteValue(name),
        `one of ${Object.keys(wordSplittings).join(', ')}`,
      );
    }
    // Nobody uses the scores of such a vocabulary.
    this.#raw('ggml.scores');
    const merges = this.#list('ggml.merges').map((merge) => {
      const at = typeof merge === 'string' ? merge.indexOf(' ', 1) : -1;
      if (at < 0) throw this.#wrong('ggml.merges', 'a list of pairs of tokens', merge);
      return [(merge as string).slice(0, at), (merge as string).slice(at + 1)];
    });
    if (this.#flag('ggml.add_space_prefix', false)) throw this.#refused('ggml.add_space_prefix', 'true', 'false');
    return {
      normalizer: splitting.normalizer,
      preTokenizer: splitting.preTokenizer,
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: splitting.ignoresMerges,
        vocab: Object.fromEntries(ids),
        merges,
      },
      addsBos: splitting.addsBos,
    };
  }

  #tokens(): string[] {
    return this.#list('ggml.tokens').map((token, id) => {
      if (typeof token !== 'string') throw this.#wrong('ggml.tokens', 'a list of texts', token);
      // As llama.cpp calls it; no text has it.
      return token === '' ? `[EMPTY_${id}]` : token;
    });
  }

  #ids(tokens: readonly string[]): Map<string, number> {
    const ids = new Map<string, number>();
    for (const [id, token] of tokens.entries()) {
      const other = ids.get(token);
      if (other !== undefined) {
        throw this.#error(
          'invalid_data',
          'ggml.tokens',
          `has ${quoteValue(token)} twice, with the ids ${other} and ${id}`,
        );
      }
      ids.set(token, id);
    }
    return ids;
  }

  /** The special tokens by their names. */
  #named(tokens: readonly string[], isSentencePiece: boolean): Map<string, string> {
    const defaults = isSentencePiece ? { bos_token: 1, eos_token: 2, unk_token: 0 } : {};
    const named = new Map<string, string>();
    for (const [name, key] of Object.entries(namedTokens)) {
      const id = this.#id(`ggml.${key}`, tokens) ?? (defaults as Record<string, number | undefined>)[name];
      if (id !== undefined && id < tokens.length) named.set(name, tokens[id]!);
    }
    return named;
  }

  #chatTemplates(): Json {
    const single = this.#raw('chat_template');
    const names = this.#raw('chat_templates') === undefined ? [] : this.#list('chat_templates');
    const templates: { name: MetadataValue; template: MetadataValue | undefined }[] = names.map((name) => ({
      name,
      template: this.#raw(`chat_template.${String(name)}`),
    }));
    const wrong = templates.find(({ template }) => typeof template !== 'string');
    if (wrong) throw this.#wrong(`chat_template.${String(wrong.name)}`, 'a text', wrong.template);
    if (single !== undefined && typeof single !== 'string') throw this.#wrong('chat_template', 'a text', single);
    if (templates.length === 0) return single === undefined ? {} : { chat_template: single };
    return {
      chat_template: [...(single === undefined ? [] : [{ name: 'default', template: single }]), ...templates],
    };
  }

  #raw(key: string): MetadataValue | undefined {
    this.#read.add(key);
    return this.#metadata.get(`tokenizer.${key}`);
  }

  #list(key: string): readonly MetadataValue[] {
    const value = this.#raw(key);
    if (!Array.isArray(value)) throw this.#wrong(key, 'a list', value);
    return value as readonly MetadataValue[];
  }

  /** A number for each token. */
  #numbers(key: string, count: number): number[] | undefined {
    if (this.#raw(key) === undefined) return undefined;
    const list = this.#list(key);
    if (list.length !== count || !list.every((entry) => typeof entry === 'number' && !Number.isNaN(entry))) {
      throw this.#wrong(key, `a number for each of ${count} tokens`, list);
    }
    return list as number[];
  }

  #flag(key: string, fallback: boolean): boolean {
    const value = this.#raw(key) ?? fallback;
    if (typeof value !== 'boolean') throw this.#wrong(key, 'true or false', value);
    return value;
  }

  #id(key: string, tokens: readonly string[]): number | undefined {
    const value = this.#raw(key);
    // 2³² − 1 stands for no token.
    if (value === undefined || value === 0xffffffff) return undefined;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value >= tokens.length) {
      throw this.#wrong(key, `an id below ${tokens.length}`, value);
    }
    return value;
  }

  /** Refuses keys that were not read and may change ids or text. */
  #done(): void {
    for (const [name, value] of this.#metadata) {
      const key = name.replace(/^tokenizer\./, '');
      if (this.#read.has(key) || Object.hasOwn(neutralKeys, key) || gapToken.test(key)) continue;
      if (value === false || value === 0 || value === '' || (Array.isArray(value) && value.length === 0)) continue;
      throw this.#error(
        'unsupported',
        key,
        `(${quoteValue(value)}) is not known here, so it cannot be told what it changes`,
      );
    }
  }

  #wrong(key: string, expected: string, value: MetadataValue | undefined): SubzeroError {
    return this.#error(
      'invalid_data',
      key,
      `is ${value === undefined ? 'missing' : quoteValue(value)}; expected ${expected}`,
    );
  }

  #refused(key: string, value: string, expected: string): SubzeroError {
    return this.#error('unsupported', key, `is ${value}; expected ${expected}`);
  }

  #error(code: 'invalid_data' | 'unsupported', key: string, what: string): SubzeroError {
    return new SubzeroError(code, `${this.#file}: "tokenizer.${key}" ${what}`, { parameter: this.#file });
  }
}

/** The tokens that are found in a text as they are written. */
function addedTokens(tokens: readonly string[], types: readonly number[]): Json[] {
  const isAdded = (type: number | undefined): boolean =>
    type === kinds.control || type === kinds.userDefined || type === kinds.unknown;
  return tokens.flatMap((content, id) =>
    isAdded(types[id])
      ? [
          {
            id,
            content,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: types[id] !== kinds.userDefined,
          },
        ]
      : [],
  );
}
