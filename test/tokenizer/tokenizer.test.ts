import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Tokenizer as BaseTokenizer } from '@huggingface/tokenizers';
import { describe, expect, test } from 'vitest';
import { loadTokenizer, type Tokenizer } from '../../src/tokenizer/index.ts';
import { metaspaceUnigram, sentencePiece, vocabularyFiles, withFiles, wordPiece } from './definitions.ts';

const reviews = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));
const reference: { prompt: string; ids: number[] } = JSON.parse(
  await readFile(new URL('../fixtures/tokenizers/reviews-3m.json', import.meta.url), 'utf8'),
);

describe('reviews-3m', async () => {
  const tokenizer = await loadTokenizer(reviews);

  test('encodes the reference prompt to the reference ids, with BOS in front', () => {
    expect(tokenizer.encode(reference.prompt)).toEqual(reference.ids);
    expect(tokenizer.encode(reference.prompt, { addSpecialTokens: false })).toEqual(reference.ids.slice(1));
    expect(tokenizer.encode('')).toEqual([0]);
  });

  test('BOS stands in front once, also if the text begins with it', () => {
    expect(tokenizer.encode(`<|endoftext|>${reference.prompt}`)).toEqual(reference.ids);
  });

  test('decodes, with and without special tokens', () => {
    expect(tokenizer.decode(reference.ids)).toBe(`<|endoftext|>${reference.prompt}`);
    expect(tokenizer.decode(reference.ids, { skipSpecialTokens: true })).toBe(reference.prompt);
    expect(tokenizer.decode([])).toBe('');
  });

  test('knows its special tokens and its size', () => {
    expect(tokenizer.bosToken).toBe('<|endoftext|>');
    expect(tokenizer.bosTokenId).toBe(0);
    expect(tokenizer.eosTokenIds).toEqual([0]);
    expect(tokenizer.vocabularySize).toBe(4096);
    expect([0, 1, 2, 3, 4].map((id) => tokenizer.isSpecialToken(id))).toEqual([true, true, true, true, false]);
  });

  test('ids beyond the vocabulary have no text; what is no id is refused', () => {
    expect(tokenizer.decode([4096, 100_000])).toBe('');
    expect(tokenizer.tokenBytes(4096)).toHaveLength(0);
    expect(() => tokenizer.decode([-1])).toThrow(/whole number/);
    expect(() => tokenizer.decode([1.5])).toThrow(/whole number/);
  });

  test('the bytes of the tokens of a text are the bytes of the text', () => {
    const text = 'Zoë 😀 naïve 日本';
    const ids = tokenizer.encode(text, { addSpecialTokens: false });
    expect(Buffer.concat(ids.map((id) => tokenizer.tokenBytes(id))).toString('utf8')).toBe(text);
    expect(tokenizer.tokenText(reference.ids[1]!)).toBe('The');
  });

  test('a stream that ends within a character flushes a replacement character', () => {
    const [first] = tokenizer.encode('😀', { addSpecialTokens: false });
    const stream = tokenizer.createDecodeStream();
    expect(stream.push(first!)).toBe('');
    expect(stream.flush()).toBe('\uFFFD');
    expect(stream.flush()).toBe('');
  });
});

describe('decode streams', () => {
  const families: [string, () => Promise<{ definition: Record<string, unknown>; texts: string[] }>][] = [
    [
      'byte-level BPE',
      async () => ({
        definition: JSON.parse(await readFile(`${reviews}/tokenizer.json`, 'utf8')),
        texts: ['Zoë said: 😀👩‍👩‍👧 naïve — 日本語\n\n\tend ', '<|user|>é<|assistant|>', '\uFEFFmark'],
      }),
    ],
    [
      'SentencePiece with byte fallback',
      async () => ({ definition: sentencePiece(), texts: ['abc ab 😀é日 abc\n', ' a'] }),
    ],
    ['Metaspace over Unigram', async () => ({ definition: metaspaceUnigram(), texts: ['ab ab é b', 'ab'] })],
    ['WordPiece', async () => ({ definition: wordPiece(), texts: ["the films, the film's goodness.", 'films'] })],
  ];

  describe.each(families)('%s', (_name, make) => {
    test('never emit a broken character, and add up to the decoding of all ids', async () => {
      const { definition, texts } = await make();
      await withFiles({ 'tokenizer.json': definition }, async (directory) => {
        const tokenizer = await loadTokenizer(directory);
        const library = new BaseTokenizer(definition, {});
        for (const text of texts) {
          const ids = tokenizer.encode(text);
          for (const skipSpecialTokens of [false, true]) {
            const pieces = stream(tokenizer, ids, { skipSpecialTokens });
            for (const piece of pieces) expect(piece).not.toContain('\uFFFD');
            const options = { skip_special_tokens: skipSpecialTokens, clean_up_tokenization_spaces: false };
            expect(pieces.join('')).toBe(library.decode(ids, options));
            expect(tokenizer.decode(ids, { skipSpecialTokens })).toBe(pieces.join(''));
          }
        }
      });
    });

    test('continue after a prompt as the whole is decoded', async () => {
      const { definition, texts } = await make();
      await withFiles({ 'tokenizer.json': definition }, async (directory) => {
        const tokenizer = await loadTokenizer(directory);
        for (const text of texts) {
          const ids = tokenizer.encode(text);
          for (let cut = 0; cut <= ids.length; cut++) {
            const head = tokenizer.createDecodeStream();
            const before = ids
              .slice(0, cut)
              .map((id) => head.push(id))
              .join('');
            const after = stream(tokenizer, ids.slice(cut), { after: ids.slice(0, cut) }).join('');
            expect(before + after).toBe(tokenizer.decode(ids));
          }
        }
      });
    });
  });

  test('a generated word keeps its space', async () => {
    await withFiles({ 'tokenizer.json': sentencePiece() }, async (directory) => {
      const tokenizer = await loadTokenizer(directory);
      const prompt = tokenizer.encode('ab');
      const [word] = tokenizer.encode('abc', { addSpecialTokens: false });
      expect(tokenizer.decode([word!])).toBe('abc');
      expect(tokenizer.createDecodeStream({ after: prompt, skipSpecialTokens: true }).push(word!)).toBe(' abc');
      expect(tokenizer.tokenText(word!)).toBe(' abc');
    });
  });

  test('bytes that never become a character are replaced once it is certain', async () => {
    await withFiles({ 'tokenizer.json': sentencePiece() }, async (directory) => {
      const tokenizer = await loadTokenizer(directory);
      const byte = (value: number) => value + 3;
      expect(stream(tokenizer, [0xe6, 0x97, 0x61, 0xff, 0xc3].map(byte))).toEqual([
        '',
        '',
        '\uFFFDa',
        '\uFFFD',
        '',
        '\uFFFD',
      ]);
    });
  });

  function stream(
    tokenizer: Tokenizer,
    ids: readonly number[],
    options: { skipSpecialTokens?: boolean; after?: readonly number[] } = {},
  ): string[] {
    const { push, flush } = tokenizer.createDecodeStream(options);
    const pieces = ids.map((id) => push(id));
    return [...pieces, flush()];
  }
});

describe('vocab.json and merges.txt', () => {
  test('OPT has </s> (id 2) in front', async () => {
    const files = { ...vocabularyFiles(['<s>', '<pad>', '</s>', '<unk>']), 'config.json': { model_type: 'opt' } };
    await withFiles(files, async (directory) => {
      const tokenizer = await loadTokenizer(directory);
      expect(tokenizer.encode('hello hello')).toEqual([2, 13, 14]);
      expect(tokenizer.bosTokenId).toBe(2);
      expect(tokenizer.eosTokenIds).toEqual([2]);
      expect(tokenizer.decode([2, 13, 14], { skipSpecialTokens: true })).toBe('hello hello');
    });
  });

  test('GPT-2 has nothing in front', async () => {
    const files = {
      ...vocabularyFiles(['<|endoftext|>']),
      'config.json': { model_type: 'gpt2', bos_token_id: 0, eos_token_id: 0 },
    };
    await withFiles(files, async (directory) => {
      const tokenizer = await loadTokenizer(directory);
      expect(tokenizer.encode('hello hello')).toEqual([10, 11]);
      expect(tokenizer.encode('hello<|endoftext|>')).toEqual([10, 0]);
      expect(tokenizer.addsBosToken).toBe(false);
      expect(tokenizer.eosTokenIds).toEqual([0]);
    });
  });

  test('Qwen2 takes digits one by one and its special tokens from tokenizer_config.json', async () => {
    const files = {
      ...vocabularyFiles([]),
      'tokenizer_config.json': {
        tokenizer_class: 'Qwen2Tokenizer',
        bos_token: null,
        eos_token: '<|im_end|>',
        added_tokens_decoder: { 12: { content: '<|im_end|>', special: true } },
      },
    };
    await withFiles(files, async (directory) => {
      const tokenizer = await loadTokenizer(directory);
      expect(tokenizer.encode('hello11<|im_end|>')).toEqual([9, 5, 5, 12]);
      expect(tokenizer.eosTokenIds).toEqual([12]);
      expect(tokenizer.bosTokenId).toBeUndefined();
    });
  });
});

describe('special tokens from the other files', () => {
  test('the post-processor of tokenizer.json says whether BOS stands in front, add_bos_token does not', async () => {
    for (const add_bos_token of [true, false]) {
      for (const post_processor of [null, sentencePiece().post_processor]) {
        const files = {
          'tokenizer.json': { ...sentencePiece(), post_processor },
          'tokenizer_config.json': { add_bos_token },
          'special_tokens_map.json': { bos_token: { content: '<s>' }, eos_token: '</s>' },
        };
        await withFiles(files, async (directory) => {
          const tokenizer = await loadTokenizer(directory);
          const bare = tokenizer.encode('ab', { addSpecialTokens: false });
          expect(bare).not.toContain(1);
          expect(tokenizer.encode('ab')).toEqual(post_processor === null ? bare : [1, ...bare]);
          expect(tokenizer.addsBosToken).toBe(post_processor !== null);
          expect(tokenizer.bosTokenId).toBe(1);
          expect(tokenizer.eosTokenIds).toEqual([2]);
        });
      }
    }
  });

  test('EOS ids of generation_config.json, config.json and the tokenizer come together', async () => {
    const files = {
      'tokenizer.json': sentencePiece(),
      'tokenizer_config.json': { eos_token: '</s>' },
      'generation_config.json': { eos_token_id: [5, 6] },
      'config.json': { eos_token_id: 6, bos_token_id: 1 },
    };
    await withFiles(files, async (directory) => {
      const tokenizer = await loadTokenizer(directory);
      expect(tokenizer.eosTokenIds).toEqual([5, 6, 2]);
      expect(tokenizer.bosToken).toBe('<s>');
    });
  });
});

describe('errors', () => {
  const cases: [string, Record<string, string | Record<string, unknown>>, string, RegExp][] = [
    ['no files', {}, 'not_found', /holds no tokenizer: expected tokenizer\.json, or vocab\.json and merges\.txt/],
    ['malformed JSON', { 'tokenizer.json': '{"model": ' }, 'invalid_data', /tokenizer\.json is not valid JSON/],
    ['a list', { 'tokenizer.json': '[]' }, 'invalid_data', /must hold a JSON object/],
    ['no model', { 'tokenizer.json': {} }, 'invalid_data', /model: expected an object; got nothing/],
    [
      'an unknown model',
      { 'tokenizer.json': { model: { type: 'Sentence' } } },
      'unsupported',
      /model: type "Sentence" is not supported; supported are BPE, Unigram, WordLevel, WordPiece/,
    ],
    [
      'an unknown decoder',
      { 'tokenizer.json': { ...sentencePiece(), decoder: { type: 'CTC' } } },
      'unsupported',
      /decoder: type "CTC" is not supported; supported are BPEDecoder/,
    ],
    [
      'an unknown normalizer',
      { 'tokenizer.json': { ...sentencePiece(), normalizer: { type: 'Nothing' } } },
      'unsupported',
      /tokenizer\.json: .*Nothing/,
    ],
    [
      'an id out of range',
      { 'tokenizer.json': { model: { type: 'BPE', merges: [], vocab: { a: 1e9 } } } },
      'invalid_data',
      /id of "a" must be from 0/,
    ],
    [
      'a bad merge',
      { ...vocabularyFiles(['</s>']), 'merges.txt': '#version: 0.2\nh e l\n' },
      'invalid_data',
      /merges\.txt:2: expected two tokens/,
    ],
    [
      'an unknown class without tokenizer.json',
      { ...vocabularyFiles([]), 'tokenizer_config.json': { tokenizer_class: 'BartTokenizer' } },
      'unsupported',
      /BartTokenizer are not supported/,
    ],
  ];
  test.each(cases)('%s', async (_name, files, code, message) => {
    await withFiles(files, async (directory) => {
      await expect(loadTokenizer(directory)).rejects.toMatchObject({
        name: 'SubzeroError',
        code,
        message: expect.stringMatching(message),
      });
    });
  });

  test('a directory that does not exist', async () => {
    await expect(loadTokenizer('/nowhere/at/all')).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringMatching(/does not exist/),
    });
  });

  test('text that the vocabulary cannot express', async () => {
    const definition = {
      ...metaspaceUnigram(),
      model: {
        type: 'WordPiece',
        vocab: { a: 0 },
        unk_token: '[UNK]',
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 9,
      },
    };
    await withFiles(
      { 'tokenizer.json': { ...definition, pre_tokenizer: null, added_tokens: [] } },
      async (directory) => {
        const tokenizer = await loadTokenizer(directory);
        expect(() => tokenizer.encode('b')).toThrow(/no token for a part of the text/);
      },
    );
  });
});
