/**
 * What the paths of a request lead to, so that an experiment that goes on finds out when a model or rows were
 * exchanged.
 *
 * @module
 */

import { isGgufPath } from '../gguf/path.ts';
import { openWeights } from '../model/load.ts';
import { createHash, join, readFile, readStream } from '../platform/index.ts';

/** Hexadecimal hashes; none of what cannot be read, which is told where it is used. */
export interface Inputs {
  /** Covers weights, configuration and tokenizer. */
  model?: string;
  /** Covers the files of rows. */
  data?: string;
}

/** Files of a model's folder, beside its weights, that decide what it makes of a text. */
const companions = ['config.json', 'tokenizer.json', 'vocab.json', 'merges.txt', 'tokenizer_config.json'];

/** @param files the files of rows, all splits */
export async function inputsOf(model: string, files: readonly string[]): Promise<Inputs> {
  const [ofModel, ofData] = [await hashOfModel(model), files.length > 0 ? await hashOfFiles(files) : undefined];
  return {
    ...(ofModel === undefined ? {} : { model: ofModel }),
    ...(ofData === undefined ? {} : { data: ofData }),
  };
}

async function hashOfModel(model: string): Promise<string | undefined> {
  const source = await openWeights(model).catch(() => undefined);
  if (!source) return undefined;
  try {
    const hash = createHash('sha256').update(await source.fingerprint());
    if (!isGgufPath(model)) {
      for (const name of companions) {
        const content = await readFile(join(model, name)).catch(() => undefined);
        if (content) hash.update(`\n${name} ${content.length}\n`).update(content);
      }
    }
    return hash.digest('hex');
  } finally {
    await source.close();
  }
}

/** The hash of the bytes of files, one after the other; undefined where one cannot be read. */
export async function hashOfFiles(files: readonly string[]): Promise<string | undefined> {
  const hash = createHash('sha256');
  try {
    for (const file of files) {
      let bytes = 0;
      for await (const piece of readStream(file)) {
        hash.update(piece);
        bytes += piece.length;
      }
      hash.update(`\n${bytes}\n`);
    }
  } catch {
    return undefined;
  }
  return hash.digest('hex');
}
