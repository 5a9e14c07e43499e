/**
 * The tokenizers that transformers 5.24 builds from a vocabulary and its merges, whatever else tokenizer.json says; the
 * same serve folders that have only the older pair vocab.json and merges.txt.
 *
 * @module
 */

import { isRecord } from './files.ts';

type Json = Record<string, unknown>;

export type ByteLevelClass =
  | 'GPT2Tokenizer'
  | 'Qwen2Tokenizer'
  | 'CodeGenTokenizer'
  | 'GPTNeoXTokenizer'
  | 'CohereTokenizer';

/** What tokenizer_config.json says to these classes. */
export interface ClassOptions {
  addPrefixSpace: boolean | undefined;
  legacy: boolean;
}

/** The word splitting of Qwen2: as GPT-4's, with one digit at a time. */
export const qwen2Split =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| " +
  '?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

/** What comes before GPT-2's byte-level word splitting, or in its place. */
const firstSplits: Readonly<Partial<Record<ByteLevelClass, Json>>> = {
  Qwen2Tokenizer: { type: 'Split', pattern: { Regex: qwen2Split }, behavior: 'Isolated', invert: false },
  CohereTokenizer: { type: 'Digits', individual_digits: true },
};

/** Classes without a normaliser. */
const plainClasses: readonly ByteLevelClass[] = ['GPT2Tokenizer', 'CodeGenTokenizer'];

/** The byte-level BPE of GPT-2 and its relatives. */
export function buildByteLevel(tokenizer: Json, className: ByteLevelClass, options: ClassOptions): Json {
  const byteLevel = {
    type: 'ByteLevel',
    add_prefix_space: options.addPrefixSpace === true,
    use_regex: className !== 'Qwen2Tokenizer',
  };
  const first = firstSplits[className];
  return {
    ...frame(tokenizer),
    normalizer: plainClasses.includes(className) ? null : { type: 'NFC' },
    // The class drops the file's frame of special tokens, with or without the switches for them.
    ...(className === 'GPTNeoXTokenizer' ? { post_processor: null } : {}),
    pre_tokenizer: first ? { type: 'Sequence', pretokenizers: [first, byteLevel] } : byteLevel,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', ...vocabularyOf(tokenizer) },
  };
}

/** Llama's SentencePiece-like BPE with bytes for unknown characters. */
export function buildLlama(tokenizer: Json, options: ClassOptions): Json {
  const space = '\u2581';
  const addsSpace = options.addPrefixSpace ?? true;
  const scheme = addsSpace ? (options.legacy ? 'always' : 'first') : 'never';
  return {
    ...frame(tokenizer),
    normalizer: null,
    pre_tokenizer: { type: 'Metaspace', replacement: space, prepend_scheme: scheme, split: false },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: space }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(addsSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: { type: 'BPE', fuse_unk: true, byte_fallback: true, ...vocabularyOf(tokenizer) },
  };
}

/** What is kept of the file; its added tokens are added anew. */
function frame({ version, post_processor }: Json): Json {
  return { version: version ?? null, added_tokens: [], post_processor: post_processor ?? null };
}

function vocabularyOf({ model }: Json): Json {
  return isRecord(model) ? { vocab: model.vocab, merges: model.merges } : {};
}
