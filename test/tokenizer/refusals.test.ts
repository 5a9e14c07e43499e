/** What tokenizer.json must not say is refused with the file, the section, the field and the value. */

import { expect, test } from 'vitest';
import { Pipeline } from '../../src/tokenizer/pipeline.ts';
import { metaspaceUnigram, sentencePiece, wordPiece } from './definitions.ts';

type Json = Record<string, unknown>;

const bpe = sentencePiece();
const model = (changes: Json, of: Json = bpe): Json => ({ ...of, model: { ...(of.model as Json), ...changes } });
const decoders = (...list: Json[]): Json => ({ ...bpe, decoder: { type: 'Sequence', decoders: list } });
const added = (token: Json): Json => ({ ...bpe, added_tokens: [token] });
const preTokenizer = (section: Json): Json => ({ ...bpe, pre_tokenizer: section });
const normalizer = (section: unknown): Json => ({ ...bpe, normalizer: section });
const split = (changes: Json): Json =>
  preTokenizer({ type: 'Split', pattern: { String: 'a' }, behavior: 'Isolated', invert: false, ...changes });
const metaspace = { type: 'Metaspace', replacement: '▁' };

const cases: [string, Json, 'invalid_data' | 'unsupported', RegExp][] = [
  ['another version', { ...bpe, version: '2.0' }, 'invalid_data', /^t\.json: "version" is "2\.0"; expected "1\.0"/],
  ['an unknown section', { ...bpe, aligner: {} }, 'unsupported', /^t\.json: the field "aligner" is not known \(\{\}\)/],
  ['dropout', model({ dropout: 0.1 }), 'unsupported', /^t\.json: model: "dropout" is 0\.1: .*expected null or 0/],
  [
    'a new model field',
    model({ alpha: 0.5 }),
    'unsupported',
    /model: the field "alpha" is not known \(0\.5\); known are/,
  ],
  [
    'a flag of another type',
    model({ fuse_unk: 'yes' }),
    'invalid_data',
    /model: "fuse_unk" is "yes"; expected true or/,
  ],
  ['a merge of unknown tokens', model({ merges: ['a z'] }), 'invalid_data', /merges\[0\]: .*not hold the token "z"/],
  ['a merge into an unknown token', model({ merges: [['a', 'c']] }), 'invalid_data', /merges\[0\]: .*the token "ac"/],
  ['a merge of three', model({ merges: ['a b c'] }), 'invalid_data', /merges\[0\] is "a b c"; expected two tokens/],
  [
    'two tokens of one id',
    model({ vocab: { a: 0, b: 0 }, merges: [] }),
    'invalid_data',
    /gives the id 0 to both "a" and/,
  ],
  ['an id that is none', model({ vocab: { a: -1 }, merges: [] }), 'invalid_data', /the id of "a" must be from 0 to/],
  [
    'an unk_id outside',
    model({ unk_id: 99 }, metaspaceUnigram()),
    'invalid_data',
    /"unk_id" is 99; expected .*below 8/,
  ],
  [
    'a score that is none',
    model({ vocab: [['a', '1']] }, metaspaceUnigram()),
    'invalid_data',
    /vocab\[0\] is \["a","1"\]/,
  ],
  [
    'no word limit',
    model({ max_input_chars_per_word: null }, wordPiece()),
    'invalid_data',
    /is missing; expected a whole/,
  ],
  [
    'an unknown normalizer',
    normalizer({ type: 'Fold' }),
    'unsupported',
    /normalizer: type "Fold" is not supported; supp/,
  ],
  [
    'a normalizer inside',
    normalizer({ type: 'Sequence', normalizers: [{ type: 'Fold' }] }),
    'unsupported',
    /normalizers\[0\]/,
  ],
  [
    'a normalizer field',
    normalizer({ type: 'NFC', form: 2 }),
    'unsupported',
    /normalizer: the field "form" is not known/,
  ],
  [
    'a broken character map',
    normalizer({ type: 'Precompiled', precompiled_charsmap: 'AAA' }),
    'invalid_data',
    /charact/,
  ],
  ['a normalizer that is none', normalizer(7), 'invalid_data', /normalizer: expected an object; got 7/],
  [
    'scripts',
    preTokenizer({ type: 'UnicodeScripts' }),
    'unsupported',
    /pre_tokenizer: type "UnicodeScripts" is not supp/,
  ],
  [
    'an unknown behaviour',
    split({ behavior: 'Merged' }),
    'invalid_data',
    /"behavior" is "Merged"; expected one of Removed/,
  ],
  ['no invert', split({ invert: null }), 'invalid_data', /"invert" is missing; expected true or false/],
  [
    'a pattern of two kinds',
    split({ pattern: { String: 'a', Regex: 'b' } }),
    'invalid_data',
    /pattern: expected one of/,
  ],
  [
    'an empty pattern',
    split({ pattern: { String: '' } }),
    'unsupported',
    /pattern: "String" is "", which matches everyw/,
  ],
  ['a broken expression', split({ pattern: { Regex: '(' } }), 'unsupported', /pattern: "Regex" is "\("; /],
  ['folding of ß', split({ pattern: { Regex: '(?i:ss)' } }), 'unsupported', /"\(\?i:ss\)"; .*only ASCII letters/],
  [
    'folding of a class',
    split({ pattern: { Regex: '(?i:[s-z])' } }),
    'unsupported',
    /where it ignores case, only ASCII/,
  ],
  [
    'a long replacement',
    preTokenizer({ ...metaspace, replacement: '__' }),
    'invalid_data',
    /is "__"; expected one char/,
  ],
  ['a scheme that disagrees', preTokenizer({ ...metaspace, add_prefix_space: false }), 'invalid_data', /they disagree/],
  [
    'a length of 0',
    preTokenizer({ type: 'FixedLength', length: 0 }),
    'invalid_data',
    /"length" is 0; expected .*from 1/,
  ],
  [
    'an unknown post-processor',
    { ...bpe, post_processor: { type: 'Wrap' } },
    'unsupported',
    /post_processor: type "Wrap"/,
  ],
  [
    'a template without its token',
    {
      ...bpe,
      post_processor: { type: 'TemplateProcessing', single: [{ SpecialToken: { id: '<s>' } }], special_tokens: {} },
    },
    'invalid_data',
    /post_processor\.single\[0\]: "special_tokens" does not name "<s>"/,
  ],
  [
    'two frames',
    { ...bpe, post_processor: { type: 'Sequence', processors: [bpe.post_processor, bpe.post_processor] } },
    'unsupported',
    /post_processor: TemplateProcessing and TemplateProcessing in one sequence/,
  ],
  ['a decoder for speech', { ...bpe, decoder: { type: 'CTC' } }, 'unsupported', /decoder: type "CTC" is not supported/],
  [
    'Replace after Fuse',
    decoders({ type: 'Fuse' }, { type: 'Replace', pattern: { String: 'a' }, content: 'b' }),
    'unsupported',
    /decoders\[1\]: Replace after/,
  ],
  ['an empty content', added({ id: 0, content: '' }), 'invalid_data', /added_tokens\[0\]: "content" is ""; expected/],
  [
    'an id beside the vocabulary',
    added({ id: 9, content: 'x' }),
    'invalid_data',
    /added_tokens\[0\]: the id of "x" is 9; it must be 267/,
  ],
  [
    'a new token field',
    added({ id: 267, content: 'x', sticky: 1 }),
    'unsupported',
    /added_tokens\[0\]: .*"sticky" is not/,
  ],
  [
    'a token of which nothing is left',
    {
      ...normalizer({ type: 'Strip', strip_left: true, strip_right: true }),
      added_tokens: [{ id: 267, content: '  ', normalized: true }],
    },
    'invalid_data',
    /the normalizer leaves nothing of " {2}"/,
  ],
  [
    'two tokens of one form',
    {
      ...normalizer({ type: 'Lowercase' }),
      added_tokens: [
        { id: 267, content: 'X', normalized: true },
        { id: 268, content: 'x', normalized: true },
      ],
    },
    'invalid_data',
    /"x" and "X" are found by the same text "x"/,
  ],
];

test.each(cases)('%s', (_name, tokenizer, code, message) => {
  expect(() => new Pipeline(structuredClone(tokenizer), 't.json')).toThrow(
    expect.objectContaining({ name: 'SubzeroError', code, message: expect.stringMatching(message) }),
  );
});
