/**
 * No key of tokenizer_config.json or generation_config.json is unread: what transformers reads
 * (test/parity/transformers_fields.py) and what published files hold is used, known to change nothing, or refused.
 */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as generation from '../../src/tokenizer/generation-config.ts';
import { loadTokenizer } from '../../src/tokenizer/index.ts';
import { maskedClasses } from '../../src/tokenizer/masked-classes.ts';
import * as config from '../../src/tokenizer/tokenizer-config.ts';
import { sentencePiece, withFiles } from './definitions.ts';

const reference: {
  generation_config: string[];
  tokenizer_config: { read: string[]; parameters: Record<string, string[]> };
  tokenizer_classes: Record<string, 'as it is' | 'rebuilds' | 'python'>;
} = JSON.parse(readFileSync(new URL('../fixtures/golden/transformers-fields.json', import.meta.url), 'utf8'));

/** Names that transformers takes out of the arguments of its functions: in a file, they are refused as unknown. */
const argumentsOfFunctions = [
  ...['_from_pipeline', '_json_padding', '_json_truncation', '_spm_precompiled_charsmap', 'commit_message'],
  ...['continuing_subword_prefix', 'device_map', 'end_of_word_suffix', 'fast_tokenizer_files', 'force_download'],
  ...['gguf_file', 'initial_alphabet', 'max_target_length', 'merges', 'post_processor', 'proxies', 'repo_id'],
  ...['save_jinja_files', 'slow_tokenizer_class', 'token', 'tokenizer', 'tokenizer_object', 'tokenizer_padding'],
  ...['tokenizer_truncation', 'use_source_tokenizer', 'vocab'],
];

/** Keys of tokenizer_config.json that change nothing, with a value that a file may have. */
const neutral: Record<string, unknown> = {
  ...{ model_max_length: 5, max_len: 5, max_length: 5, stride: 1, truncation: true, truncation_side: 'left' },
  ...{ truncation_strategy: 'longest_first', padding: true, padding_side: 'left', pad_to_multiple_of: 8 },
  ...{ pad_token_type_id: 3, model_input_names: ['input_ids'], clean_up_tokenization_spaces: true },
  ...{ spaces_between_special_tokens: true, use_default_system_prompt: true, do_lower_case: true },
  ...{ do_basic_tokenize: true, never_split: ['a'], strip_accents: true, tokenize_chinese_chars: true },
  ...{ keep_accents: false, remove_space: true, trim_offsets: true, errors: 'replace', sp_model_kwargs: {} },
  ...{ from_slow: true, use_fast: false, backend: 'tokenizers', is_local: true, _commit_hash: 'a', _from_auto: true },
  ...{ _name_or_path: 'a', cache_dir: 'a', revision: 'main', subfolder: 'a', local_files_only: true },
  ...{ name_or_path: 'a', special_tokens_map_file: 'a', tokenizer_file: 'a', vocab_file: 'a', merges_file: 'a' },
  ...{ files_loaded: ['a'], processor_class: 'A', feature_extractor_type: 'A', image_processor_type: 'A' },
  ...{ trust_remote_code: true, verbose: true, sanitize_control_tokens: true, chat_control_tokens: ['a'] },
  ...{
    response_template: 'a',
    response_schema: {},
    transformers_version: '5.0',
    model_type: 'llama',
    unk_id: 3,
    vocab_size: 9,
  },
};

const files = (tokenizerConfig: Record<string, unknown>, generationConfig: Record<string, unknown> = {}) => ({
  'tokenizer.json': sentencePiece(),
  'tokenizer_config.json': tokenizerConfig,
  'generation_config.json': generationConfig,
});
const idsWith = (...configs: Record<string, unknown>[]) =>
  withFiles(files(configs[0]!, configs[1]), async (directory) => (await loadTokenizer(directory)).encode(' abc  ab'));

describe('tokenizer_config.json', async () => {
  const plain = await idsWith({});

  test('no key that transformers reads is unknown', () => {
    const { read, parameters } = reference.tokenizer_config;
    const unknown = [...read, ...Object.values(parameters).flat()].filter((key) => !config.knownKeys.includes(key));
    expect(unknown.sort()).toEqual(argumentsOfFunctions);
  });

  test('the list of keys that change nothing is the list that is tried here', () => {
    expect(Object.keys(config.neutralKeys).sort()).toEqual(Object.keys(neutral).sort());
  });

  test.each(Object.entries(neutral))('%s changes nothing', async (key, value) => {
    expect(await idsWith({ [key]: value })).toEqual(plain);
  });

  test.each([
    ['fix_mistral_regex', true],
    ['init_inputs', ['a']],
    ['clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output', true],
    ['src_lang', 'en_XX'],
    ['tgt_lang', 'en_XX'],
    ['target_lang', 'eng'],
    ['language', 'en'],
    ['tokenizer_type', 'bert'],
  ])('%s is refused by name', async (key, value) => {
    const refused = new RegExp(`tokenizer_config\\.json: "${key}" is .*not supported`);
    await expect(idsWith({ [key]: value })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(refused),
    });
  });

  test('an unknown key and a tokenizer that is a program are refused', async () => {
    await expect(idsWith({ splits_words: true })).rejects.toThrow(/the key "splits_words" is not known \(true\)/);
    await expect(idsWith({ auto_map: { AutoTokenizer: ['a.B', null] } })).rejects.toThrow(
      /"auto_map" is .*a Python program/,
    );
    await expect(idsWith({ auto_map: { AutoModel: 'a.B' } })).resolves.toEqual(plain);
  });

  test('special_tokens_map.json is a whitelist, too, where it is read', async () => {
    const load = (tokenizerConfig: Record<string, unknown>) =>
      withFiles(
        { ...files(tokenizerConfig), 'special_tokens_map.json': { eos_token: '</s>', splits_words: true } },
        (directory) => loadTokenizer(directory),
      );
    await expect(load({})).rejects.toThrow(/special_tokens_map\.json: the key "splits_words" is not known/);
    await expect(load({ added_tokens_decoder: {} })).resolves.toBeDefined();
  });

  test('a class is taken as it is, built as transformers builds it, or refused', async () => {
    const built = ['LlamaTokenizer', 'Qwen2Tokenizer', 'GPT2Tokenizer'];
    built.push('CodeGenTokenizer', 'GPTNeoXTokenizer', 'CohereTokenizer');
    for (const [name, kind] of Object.entries(reference.tokenizer_classes)) {
      const ids = idsWith({ tokenizer_class: name });
      if (built.includes(name)) {
        expect(kind).toBe('rebuilds');
        await ids;
      } else if (Object.hasOwn(maskedClasses, name)) {
        // They are built, from a vocabulary of their own kind.
        expect(kind).toBe('rebuilds');
        if (maskedClasses[name]!.type !== 'BPE')
          await expect(ids).rejects.toThrow(/builds a (WordPiece|Unigram) model/);
      } else await expect(ids).rejects.toThrow(new RegExp(`"tokenizer_class" is ${name}, .*PreTrainedTokenizerFast`));
    }
  });

  test('a token list that gives other ids than the vocabulary is refused', async () => {
    const token = { content: '<x>', special: true };
    await expect(idsWith({ added_tokens_decoder: { 999: token } })).rejects.toThrow(
      /the id of "<x>" is 999; it must be 267/,
    );
    await expect(idsWith({ added_tokens_decoder: { 267: { ...token, sticky: true } } })).rejects.toThrow(
      /added_tokens_decoder\.267: the field "sticky" is not known/,
    );
  });
});

describe('generation_config.json', async () => {
  const plain = await idsWith({});

  test('no key of transformers is unknown', () => {
    expect(reference.generation_config.filter((key) => !generation.knownKeys.includes(key))).toEqual([]);
    const own = generation.knownKeys.filter((key) => !reference.generation_config.includes(key));
    expect(own).toEqual(['_commit_hash']);
  });

  test.each(Object.keys(generation.neutralKeys))('%s is accepted', async (key) => {
    expect(await idsWith({}, { [key]: 2 })).toEqual(plain);
  });

  test.each([
    ['no_repeat_ngram_size', 3, 0],
    ['bad_words_ids', [[1]], []],
    ['force_words_ids', [[1]], []],
    ['constraints', [{}], []],
    ['forced_bos_token_id', 1, null],
    ['forced_eos_token_id', 1, null],
    ['exponential_decay_length_penalty', [5, 1.1], null],
    ['suppress_tokens', [5], []],
    ['begin_suppress_tokens', [5], []],
    ['sequence_bias', [[[1], 2]], []],
    ['stop_strings', ['a'], []],
    ['token_healing', true, false],
    ['guidance_scale', 1.5, 1],
    ['watermarking_config', {}, null],
  ])('%s is refused by name unless it changes nothing', async (key, value, neutralValue) => {
    expect(await idsWith({}, { [key]: neutralValue })).toEqual(plain);
    const refused = new RegExp(`generation_config\\.json: "${key}" is .*changes the model's answers`);
    await expect(idsWith({}, { [key]: value })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(refused),
    });
  });

  test('an unknown key, and an id that is none', async () => {
    await expect(idsWith({}, { mood: 'good' })).rejects.toThrow(/the key "mood" is not known \("good"\)/);
    await expect(idsWith({}, { eos_token_id: '2' })).rejects.toThrow(/"eos_token_id" is "2"; expected an id or a list/);
  });
});
