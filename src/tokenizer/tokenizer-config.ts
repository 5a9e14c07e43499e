/**
 * What tokenizer_config.json, special_tokens_map.json and the tokenizer class make of tokenizer.json. The reference is
 * transformers 5.24 (`AutoTokenizer.from_pretrained`), which builds some tokenizers anew from the vocabulary alone.
 * tokenizer_config.json is a whitelist: a key is used, known to change nothing here, or refused.
 *
 * @module
 */

import { type NewToken, readAddedToken } from './added-tokens.ts';
import { isRecord } from './files.ts';
import { maskedClasses } from './masked-classes.ts';
import { typeOfFields } from './model.ts';
import { brief, Section } from './section.ts';
import { type ByteLevelClass, buildByteLevel, buildLlama } from './tokenizer-classes.ts';
import { checkTokenId } from './vocabulary.ts';

type Json = Record<string, unknown>;

/** The keys that name a special token, in the order in which the reference adds them. */
const namedTokenKeys = [
  ...['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'],
] as const;

/** Keys that are read. */
const usedKeys = [
  ...namedTokenKeys,
  ...['tokenizer_class', 'added_tokens_decoder', 'additional_special_tokens', 'extra_special_tokens'],
  ...['model_specific_special_tokens', 'add_prefix_space', 'legacy', 'split_special_tokens', 'chat_template'],
  ...['add_bos_token', 'add_eos_token'],
];

/** Keys that change no id and no text here, with why. */
export const neutralKeys: Readonly<Record<string, string>> = {
  model_max_length: 'the context is that of config.json; a longer text is refused, not cut',
  max_len: 'an older name of model_max_length',
  max_length: 'used where a caller asks for cutting or filling up, which nothing here does',
  stride: 'as max_length',
  truncation: 'as max_length',
  truncation_side: 'as max_length',
  truncation_strategy: 'as max_length',
  padding: 'as max_length',
  padding_side: 'as max_length',
  pad_to_multiple_of: 'as max_length',
  pad_token_type_id: 'as max_length',
  model_input_names: 'the names of arrays that a caller gets',
  clean_up_tokenization_spaces: 'text is that of the tokens; the reference, too, ignores it for BPE and in streams',
  spaces_between_special_tokens: 'read by slow tokenizers only',
  use_default_system_prompt: 'not read by the reference; a chat has the system message that is sent',
  do_lower_case: 'read for BertTokenizer alone; for others, tokenizer.json has its own normalizer',
  do_basic_tokenize: 'as do_lower_case',
  never_split: 'as do_lower_case',
  strip_accents: 'as do_lower_case',
  tokenize_chinese_chars: 'as do_lower_case',
  keep_accents: 'as do_lower_case',
  remove_space: 'as do_lower_case',
  trim_offsets: 'offsets into the text are not used',
  errors: 'bytes that are not UTF-8 become U+FFFD, which is its default',
  sp_model_kwargs: 'for the SentencePiece library, which is not used',
  from_slow: 'whether to convert from SentencePiece; a folder without tokenizer.json is refused',
  use_fast: 'an older switch between two implementations',
  backend: 'which implementation wrote the file',
  is_local: 'where the file came from',
  _commit_hash: 'as is_local',
  _from_auto: 'as is_local',
  _name_or_path: 'as is_local',
  cache_dir: 'as is_local',
  revision: 'as is_local',
  subfolder: 'as is_local',
  local_files_only: 'as is_local',
  name_or_path: 'as is_local',
  special_tokens_map_file: 'as is_local',
  tokenizer_file: 'as is_local',
  vocab_file: 'as is_local',
  merges_file: 'as is_local',
  files_loaded: 'as is_local',
  processor_class: 'for images and sounds',
  feature_extractor_type: 'as processor_class',
  image_processor_type: 'as processor_class',
  trust_remote_code: 'Python code is never run',
  verbose: 'messages',
  sanitize_control_tokens: 'for cleaning user messages, which only a caller of transformers asks for',
  chat_control_tokens: 'for cleaning user messages, which only a caller of transformers asks for',
  response_template: 'for parsing answers',
  response_schema: 'as response_template',
  transformers_version: 'which version wrote the file',
  model_type: 'config.json says it',
  unk_id: 'the model section of tokenizer.json names it',
  vocab_size: 'the vocabulary has its own size',
};

/** Keys that change ids in a way that is not supported: the values that do not. */
const neutralValues: Readonly<Record<string, (value: unknown) => boolean>> = {
  fix_mistral_regex: (value) => value === false,
  init_inputs: (value) => Array.isArray(value) && value.length === 0,
  clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output: (value) => value === false,
  target_lang: () => false,
  src_lang: () => false,
  tgt_lang: () => false,
  language: () => false,
  tokenizer_type: () => false,
};

/** Every key of tokenizer_config.json that is known. */
export const knownKeys: readonly string[] = [
  ...usedKeys,
  ...Object.keys(neutralKeys),
  ...Object.keys(neutralValues),
  'auto_map',
];

/** What the files say together. */
export interface ResolvedTokenizer {
  /** tokenizer.json, or what the tokenizer class builds from its vocabulary. */
  tokenizer: Json;
  /** Tokens that follow those of `tokenizer`. */
  alsoAdded: NewToken[];
  splitsSpecial: boolean;
  /** The special tokens by name, such as `bos_token`. */
  named: ReadonlyMap<string, string>;
}

/** The files of a model folder that say how it tokenises. */
export interface TokenizerFiles {
  /** The content of tokenizer.json; or a byte-level vocabulary and its merges, which have no sections yet. */
  tokenizer: Json;
  /** Whether `tokenizer` is a whole tokenizer.json. */
  isComplete: boolean;
  tokenizerConfig: Json;
  specialTokensMap: Json;
  modelConfig: Json;
  /** added_tokens.json of older folders: token → id. */
  addedTokens: Json;
  /** The path of a file of the folder, for error texts. */
  path(name: string): string;
}

/**
 * Puts the files together.
 * @throws SubzeroError `unsupported` or `invalid_data` that names the file, the key and the value
 */
export function resolveTokenizer(files: TokenizerFiles): ResolvedTokenizer {
  const { tokenizerConfig: config, specialTokensMap, path } = files;
  const section = new Section(config, '', path('tokenizer_config.json'));
  checkKeys(section, config);
  const className = classOf(files, section);

  // The reference reads the older files only where tokenizer_config.json has no added_tokens_decoder.
  const isOld = !isRecord(config.added_tokens_decoder);
  if (isOld) checkKeys(new Section(specialTokensMap, '', path('special_tokens_map.json')), specialTokensMap);
  const merged: Json = isOld ? { ...config, ...specialTokensMap } : config;
  const { tokenizer, defaults } = build(files, className, section, merged);
  const listed = isOld ? tokensOfOldFiles(files, merged) : tokensOfConfig(files);
  const special = specialTokens(merged, defaults, listed, (key) =>
    path(isOld && Object.hasOwn(specialTokensMap, key) ? 'special_tokens_map.json' : 'tokenizer_config.json'),
  );
  return {
    tokenizer,
    alsoAdded: [...listed.values(), ...special.others.filter(({ content }) => !listed.has(content)), ...special.again],
    splitsSpecial: config.split_special_tokens != null && section.flag('split_special_tokens'),
    named: special.named,
  };
}

function checkKeys(section: Section, config: Json): void {
  for (const [key, value] of Object.entries(config)) {
    if (value === null || usedKeys.includes(key) || Object.hasOwn(neutralKeys, key)) continue;
    // Any other key of this form is a special token of its own.
    if (key.endsWith('_token') && typeof value === 'string') continue;
    if (neutralValues[key]?.(value)) continue;
    if (key === 'auto_map') {
      if (isRecord(value) && value.AutoTokenizer === undefined) continue;
      throw section.error(
        'unsupported',
        `"auto_map" is ${brief(value)}: a tokenizer that is a Python program is not run`,
      );
    }
    throw section.error(
      'unsupported',
      neutralValues[key] === undefined
        ? `the key "${key}" is not known (${brief(value)}); remove it if it changes nothing`
        : `"${key}" is ${brief(value)}, which changes how a text is read and is not supported; expected no such key`,
    );
  }
}

/** Classes of transformers that take tokenizer.json as it is. */
const asIs = ['PreTrainedTokenizer', 'PreTrainedTokenizerFast', 'PythonBackend', 'TokenizersBackend'];

/** The class that the reference has for a model type, where it has one. */
const classOfType: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries({
    Qwen2Tokenizer: 'qwen2 qwen3',
    GPT2Tokenizer: 'opt gpt2 gptj gpt_neo phi starcoder2',
    GPTNeoXTokenizer: 'gpt_neox olmo',
    CohereTokenizer: 'cohere cohere2',
    RobertaTokenizer: 'roberta',
    XLMRobertaTokenizer: 'xlm-roberta',
    BertTokenizer: 'bert',
    TokenizersBackend:
      'mistral ministral ministral3 mistral3 olmo2 olmo3 granite ernie4_5 hyperclovax phi3 stablelm glm glm4 ' +
      'gpt_bigcode',
  }).flatMap(([name, types]) => types.split(' ').map((type) => [type, name])),
);

/** The class that the reference chooses; `undefined` where tokenizer.json is taken as it is. */
function classOf({ modelConfig, tokenizer, isComplete }: TokenizerFiles, section: Section): string | undefined {
  const modelType = modelConfig.model_type;
  const named = section.raw('tokenizer_class') ?? modelConfig.tokenizer_class;
  if (named != null && typeof named !== 'string') throw section.wrong('tokenizer_class', 'the name of a class', named);
  const own = Object.hasOwn(classOfType, String(modelType)) ? classOfType[String(modelType)] : undefined;
  // For these types, the reference does not believe the file.
  if (modelType === 'qwen2') return own;
  if (own === 'TokenizersBackend' && isComplete) return undefined;
  const name = (named ?? own)?.toString().replace(/Fast$/, '');
  if (name === undefined || asIs.includes(name)) return undefined;
  if (name === 'LlamaTokenizer' && isByteLevel(tokenizer)) return undefined;
  return name;
}

/** Whether a tokenizer.json speaks of bytes, as the reference decides it. */
function isByteLevel(tokenizer: Json): boolean {
  const has = (value: unknown): boolean =>
    isRecord(value) &&
    (value.type === 'ByteLevel' ||
      [value.pretokenizers, value.decoders].some((list) => Array.isArray(list) && list.some(has)));
  return has(tokenizer.pre_tokenizer) || has(tokenizer.decoder);
}

/** The special tokens that a class has where the files name none. */
type Defaults = Readonly<Partial<Record<(typeof namedTokenKeys)[number], string>>>;

const fairseqDefaults: Defaults = {
  ...{ bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>', sep_token: '</s>', pad_token: '<pad>' },
  ...{ cls_token: '<s>', mask_token: '<mask>' },
};

const defaultsOfClass: Readonly<Record<string, Defaults>> = {
  LlamaTokenizer: { unk_token: '<unk>', bos_token: '<s>', eos_token: '</s>' },
  Qwen2Tokenizer: { unk_token: '<|endoftext|>', eos_token: '<|endoftext|>', pad_token: '<|endoftext|>' },
  GPT2Tokenizer: { unk_token: '<|endoftext|>', bos_token: '<|endoftext|>', eos_token: '<|endoftext|>' },
  CodeGenTokenizer: { unk_token: '<|endoftext|>', bos_token: '<|endoftext|>', eos_token: '<|endoftext|>' },
  GPTNeoXTokenizer: {
    ...{ unk_token: '<|endoftext|>', bos_token: '<|endoftext|>', eos_token: '<|endoftext|>' },
    pad_token: '<|padding|>',
  },
  CohereTokenizer: {
    ...{ unk_token: '<UNK>', bos_token: '<BOS_TOKEN>', eos_token: '<|END_OF_TURN_TOKEN|>', pad_token: '<PAD>' },
    ...{ cls_token: '<CLS>', sep_token: '<SEP>', mask_token: '<MASK_TOKEN>' },
  },
  RobertaTokenizer: fairseqDefaults,
  XLMRobertaTokenizer: fairseqDefaults,
  BertTokenizer: {
    ...{ unk_token: '[UNK]', sep_token: '[SEP]', pad_token: '[PAD]', cls_token: '[CLS]', mask_token: '[MASK]' },
  },
};

/**
 * tokenizer.json as it is, or what the class makes of its vocabulary.
 * @param merged what the files say of special tokens
 */
function build(
  files: TokenizerFiles,
  className: string | undefined,
  section: Section,
  merged: Json,
): { tokenizer: Json; defaults: Defaults } {
  const { tokenizer, isComplete, path } = files;
  if (className === undefined) return { tokenizer, defaults: {} };
  const defaults = defaultsOfClass[className];
  if (defaults === undefined) {
    throw section.error(
      'unsupported',
      `"tokenizer_class" is ${className}, which may read a text otherwise than tokenizer.json says; supported are ` +
        `${Object.keys(defaultsOfClass).join(', ')}, and PreTrainedTokenizerFast for tokenizer.json as it is`,
    );
  }
  const model = new Section(tokenizer, '', path(isComplete ? 'tokenizer.json' : 'vocab.json')).section('model');
  const masked = maskedClasses[className];
  const expected = masked?.type ?? 'BPE';
  const type = model.raw('type') ?? typeOfFields(model);
  if (type !== expected) {
    throw model.error(
      'unsupported',
      `"type" is ${brief(type)}, but ${className} (by tokenizer_class or model_type) builds a ${expected} model; ` +
        'set tokenizer_class to PreTrainedTokenizerFast for tokenizer.json as it is',
    );
  }
  if (masked) {
    const special = (name: string): string => {
      const value = merged[name] ?? defaults[name as keyof Defaults];
      const content = isRecord(value) ? value.content : value;
      if (typeof content !== 'string') throw section.wrong(name, 'the text of a token', value);
      return content;
    };
    return { tokenizer: masked.build({ tokenizer, model, config: section, special }), defaults };
  }
  const options = {
    addPrefixSpace: section.raw('add_prefix_space') == null ? undefined : section.flag('add_prefix_space'),
    legacy: section.raw('legacy') != null && section.flag('legacy'),
  };
  return {
    tokenizer:
      className === 'LlamaTokenizer'
        ? buildLlama(tokenizer, options)
        : buildByteLevel(tokenizer, className as ByteLevelClass, options),
    defaults,
  };
}

/** The added tokens that tokenizer_config.json lists. */
function tokensOfConfig({ tokenizerConfig, path }: TokenizerFiles): Map<string, NewToken> {
  const tokens = Object.entries(tokenizerConfig.added_tokens_decoder as Json).map(([id, token]): [number, NewToken] => [
    Number(id),
    readAddedToken(new Section(token, `added_tokens_decoder.${id}`, path('tokenizer_config.json'))),
  ]);
  return inOrder(tokens);
}

/** The added tokens of added_tokens.json and tokenizer.json; of two with one id, those of tokenizer.json count. */
function tokensOfOldFiles({ tokenizer, addedTokens, path }: TokenizerFiles, config: Json): Map<string, NewToken> {
  const tokens = new Map<number, NewToken>();
  const extra = config.extra_special_tokens ?? config.additional_special_tokens;
  const special = [...namedTokenKeys.map((key) => config[key]), ...(Array.isArray(extra) ? extra : [])].map((token) =>
    isRecord(token) ? token.content : token,
  );
  const file = new Section(addedTokens, '', path('added_tokens.json'));
  for (const [content, id] of Object.entries(addedTokens)) {
    checkTokenId(file, content, id);
    const isSpecial = special.includes(content);
    tokens.set(id, { ...plain(content), special: isSpecial, normalized: !isSpecial });
  }
  const added = Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : [];
  for (const [index, token] of added.entries()) {
    const section = new Section(token, `added_tokens[${index}]`, path('tokenizer.json'));
    tokens.set(Number(section.raw('id')), readAddedToken(section));
  }
  return inOrder([...tokens]);
}

/** Tokens by content, in the order of their ids, in which the reference adds them. */
function inOrder(tokens: [number, NewToken][]): Map<string, NewToken> {
  tokens.sort(([a], [b]) => a - b);
  return new Map(tokens.map(([statedId, token]) => [token.content, { ...token, statedId }]));
}

/** The named special tokens, those without a name, and how the reference adds both. */
function specialTokens(
  config: Json,
  defaults: Defaults,
  listed: ReadonlyMap<string, NewToken>,
  fileOf: (key: string) => string,
) {
  const named = new Map<string, string>();
  const others: NewToken[] = [];
  const again: NewToken[] = [];
  const add = (value: unknown, path: string): string | undefined => {
    // The reference passes over a token without text.
    if (value == null || value === '') return undefined;
    const read = typeof value === 'string' ? plain(value) : readAddedToken(new Section(value, path, fileOf(path)));
    // What the list of added tokens says of a token goes before what stands beside its name.
    const token = listed.get(read.content) ?? read;
    others.push(token);
    again.push({ ...token, special: true });
    return token.content;
  };
  const values: Json = { ...defaults, ...config };
  const more = isRecord(values.model_specific_special_tokens) ? values.model_specific_special_tokens : {};
  const extra = values.extra_special_tokens ?? values.additional_special_tokens;
  const ofModel = Object.keys(values).filter(
    (key) => /_token$/.test(key) && !(namedTokenKeys as readonly string[]).includes(key),
  );
  for (const key of [...namedTokenKeys, ...ofModel.filter((key) => typeof values[key] === 'string')]) {
    const content = add(values[key], key);
    if (content !== undefined) named.set(key, content);
  }
  for (const [key, value] of Object.entries({ ...more, ...(isRecord(extra) ? extra : {}) })) {
    const content = add(value, key);
    if (content !== undefined) named.set(key, content);
  }
  if (Array.isArray(extra)) for (const [index, value] of extra.entries()) add(value, `extra_special_tokens[${index}]`);
  return { named, others, again };
}

function plain(content: string): NewToken {
  return { content, singleWord: false, stripsLeft: false, stripsRight: false, normalized: false, special: true };
}
