/**
 * The tokenizer of a model as the keys of a GGUF file. What is written is read back and compared on texts that tell
 * tokenizers apart: one that would give other ids is refused.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { GgufModel, isGgufPath, type MetadataValue, readBack, type TypedValue } from '../gguf/index.ts';
import { join } from '../platform/index.ts';
import { isRecord, readOptionalJson } from './files.ts';
import { ggufTokenizer, kinds } from './gguf.ts';
import { wordSplittings } from './gguf-splits.ts';
import { loadTokenizer, tokenizerOf } from './load.ts';
import type { Tokenizer } from './tokenizer.ts';

type Json = Record<string, unknown>;
type Keys = Map<string, TypedValue>;

/** Texts that tell ways of cutting words apart. */
const probeTexts = [
  "It's 1234567 o'clock; they'RE   late — we'll see.",
  'Zwei Häuser, très déjà-vu: niño, Ελληνικά, Привет мир',
  'def f(x):\n\treturn x**2  # comment\n\n\n    y = [1, 22, 333]\r\n',
  '日本語のテキストと漢字、한국어 문장 ไทย العربية',
  'emoji 👩‍👩‍👧 🇩🇪 and math ∑∫√2 ½ ²',
  'CamelCaseWord snake_case_word kebab-case http://example.com/a?b=c&d=1',
  'e\u0301 combining, \u00a0non-breaking, tabs\t\tand\u2003wide spaces',
  "It's a day. They're late, we'll see 12 345!",
  'Once upon a  time\nthere was (a) little girl: "Lily".',
  'a',
];

/**
 * The keys below `tokenizer.` for a model.
 * @param directory model folder or GGUF file
 * @param vocabulary entries of the embedding; tokens that the tokenizer lacks become unused ones
 * @throws SubzeroError `unsupported` for a tokenizer that such a file cannot say, naming what it has
 */
export async function ggufTokenizerKeys(directory: string, vocabulary: number): Promise<Keys> {
  if (isGgufPath(directory)) return await copiedKeys(directory);
  const file = join(directory, 'tokenizer.json');
  const json = await readOptionalJson(file);
  if (!json || !isRecord(json.model)) throw refused(directory, 'it has no tokenizer.json with a model');
  const tokenizer = await loadTokenizer(directory);
  if (json.model.type !== 'BPE') throw refused(file, `its model is ${String(json.model.type)}; supported is BPE`);
  const tokens = tokensOf(json, vocabulary, file);
  const keys = json.model.byte_fallback === true ? sentencePiece(json, tokens) : byteLevel(json, tokens, file);
  for (const [name, value] of specialKeys(tokenizer, vocabulary, file)) keys.set(name, value);
  checkIds(keys, tokenizer, file);
  return keys;
}

interface Tokens {
  texts: string[];
  types: number[];
  ids: ReadonlyMap<string, number>;
}

function tokensOf({ model, added_tokens: added }: Json, vocabulary: number, file: string): Tokens {
  const vocab = Object.entries((model as Json).vocab as Record<string, number>);
  const ids = new Map(vocab);
  const isSentencePiece = (model as Json).byte_fallback === true;
  const texts: string[] = [];
  const types: number[] = [];
  for (const [text, id] of vocab) {
    texts[id] = text;
    types[id] = isSentencePiece && /^<0x[0-9A-F]{2}>$/.test(text) ? kinds.byte : kinds.normal;
  }
  const unknown = (model as Json).unk_token;
  for (const { id, content, special } of (added ?? []) as { id: number; content: string; special: boolean }[]) {
    texts[id] = content;
    ids.set(content, id);
    types[id] = special ? kinds.control : kinds.userDefined;
  }
  if (typeof unknown === 'string' && ids.has(unknown)) types[ids.get(unknown)!] = kinds.unknown;
  if (texts.length > vocabulary) {
    throw refused(file, `it has ${texts.length} tokens and the model's embedding ${vocabulary}`);
  }
  for (let id = 0; id < vocabulary; id++) {
    if (texts[id] !== undefined) continue;
    texts[id] = `[PAD${id}]`;
    types[id] = kinds.unused;
  }
  return { texts, types, ids };
}

function vocabularyKeys(model: string, pre: string, { texts, types }: Tokens): Keys {
  return new Map<string, TypedValue>([
    ['tokenizer.ggml.model', { kind: 'text', value: model }],
    ['tokenizer.ggml.pre', { kind: 'text', value: pre }],
    ['tokenizer.ggml.tokens', { kind: 'texts', value: texts }],
    ['tokenizer.ggml.token_type', { kind: 'i32s', value: types }],
  ]);
}

/** Pairs of tokens, in either form that tokenizer.json has them in. */
function mergesOf({ model }: Json): [string, string][] {
  return ((model as Json).merges as (string | [string, string])[]).map((merge) => {
    if (typeof merge !== 'string') return merge;
    const at = merge.indexOf(' ', 1);
    return [merge.slice(0, at), merge.slice(at + 1)];
  });
}

function byteLevel(json: Json, tokens: Tokens, file: string): Keys {
  const ignoresMerges = (json.model as Json).ignore_merges === true;
  const own = canonical(json.normalizer, json.pre_tokenizer);
  const pre = Object.keys(wordSplittings).find((name) => {
    const splitting = wordSplittings[name]!;
    return canonical(splitting.normalizer, splitting.preTokenizer) === own && splitting.ignoresMerges === ignoresMerges;
  });
  if (pre === undefined) {
    throw refused(
      file,
      `its pre_tokenizer and normalizer are none that GGUF has a name for; known are ` +
        `${Object.keys(wordSplittings).join(', ')}`,
    );
  }
  return vocabularyKeys('gpt2', pre, tokens).set('tokenizer.ggml.merges', {
    kind: 'texts',
    value: mergesOf(json).map((pair) => pair.join(' ')),
  });
}

/** Sections without what changes no ids, one step in a sequence as the step itself. */
function canonical(normalizer: unknown, preTokenizer: unknown): string {
  const plain = (section: unknown): unknown => {
    if (!isRecord(section)) return null;
    const { trim_offsets: _, ...rest } = section;
    const steps = (rest.pretokenizers ?? rest.normalizers) as unknown[] | undefined;
    if (steps) return steps.length === 1 ? plain(steps[0]) : steps.map(plain);
    return Object.fromEntries(Object.entries(rest).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  };
  return JSON.stringify([plain(normalizer), plain(preTokenizer)]);
}

/** Scores say in which order tokens are merged: minus the place of the first merge that makes a token. */
function sentencePiece(json: Json, tokens: Tokens): Keys {
  const scores = tokens.texts.map(() => 0);
  const merges = mergesOf(json);
  const seen = new Set<string>();
  for (const pair of merges) {
    const token = pair.join('');
    const id = tokens.ids.get(token);
    if (id === undefined || seen.has(token)) continue;
    scores[id] = -seen.size;
    seen.add(token);
  }
  // Single characters come behind all that is merged, as SentencePiece numbers them.
  for (const [id, type] of tokens.types.entries()) {
    if (type === kinds.normal && !seen.has(tokens.texts[id]!)) scores[id] = -seen.size;
  }
  const { normalizer, pre_tokenizer: preTokenizer } = json as Record<string, Json | null>;
  const addsSpace =
    preTokenizer?.type === 'Metaspace'
      ? preTokenizer.prepend_scheme !== 'never'
      : JSON.stringify(normalizer ?? null).includes('"Prepend"');
  return vocabularyKeys('llama', 'default', tokens)
    .set('tokenizer.ggml.scores', { kind: 'f32s', value: scores })
    .set('tokenizer.ggml.add_space_prefix', { kind: 'flag', value: addsSpace });
}

const namedTokens = {
  unk_token: 'unknown_token_id',
  sep_token: 'seperator_token_id',
  pad_token: 'padding_token_id',
  mask_token: 'mask_token_id',
} as const;

/** Special tokens; those that the embedding has no row for are left out. */
function specialKeys(tokenizer: Tokenizer, vocabulary: number, file: string): Keys {
  const keys: Keys = new Map();
  const { bosTokenId, specialTokens, chatTemplate } = tokenizer;
  const eosTokenIds = tokenizer.eosTokenIds.filter((id) => id < vocabulary);
  const ends = ['eos', 'eot', 'eom'];
  if (eosTokenIds.length > ends.length) throw refused(file, `${eosTokenIds.length} tokens end a text; at most 3 can`);
  const set = (name: string, id: number | undefined): void => {
    if (id !== undefined && id < vocabulary) keys.set(`tokenizer.ggml.${name}`, { kind: 'u32', value: id });
  };
  set('bos_token_id', bosTokenId);
  for (const [index, id] of eosTokenIds.entries()) set(`${ends[index]}_token_id`, id);
  for (const [name, key] of Object.entries(namedTokens)) {
    const text = specialTokens[name];
    if (text !== undefined) set(key, tokenizer.encode(text, { addSpecialTokens: false })[0]);
  }
  const ids = tokenizer.encode('a');
  keys.set('tokenizer.ggml.add_bos_token', { kind: 'flag', value: ids.length > 1 && ids[0] === bosTokenId });
  const last = ids.at(-1)!;
  keys.set('tokenizer.ggml.add_eos_token', { kind: 'flag', value: ids.length > 1 && eosTokenIds.includes(last) });
  if (chatTemplate !== undefined) keys.set('tokenizer.chat_template', { kind: 'text', value: chatTemplate });
  return keys;
}

/**
 * Texts with characters that the vocabulary lacks are passed over: a file cannot say that these are left out.
 * @throws SubzeroError `unsupported` if a text has other ids by the keys
 */
function checkIds(keys: Keys, tokenizer: Tokenizer, file: string): void {
  const written = tokenizerOf(ggufTokenizer(readBack(keys), file), file);
  const types = keys.get('tokenizer.ggml.token_type')!.value as number[];
  const unknown = types.indexOf(kinds.unknown);
  for (const text of probeTexts) {
    const [before, after] = [tokenizer.encode(text), written.encode(text)];
    if (after.includes(unknown)) continue;
    if (before.length === after.length && before.every((id, index) => id === after[index])) continue;
    throw refused(
      file,
      `${JSON.stringify(text)} is [${before.join(', ')}] and would be [${after.join(', ')}] in a GGUF file`,
    );
  }
}

/** Kinds of lists of the keys that are copied. */
const listKinds: Readonly<Record<string, 'texts' | 'i32s' | 'f32s'>> = {
  'tokenizer.ggml.tokens': 'texts',
  'tokenizer.ggml.merges': 'texts',
  'tokenizer.chat_templates': 'texts',
  'tokenizer.ggml.scores': 'f32s',
  'tokenizer.ggml.token_type': 'i32s',
};

async function copiedKeys(file: string): Promise<Keys> {
  const model = await GgufModel.open(file, (key) => key.startsWith('tokenizer.'));
  await model.close();
  // What cannot be read is not copied.
  ggufTokenizer(model.metadata, file);
  return new Map([...model.metadata].flatMap(([key, value]) => copied(key, value)));
}

function copied(key: string, value: MetadataValue): [string, TypedValue][] {
  const kind = listKinds[key];
  if (kind && Array.isArray(value)) return [[key, { kind, value } as TypedValue]];
  if (typeof value === 'boolean') return [[key, { kind: 'flag', value }]];
  if (typeof value === 'number') return [[key, { kind: 'u32', value }]];
  return typeof value === 'string' ? [[key, { kind: 'text', value }]] : [];
}

function refused(file: string, why: string): SubzeroError {
  return new SubzeroError('unsupported', `${file}: the tokenizer cannot be written into a GGUF file: ${why}`, {
    parameter: 'format',
  });
}
