/**
 * Finding a tokenizer in a model directory.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { isGgufPath } from '../gguf/path.ts';
import { join, stat } from '../platform/index.ts';
import { parseChatTemplates, readChatTemplates } from './chat-template-files.ts';
import { readOptionalJson, readOptionalText } from './files.ts';
import { checkGenerationConfig } from './generation-config.ts';
import type { GgufTokenizer } from './gguf.ts';
import { Tokenizer } from './tokenizer.ts';
import { resolveTokenizer } from './tokenizer-config.ts';
import { readMerges } from './vocabulary-files.ts';

type Json = Record<string, unknown>;

/** Tokenizer classes and model types whose vocab.json + merges.txt are byte-level BPE. */
const byteLevelClasses = ['GPT2Tokenizer', 'GPT2TokenizerFast', 'Qwen2Tokenizer', 'Qwen2TokenizerFast'];
const byteLevelModelTypes = ['gpt2', 'opt', 'qwen2', 'qwen3', 'gpt_neo', 'gpt_neox'];

/** What the published OPT models say in tokenizer_config.json, for folders that lack it: `</s>` begins every text. */
const optConfig = { bos_token: '</s>', eos_token: '</s>', unk_token: '</s>', pad_token: '<pad>', add_bos_token: true };

/**
 * Loads the tokenizer of a model: that of a GGUF file, or of a Hugging Face style directory with tokenizer.json, or
 * with vocab.json + merges.txt of a byte-level BPE; with what tokenizer_config.json, special_tokens_map.json,
 * added_tokens.json, generation_config.json, config.json and the files of chat templates say about special tokens and
 * chats.
 *
 * @throws SubzeroError `not_found` if the files are missing, `invalid_data` if one is malformed, `unsupported` for what
 *   would change ids or text and is not known; the message names the file, the field and the value
 */
export async function loadTokenizer(directory: string): Promise<Tokenizer> {
  if (isGgufPath(directory)) return await loadGgufTokenizer(directory);
  const path = (name: string) => join(directory, name);
  const [tokenizerJson, tokenizerConfig, specialTokensMap, addedTokens, modelConfig, generationConfig] =
    await Promise.all([
      readOptionalJson(path('tokenizer.json')),
      readOptionalJson(path('tokenizer_config.json')),
      readOptionalJson(path('special_tokens_map.json')),
      readOptionalJson(path('added_tokens.json')),
      readOptionalJson(path('config.json')),
      readOptionalJson(path('generation_config.json')),
    ]);
  if (generationConfig !== undefined) checkGenerationConfig(generationConfig, path('generation_config.json'));
  const vocabulary = tokenizerJson === undefined ? await readVocabularyFiles(directory) : undefined;
  let config = tokenizerConfig ?? {};
  if (vocabulary !== undefined) {
    checkClass(directory, config, modelConfig ?? {});
    const isOpt = modelConfig?.model_type === 'opt' || vocabulary.vocab['</s>'] === 2;
    if (isOpt && tokenizerConfig === undefined) config = optConfig;
    // The reference has a class for every model type; those that are byte-level but for Qwen's are GPT-2's.
    const isQwen = /^qwen/.test(String(modelConfig?.model_type ?? ''));
    if (!isQwen) config = { ...config, tokenizer_class: config.tokenizer_class ?? 'GPT2Tokenizer' };
  }
  const resolved = resolveTokenizer({
    tokenizer: tokenizerJson ?? { model: { type: 'BPE', ...vocabulary } },
    isComplete: tokenizerJson !== undefined,
    tokenizerConfig: config,
    specialTokensMap: specialTokensMap ?? {},
    addedTokens: addedTokens ?? {},
    modelConfig: modelConfig ?? {},
    path,
  });
  const chatTemplates = await readChatTemplates(directory, config.chat_template);
  const bosTokenId = [generationConfig?.bos_token_id, modelConfig?.bos_token_id].find(isTokenId);
  return new Tokenizer({
    ...resolved,
    // With tokenizer.json, the reference leaves BOS and EOS to its post-processor and does not read these keys.
    addsBosToken: tokenizerJson === undefined && config.add_bos_token === true,
    addsEosToken: tokenizerJson === undefined && config.add_eos_token === true,
    ...(bosTokenId === undefined ? {} : { bosTokenId }),
    eosTokenIds: [generationConfig?.eos_token_id, modelConfig?.eos_token_id].flat().filter(isTokenId),
    chatTemplates,
    file: path(tokenizerJson === undefined ? 'vocab.json' : 'tokenizer.json'),
  });
}

/** The tokenizer of a GGUF file, whose metadata is read as the files of a directory. */
async function loadGgufTokenizer(file: string): Promise<Tokenizer> {
  const { readGgufTokenizer } = await import('./gguf.ts');
  return tokenizerOf(await readGgufTokenizer(file), file);
}

/** The tokenizer that the metadata of a GGUF file says. @param file for messages */
export function tokenizerOf({ tokenizer, tokenizerConfig, ...ids }: GgufTokenizer, file: string): Tokenizer {
  const resolved = resolveTokenizer({
    ...{ tokenizer, tokenizerConfig, isComplete: true },
    ...{ specialTokensMap: {}, addedTokens: {}, modelConfig: {} },
    path: () => file,
  });
  const chatTemplates = parseChatTemplates(tokenizerConfig.chat_template, file);
  return new Tokenizer({ ...resolved, ...ids, chatTemplates, file });
}

async function readVocabularyFiles(directory: string): Promise<{ vocab: Json; merges: string[] }> {
  const [vocab, merges] = await Promise.all([
    readOptionalJson(join(directory, 'vocab.json')),
    readOptionalText(join(directory, 'merges.txt')),
  ]);
  if (vocab === undefined || merges === undefined) {
    const exists = await stat(directory).then(
      () => true,
      () => false,
    );
    throw new SubzeroError(
      'not_found',
      exists
        ? `${directory} holds no tokenizer: expected tokenizer.json, or vocab.json and merges.txt`
        : `${directory} does not exist`,
      { parameter: directory },
    );
  }
  return { vocab, merges: readMerges(merges) };
}

/** Checks that vocab.json and merges.txt are of a byte-level BPE: they do not say it themselves. */
function checkClass(directory: string, config: Json, modelConfig: Json): void {
  const tokenizerClass = config.tokenizer_class ?? undefined;
  const modelType = modelConfig.model_type;
  const isKnown =
    (tokenizerClass === undefined && modelType === undefined) ||
    byteLevelClasses.includes(tokenizerClass as string) ||
    byteLevelModelTypes.includes(modelType as string);
  if (isKnown) return;
  throw new SubzeroError(
    'unsupported',
    `${directory}: vocab.json and merges.txt of ${String(tokenizerClass ?? modelType)} are not supported; ` +
      `save a tokenizer.json with the model (supported without one: ${byteLevelClasses.join(', ')})`,
    { parameter: directory },
  );
}

function isTokenId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}
