/**
 * The tokenizers of masked language models that transformers 5.24 builds from a vocabulary, whatever else
 * tokenizer.json says: BERT, RoBERTa and XLM-RoBERTa.
 *
 * @module
 */

import { isRecord } from './files.ts';
import type { Section } from './section.ts';

type Json = Record<string, unknown>;

/** What the builders read. */
export interface MaskedClassFiles {
  /** tokenizer.json and its `model` section. */
  tokenizer: Json;
  model: Section;
  /** tokenizer_config.json. */
  config: Section;
  /** The text of a special token, such as `cls_token`. */
  special: (name: string) => string;
}

/** A class of transformers. */
interface MaskedClass {
  /** Type of the model that it builds. */
  type: 'BPE' | 'Unigram' | 'WordPiece';
  build: (files: MaskedClassFiles) => Json;
}

export const maskedClasses: Readonly<Record<string, MaskedClass>> = {
  BertTokenizer: {
    type: 'WordPiece',
    build: ({ tokenizer, model, config, special }) => {
      const lowercase = config.flag('do_lower_case', true);
      const normalizer = {
        type: 'BertNormalizer',
        clean_text: true,
        handle_chinese_chars: config.flag('tokenize_chinese_chars', true),
        strip_accents: config.raw('strip_accents') ?? null,
        lowercase,
      };
      const [first, last] = [special('cls_token'), special('sep_token')];
      return {
        ...frame(tokenizer),
        normalizer,
        pre_tokenizer: { type: 'BertPreTokenizer' },
        post_processor: around(model, first, last),
        decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
        model: {
          type: 'WordPiece',
          unk_token: special('unk_token'),
          continuing_subword_prefix: '##',
          max_input_chars_per_word: 100,
          vocab: model.raw('vocab'),
        },
      };
    },
  },
  RobertaTokenizer: {
    type: 'BPE',
    build: ({ tokenizer, model, config, special }) => {
      const byteLevel = { type: 'ByteLevel', add_prefix_space: config.flag('add_prefix_space', false) };
      return {
        ...frame(tokenizer),
        normalizer: null,
        pre_tokenizer: { ...byteLevel, use_regex: true },
        post_processor: around(model, special('cls_token'), special('sep_token')),
        decoder: { type: 'ByteLevel' },
        model: { type: 'BPE', vocab: model.raw('vocab'), merges: model.raw('merges') },
      };
    },
  },
  XLMRobertaTokenizer: {
    type: 'Unigram',
    build: ({ tokenizer, model, config, special }) => {
      const scheme = config.flag('add_prefix_space', true) ? 'always' : 'never';
      const metaspace = { type: 'Metaspace', replacement: '\u2581', prepend_scheme: scheme };
      return {
        ...frame(tokenizer),
        normalizer: characterMap(tokenizer.normalizer),
        pre_tokenizer: {
          type: 'Sequence',
          pretokenizers: [{ type: 'WhitespaceSplit' }, { ...metaspace, split: true }],
        },
        post_processor: around(model, special('bos_token'), special('eos_token')),
        decoder: { ...metaspace, split: true },
        model: { type: 'Unigram', unk_id: 3, byte_fallback: false, vocab: model.raw('vocab') },
      };
    },
  },
};

/** What is kept of the file; its added tokens are added anew. */
function frame({ version }: Json): Json {
  return { version: version ?? null, added_tokens: [] };
}

/** A post-processor that puts a token in front of a text and one behind it. */
function around(model: Section, first: string, last: string): Json {
  const piece = (token: string) => ({ SpecialToken: { id: token, type_id: 0 } });
  const entry = (token: string) => [token, { id: token, ids: [idOf(model, token)], tokens: [token] }];
  return {
    type: 'TemplateProcessing',
    single: [piece(first), { Sequence: { id: 'A', type_id: 0 } }, piece(last)],
    pair: [],
    special_tokens: Object.fromEntries([entry(first), entry(last)]),
  };
}

/** The id of a special token, which the vocabulary must have: added behind it, the token would be untrained. */
function idOf(model: Section, token: string): number {
  const vocabulary = model.raw('vocab');
  const id = Array.isArray(vocabulary)
    ? vocabulary.findIndex((entry) => Array.isArray(entry) && entry[0] === token)
    : isRecord(vocabulary) && Object.hasOwn(vocabulary, token)
      ? (vocabulary[token] as number)
      : -1;
  if (id >= 0) return id;
  throw model.error('unsupported', `"vocab" lacks the token ${JSON.stringify(token)}, which is put around every text`);
}

/** The character map of a SentencePiece model, alone of the normaliser's steps. */
function characterMap(normalizer: unknown): Json | null {
  if (!isRecord(normalizer)) return null;
  const steps =
    normalizer.type === 'Sequence' && Array.isArray(normalizer.normalizers) ? normalizer.normalizers : [normalizer];
  return steps.find((step): step is Json => isRecord(step) && step.type === 'Precompiled') ?? null;
}
