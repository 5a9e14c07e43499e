/**
 * Finding a tokenizer in a model directory.
 *
 * @module
 */

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SubzeroError } from '../errors.ts';
import { isRecord, readOptionalJson, readOptionalText } from './files.ts';
import { Tokenizer } from './tokenizer.ts';
import { buildByteLevelTokenizer } from './vocabulary-files.ts';

/** Tokenizer classes and model types whose vocab.json + merges.txt are byte-level BPE. */
const byteLevelClasses = ['GPT2Tokenizer', 'GPT2TokenizerFast', 'Qwen2Tokenizer'];
const byteLevelModelTypes = ['gpt2', 'opt', 'qwen2', 'qwen3', 'gpt_neo', 'gpt_neox'];

/**
 * Loads the tokenizer of a Hugging Face style model directory: tokenizer.json, or vocab.json + merges.txt of a
 * byte-level BPE; with what tokenizer_config.json, special_tokens_map.json, generation_config.json, config.json and
 * chat_template.jinja say about special tokens and chats.
 *
 * @throws SubzeroError `not_found` if the files are missing, `invalid_data` if one is malformed, `unsupported` for an
 *   unknown kind of tokenizer; the message names the file
 */
export async function loadTokenizer(directory: string): Promise<Tokenizer> {
  const path = (name: string) => join(directory, name);
  const [tokenizerJson, tokenizerConfig, specialTokens, modelConfig, generationConfig, jinja] = await Promise.all([
    readOptionalJson(path('tokenizer.json')),
    readOptionalJson(path('tokenizer_config.json')),
    readOptionalJson(path('special_tokens_map.json')),
    readOptionalJson(path('config.json')),
    readOptionalJson(path('generation_config.json')),
    readOptionalText(path('chat_template.jinja')),
  ]);
  const config = { ...specialTokens, ...withoutNulls(tokenizerConfig ?? {}) };
  const tokenizer = tokenizerJson ?? (await fromVocabularyFiles(directory, config, modelConfig ?? {}));
  const chatTemplate = jinja ?? readChatTemplate(config.chat_template);
  const bosTokenId = [generationConfig?.bos_token_id, modelConfig?.bos_token_id].find(isTokenId);
  return new Tokenizer({
    tokenizer,
    config,
    ...(bosTokenId === undefined ? {} : { bosTokenId }),
    eosTokenIds: [generationConfig?.eos_token_id, modelConfig?.eos_token_id].flat().filter(isTokenId),
    ...(chatTemplate === undefined ? {} : { chatTemplate }),
    file: path(tokenizerJson ? 'tokenizer.json' : 'vocab.json'),
  });
}

async function fromVocabularyFiles(
  directory: string,
  config: Record<string, unknown>,
  modelConfig: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const [vocabulary, merges] = await Promise.all([
    readOptionalJson(join(directory, 'vocab.json')),
    readOptionalText(join(directory, 'merges.txt')),
  ]);
  if (vocabulary === undefined || merges === undefined) {
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
  const tokenizerClass = config.tokenizer_class;
  const modelType = modelConfig.model_type;
  const isKnown =
    (tokenizerClass === undefined && modelType === undefined) ||
    byteLevelClasses.includes(tokenizerClass as string) ||
    byteLevelModelTypes.includes(modelType as string);
  if (!isKnown) {
    throw new SubzeroError(
      'unsupported',
      `${directory}: vocab.json and merges.txt of ${String(tokenizerClass ?? modelType)} are not supported; ` +
        `save a tokenizer.json with the model (supported without one: ${byteLevelClasses.join(', ')})`,
      { parameter: directory },
    );
  }
  // OPT shares GPT-2's tokenizer class and differs by its BOS: `</s>` (id 2) stands in front of every text.
  const isOpt = modelType === 'opt' || (tokenizerClass === undefined && vocabulary['</s>'] === 2);
  if (isOpt) {
    config.bos_token ??= '</s>';
    config.eos_token ??= '</s>';
    config.add_bos_token ??= true;
  }
  const bos = isRecord(config.bos_token) ? config.bos_token.content : config.bos_token;
  const bosToken = config.add_bos_token === true && typeof bos === 'string' ? bos : undefined;
  return buildByteLevelTokenizer(vocabulary, merges, { ...modelConfig, ...config }, bosToken);
}

/** `null` means "none" in these files, and must not hide what another file says. */
function withoutNulls(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null));
}

function isTokenId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}

/** A template is a text, or a list of named ones of which `default` is for plain chats. */
function readChatTemplate(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  const chosen = value.find((each) => isRecord(each) && each.name === 'default');
  return isRecord(chosen) && typeof chosen.template === 'string' ? chosen.template : undefined;
}
