/**
 * Which files of a repository are wanted.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { Snapshot } from './cache.ts';

/** What a repository holds, as a choice sees it. */
export interface RepositoryContents {
  /** The repository, for messages. */
  name: string;
  paths: readonly string[];
  /** Gets the text of a file. */
  read(path: string): Promise<string>;
}

export interface FileChoice {
  /** The paths of the wanted files. @throws SubzeroError where the repository does not have what it must */
  choose(contents: RepositoryContents): Promise<string[]>;
  /** Whether the cache has all of them, so that the hub need not be asked; always asked where this is left out. */
  isComplete?(snapshot: Snapshot): Promise<boolean>;
  /** Whether what the cache has will do where the hub cannot be asked. */
  isUsable(snapshot: Snapshot): Promise<boolean>;
  /** Files that are noted where the repository does not have them. */
  optional?: readonly string[];
}

/** Exactly these files. */
export function theseFiles(...paths: string[]): FileChoice {
  const here = (snapshot: Snapshot): Promise<boolean> => snapshot.hasAll(paths);
  return {
    async choose({ name, paths: there }) {
      const missing = paths.filter((path) => !there.includes(path));
      if (missing.length === 0) return paths;
      const ends = new Set(missing.map((path) => path.slice(path.lastIndexOf('.'))));
      const alike = there.filter((path) => ends.has(path.slice(path.lastIndexOf('.'))));
      const others = alike.length > 0 ? `, but ${some(alike)}` : '';
      throw new SubzeroError('not_found', `${name} has no ${missing.join(', ')}${others}`);
    },
    isComplete: here,
    isUsable: here,
  };
}

/** All files whose paths fit one of the patterns; there must be one. */
export function filesLike(...patterns: RegExp[]): FileChoice {
  const fits = (path: string): boolean => patterns.some((pattern) => pattern.test(path));
  return {
    async choose({ name, paths }) {
      const found = paths.filter(fits);
      if (found.length > 0) return found;
      throw new SubzeroError('not_found', `${name} has no file like ${patterns.join(', ')}`);
    },
    isUsable: async (snapshot) => (await snapshot.files()).some(fits),
  };
}

const [weights, index] = ['model.safetensors', 'model.safetensors.index.json'];
const vocabulary = ['vocab.json', 'merges.txt'];

/** What a tokenizer and a chat may come with; a model's folder means something else without them. */
const companions = [
  ...['generation_config.json', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'],
  ...['chat_template.jinja', 'chat_template.json', 'adapter_config.json'],
];

const templates = /^additional_chat_templates\/[^/]+\.jinja$/;

/**
 * The files of a model that are read: configuration, tokenizer, chat templates, safetensors. An adapter's configuration
 * comes with a model that has one, which is then refused as from any other folder.
 */
export const modelFiles: FileChoice = {
  optional: companions,
  async choose(contents) {
    const { name, paths, read } = contents;
    const has = (path: string): boolean => paths.includes(path);
    if (has('adapter_config.json') && !has('config.json')) return await adapterFiles.choose(contents);
    if (!has('config.json')) throw new SubzeroError('unsupported', `${name} has no config.json${formOf(paths)}`);
    const chosen = ['config.json', ...companions, ...paths.filter((path) => templates.test(path))];
    chosen.push(...(has('tokenizer.json') ? ['tokenizer.json'] : [...vocabulary, 'tokenizer.model']));
    const there = chosen.filter(has);
    if (has(weights)) return [...there, weights];
    if (!has(index)) {
      throw new SubzeroError('unsupported', `${name} has no weights in the safetensors format${formOf(paths)}`);
    }
    const shards = shardsOf(name, await read(index));
    const missing = shards.filter((shard) => !has(shard));
    if (missing.length === 0) return [...there, index, ...shards];
    throw new SubzeroError('invalid_data', `${name} has no ${some(missing)}, which its ${index} names`);
  },
  async isComplete(snapshot) {
    for (const name of companions) if (!(await snapshot.has(name)) && !(await snapshot.lacks(name))) return false;
    return await modelFiles.isUsable(snapshot);
  },
  async isUsable(snapshot) {
    if (await snapshot.has('config.json')) return (await hasTokenizer(snapshot)) && (await hasWeights(snapshot));
    return await adapterFiles.isUsable(snapshot);
  },
};

async function hasTokenizer(snapshot: Snapshot): Promise<boolean> {
  return (await snapshot.has('tokenizer.json')) || (await snapshot.hasAll(vocabulary));
}

async function hasWeights(snapshot: Snapshot): Promise<boolean> {
  if (await snapshot.has(weights)) return true;
  return (
    (await snapshot.has(index)) && (await snapshot.hasAll(shardsOf(snapshot.directory, await snapshot.read(index))))
  );
}

/** The files of a PEFT adapter. */
export const adapterFiles: FileChoice = theseFiles('adapter_config.json', 'adapter_model.safetensors');

/** The names of the shards in an index, sorted. */
function shardsOf(name: string, text: string): string[] {
  try {
    const { weight_map: map } = JSON.parse(text) as { weight_map: Record<string, string> };
    const names = [...new Set(Object.values(map))].sort();
    if (names.length > 0 && names.every((name) => /^[^/\\:]+\.safetensors$/.test(name))) return names;
  } catch {
    // Said below.
  }
  throw new SubzeroError('invalid_data', `${name} has a ${index} without a "weight_map" of file names`);
}

/** In what other form a repository has its weights, and what to do. */
function formOf(paths: readonly string[]): string {
  const like = (pattern: RegExp): string[] => paths.filter((path) => pattern.test(path));
  const quantised = like(/\.gguf$/);
  if (quantised.length > 0) return `, but GGUF files; name one of them behind a colon: ${some(quantised)}`;
  const pickled = like(/\.(bin|pth|pt|ckpt)$/);
  if (pickled.length > 0) {
    return (
      `, but ${some(pickled)}, which hold Python objects and are not read. Load it with transformers and write it ` +
      'anew with save_pretrained(), or take a repository or a revision (such as refs/pr/1) that has safetensors'
    );
  }
  return paths.length > 0 ? `, but ${some(paths)}; is it a model for transformers?` : '; it is empty';
}

function some(paths: readonly string[]): string {
  return paths.length > 3 ? `${paths.slice(0, 3).join(', ')}, … (${paths.length} in all)` : paths.join(', ');
}
