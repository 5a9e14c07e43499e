/**
 * The tokenizers that transformers 5.24 builds from a vocabulary and its merges, whatever else tokenizer.json says; the
 * same serve folders that have only the older pair vocab.json and merges.txt.
 *
 * @module
 */

import { isRecord } from './files.ts';

type Json = Record<string, unknown>;

export type ByteLevelClass = 'GPT2Tokenizer' | 'Qwen2Tokenizer';

/** What tokenizer_config.json says to these classes. */
export interface ClassOptions {
  addPrefixSpace: boolean | undefined;
  legacy: boolean;
}

/** The word splitting of Qwen2: as GPT-4's, with one digit at a time. */
export const qwen2Split =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** GPT-2's and Qwen2's byte-level BPE. */
export function buildByteLevel(tokenizer: Json, className: ByteLevelClass, options: ClassOptions): Json {
  const isQwen2 = className === 'Qwen2Tokenizer';
  const byteLevel = { type: 'ByteLevel', add_prefix_space: options.addPrefixSpace === true };
  const split = { type: 'Split', pattern: { Regex: qwen2Split }, behavior: 'Isolated', invert: false };
  return {
    ...frame(tokenizer),
    normalizer: isQwen2 ? { type: 'NFC' } : null,
    pre_tokenizer: isQwen2
      ? { type: 'Sequence', pretokenizers: [split, { ...byteLevel, use_regex: false }] }
      : { ...byteLevel, use_regex: true },
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
