/**
 * How byte-level vocabularies of GGUF files cut a text into words: the sections of tokenizer.json by the name in
 * `tokenizer.ggml.pre`. A name stands for the tokenizers that llama.cpp's converter knows by it; the sections are those
 * of their tokenizer.json.
 *
 * @see https://github.com/ggml-org/llama.cpp, `get_vocab_base_pre` and src/llama-vocab.cpp
 * @module
 */

import { qwen2Split } from './tokenizer-classes.ts';

type Json = Record<string, unknown>;

/** Normaliser, word splitting, and what else a name says. */
export interface WordSplitting {
  normalizer: Json | null;
  preTokenizer: Json;
  /** A word that is a token is not merged. */
  ignoresMerges: boolean;
  /** BOS in front of every text, where the file does not say. */
  addsBos: boolean;
}

const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
const bytesOfWords = { ...bytes, use_regex: true };
const digits = { type: 'Digits', individual_digits: true };
const nfc = { type: 'NFC' };

function sequence(...pretokenizers: Json[]): Json {
  return { type: 'Sequence', pretokenizers };
}

function cut(expression: string): Json {
  return { type: 'Split', pattern: { Regex: expression }, behavior: 'Isolated', invert: false };
}

function splitting(preTokenizer: Json, own: Partial<WordSplitting> = {}): WordSplitting {
  return { normalizer: null, preTokenizer, ignoresMerges: false, addsBos: false, ...own };
}

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const ends = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

const llama3 = cut(`${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${ends}`);

/** Words that begin with capitals, by letters of both cases. */
const capitals = '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const smalls = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';

const tekken = cut(`${capitals}*${smalls}+|${capitals}+${smalls}*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${ends}`);

const gpt4o = cut(
  `${capitals}*${smalls}+${contractions}?|${capitals}+${smalls}*${contractions}?|\\p{N}{1,3}` +
    `| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${ends}`,
);

const deepseek3 = [
  cut('\\p{N}{1,3}'),
  cut('[一-龥\u3040-ゟ゠-ヿ]+'),
  cut(
    '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+' +
      `| ?[\\p{P}\\p{S}]+[\\r\\n]*|${ends}`,
  ),
];

const deepseekCoder = [
  cut('[\\r\\n]'),
  cut('\\s?\\p{L}+'),
  cut('\\s?\\p{P}+'),
  cut('[一-龥\u0800-一가-\ud7ff]+'),
  digits,
];

/** Falcon cuts off runs of punctuation, then words, then runs of digits, of which three of ASCII are a word. */
const falcon = [
  { type: 'Punctuation', behavior: 'Contiguous' },
  bytesOfWords,
  { type: 'Digits', individual_digits: false },
  cut('[0-9][0-9][0-9]'),
];

const bloom = cut(' ?[^(\\s|[.,!?…。，、।۔،])]+');

const ofLlama3 = splitting(sequence(llama3, bytes), { ignoresMerges: true, addsBos: true });
const ofQwen2 = splitting(sequence(cut(qwen2Split), bytes), { normalizer: nfc });
const ofGptNeox = splitting(bytesOfWords, { normalizer: nfc });
const ofDigits = splitting(sequence(digits, bytesOfWords));

/** The known names. */
export const wordSplittings: Readonly<Record<string, WordSplitting>> = {
  'gpt-2': splitting(bytesOfWords),
  'phi-2': splitting(bytesOfWords),
  'llama-bpe': ofLlama3,
  llama3: ofLlama3,
  'llama-v3': ofLlama3,
  'smaug-bpe': splitting(sequence(llama3, bytes)),
  dbrx: splitting(sequence(llama3, bytes)),
  'chatglm-bpe': splitting(sequence(llama3, bytes)),
  glm4: splitting(sequence(llama3, bytes)),
  qwen2: ofQwen2,
  'deepseek-r1-qwen': ofQwen2,
  mpt: ofGptNeox,
  olmo: ofGptNeox,
  falcon: splitting(sequence(...falcon)),
  bloom: splitting(sequence(bloom, bytes)),
  smollm: ofDigits,
  starcoder: ofDigits,
  refact: ofDigits,
  'command-r': splitting(sequence(digits, bytesOfWords), { normalizer: nfc }),
  tekken: splitting(sequence(tekken, bytes), { ignoresMerges: true, addsBos: true }),
  'gpt-4o': splitting(sequence(gpt4o, bytes)),
  llama4: splitting(sequence(gpt4o, bytes)),
  'deepseek-coder': splitting(sequence(...deepseekCoder, bytes)),
  'deepseek-v3': splitting(sequence(...deepseek3, bytes)),
};
