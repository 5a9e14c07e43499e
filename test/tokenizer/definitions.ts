/**
 * Small tokenizers of each family, made here so that the tests need no foreign vocabulary.
 *
 * @module
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const added = (id: number, content: string) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

const byteTokens = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);

/** As Llama 2: Metaspace by normalisation, byte fallback, the dummy space stripped at the front. */
export function sentencePiece(): Record<string, unknown> {
  const tokens = ['<unk>', '<s>', '</s>', ...byteTokens, '▁', 'a', 'b', 'c', '▁a', '▁ab', 'bc', '▁abc'];
  return {
    version: '1.0',
    added_tokens: [added(0, '<unk>'), added(1, '<s>'), added(2, '</s>')],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: ['▁ a', '▁a b', 'b c', '▁ab c'],
    },
  };
}

/** As T5: the Metaspace pre-tokenizer and decoder over a Unigram model. */
export function metaspaceUnigram(): Record<string, unknown> {
  return {
    version: '1.0',
    added_tokens: [added(0, '<pad>'), added(1, '</s>'), added(2, '<unk>')],
    normalizer: null,
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', add_prefix_space: true },
    post_processor: null,
    decoder: { type: 'Metaspace', replacement: '▁', add_prefix_space: true },
    model: {
      type: 'Unigram',
      unk_id: 2,
      vocab: [
        ['<pad>', 0],
        ['</s>', 0],
        ['<unk>', -20],
        ['▁', -2],
        ['a', -3],
        ['b', -3],
        ['▁ab', -4],
        ['é', -5],
      ],
    },
  };
}

/** As BERT. */
export function wordPiece(): Record<string, unknown> {
  const tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'film', '##s', 'the', '.', ',', "'", 's', 'good', '##ness'];
  return {
    version: '1.0',
    added_tokens: [added(0, '[PAD]'), added(1, '[UNK]'), added(2, '[CLS]'), added(3, '[SEP]')],
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [
        { SpecialToken: { id: '[CLS]', type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
        { SpecialToken: { id: '[SEP]', type_id: 0 } },
      ],
      pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: {
        '[CLS]': { id: '[CLS]', ids: [2], tokens: ['[CLS]'] },
        '[SEP]': { id: '[SEP]', ids: [3], tokens: ['[SEP]'] },
      },
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    },
  };
}

/** vocab.json and merges.txt of a byte-level BPE; `special` tokens come first. */
export function vocabularyFiles(special: readonly string[]): Record<string, string> {
  const tokens = [...special, 'h', 'e', 'l', 'o', 'Ġ', '1', 'he', 'll', 'hell', 'hello', 'Ġhello', '11'];
  return {
    'vocab.json': JSON.stringify(Object.fromEntries(tokens.map((token, id) => [token, id]))),
    'merges.txt': '#version: 0.2\nh e\nl l\nhe ll\nhell o\nĠ hello\n1 1\n',
  };
}

/** Runs `use` with a directory that holds these files (objects are written as JSON). */
export async function withFiles<T>(
  files: Readonly<Record<string, string | Record<string, unknown>>>,
  use: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'subzero-test-'));
  try {
    for (const [name, content] of Object.entries(files)) {
      await writeFile(join(directory, name), typeof content === 'string' ? content : JSON.stringify(content));
    }
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}
