/**
 * What lies beside the weights of an exported model: configuration and tokenizer.
 *
 * @module
 */

import { openGgufConfiguration } from '../gguf/index.ts';
import { isGgufPath } from '../gguf/path.ts';
import type { Model } from '../model/model.ts';
import { copyFile, join, readdir, readFile, writeFile } from '../platform/index.ts';
import { quantizationKey } from '../quantized/key.ts';
import type { FloatDtype } from '../safetensors/index.ts';
import { readGgufTokenizer } from '../tokenizer/gguf.ts';
import { withoutOwnQuantization } from '../weights/own-blocks.ts';
import { parseKept, writeKept } from './json-floats.ts';

type Json = Record<string, unknown>;

type Described = Pick<Model, 'directory' | 'decoder'>;

const torchDtype = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

/**
 * Files of a model beside its weights, by the names that transformers gives them; what else lies there does not belong
 * to the new model.
 */
const companions = [
  /^(config|generation_config|preprocessor_config|processor_config)\.json$/,
  /^(tokenizer.*|special_tokens_map|added_tokens|vocab)\.json$/,
  /^(vocab|merges)\.txt$/,
  // SentencePiece: tokenizer.model, spiece.model, …
  /\.model$/,
  /^chat_template.*\.(json|jinja)$/,
];

/**
 * Writes configuration and tokenizer of a base model into the folder of the new weights: copies of its files, or what a
 * GGUF file says in their place.
 * @param dtype the type of the new weights, which config.json names
 * @returns the files written
 */
export async function writeCompanions(model: Described, dtype: FloatDtype, out: string): Promise<string[]> {
  return isGgufPath(model.directory) ? await writeFromGguf(model, dtype, out) : await copyFiles(model, dtype, out);
}

async function copyFiles(model: Described, dtype: FloatDtype, out: string): Promise<string[]> {
  const written: string[] = [];
  for (const name of await readdir(model.directory)) {
    if (!companions.some((pattern) => pattern.test(name))) continue;
    const [source, target] = [join(model.directory, name), join(out, name)];
    if (name === 'config.json') {
      const config = parseKept(await readFile(source, 'utf8')) as Json;
      await writeJson(target, configurationOf(model, dtype, config));
    } else {
      await copyFile(source, target);
    }
    written.push(target);
  }
  return written;
}

async function writeFromGguf(model: Described, dtype: FloatDtype, out: string): Promise<string[]> {
  const config = await openGgufConfiguration(model.directory);
  const { tokenizer, tokenizerConfig, bosTokenId, eosTokenIds } = await readGgufTokenizer(model.directory);
  const files: Readonly<Record<string, Json>> = {
    'config.json': configurationOf(model, dtype, config),
    'generation_config.json': {
      ...(bosTokenId === undefined ? {} : { bos_token_id: bosTokenId }),
      ...(eosTokenIds.length === 0 ? {} : { eos_token_id: eosTokenIds.length === 1 ? eosTokenIds[0] : eosTokenIds }),
    },
    'tokenizer.json': tokenizer,
    'tokenizer_config.json': tokenizerConfig,
  };
  for (const [name, content] of Object.entries(files)) await writeJson(join(out, name), content);
  return Object.keys(files).map((name) => join(out, name));
}

/** The configuration with the type of the new weights, which are not quantised. */
function configurationOf({ decoder, directory }: Described, dtype: FloatDtype, config: Json): Json {
  const { [quantizationKey]: _, ...plain } = withoutOwnQuantization(config, directory);
  return {
    ...plain,
    ['dtype' in config ? 'dtype' : 'torch_dtype']: torchDtype[dtype],
    // A file may hold a head of its own though its config.json says that it has none.
    ...(decoder.head.tied ? {} : { tie_word_embeddings: false }),
  };
}

async function writeJson(file: string, content: Json): Promise<void> {
  await writeFile(file, `${writeKept(content)}\n`);
}
