/**
 * The weights of a model directory: one `model.safetensors`, or shards named by `model.safetensors.index.json`.
 *
 * @see https://huggingface.co/docs/transformers/main/en/big_models
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { parseJsonFile } from '../model-file.ts';
import { join, readdir, readFile, stat } from '../platform/index.ts';
import type { TensorSource } from '../tensor-source.ts';
import { diskError } from './disk.ts';
import { fingerprintFiles } from './fingerprint.ts';
import { maxHeaderBytes, type TensorEntry } from './header.ts';
import { parseJsonWithUniqueKeys, quote } from './json.ts';
import { OpenedSafetensors } from './reader.ts';

const singleName = 'model.safetensors';
const indexName = 'model.safetensors.index.json';

/** All tensors of a model directory. */
export interface ModelWeights extends TensorSource<TensorEntry> {
  /** The weight files by path, sorted by name. */
  readonly files: readonly string[];
}

/**
 * Opens the weights of a model directory. Where both forms are there, `model.safetensors` is taken, as other loaders
 * do. Of shards, all tensors are shown, also those that the index leaves out; every one that it names must be in the
 * shard that it says, and in no other.
 * @throws SubzeroError `not_found` (no weights, or a shard is missing), `invalid_data`, `unsupported`, `io`.
 */
export async function openModelWeights(directory: string): Promise<ModelWeights> {
  if (await exists(join(directory, singleName))) {
    const file = await OpenedSafetensors.open(join(directory, singleName));
    return new OpenedWeights([file], file.tensors, new Map([...file.tensors.keys()].map((name) => [name, file])));
  }
  if (await exists(join(directory, indexName))) return await openShards(directory);
  throw await noWeights(directory);
}

class OpenedWeights implements ModelWeights {
  readonly files: readonly string[];
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly #shards: readonly OpenedSafetensors[];
  readonly #shardOf: ReadonlyMap<string, OpenedSafetensors>;
  #fingerprint: Promise<string> | undefined;

  constructor(
    shards: readonly OpenedSafetensors[],
    tensors: ReadonlyMap<string, TensorEntry>,
    shardOf: ReadonlyMap<string, OpenedSafetensors>,
  ) {
    this.files = shards.map(({ file }) => file);
    this.tensors = tensors;
    this.metadata = Object.fromEntries(shards.flatMap(({ metadata }) => Object.entries(metadata)));
    this.#shards = shards;
    this.#shardOf = shardOf;
  }

  async read(
    name: string,
    byteOffset?: number,
    byteLength?: number,
    memory?: ArrayBuffer,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const shard = this.#shardOf.get(name);
    if (shard === undefined) {
      throw new SubzeroError('not_found', `the weights ${this.files.join(', ')} have no tensor ${quote(name)}`, {
        parameter: name,
      });
    }
    return await shard.read(name, byteOffset, byteLength, memory);
  }

  async fingerprint(): Promise<string> {
    this.#fingerprint ??= fingerprintFiles(this.#shards);
    return await this.#fingerprint;
  }

  async close(): Promise<void> {
    for (const shard of this.#shards) await shard.close();
  }
}

async function openShards(directory: string): Promise<ModelWeights> {
  const index = join(directory, indexName);
  const shardNameOf = await readIndex(index);
  const shards = new Map<string, OpenedSafetensors>();
  try {
    for (const shardName of [...new Set(shardNameOf.values())].sort()) {
      try {
        shards.set(shardName, await OpenedSafetensors.open(join(directory, shardName)));
      } catch (error) {
        if (!(error instanceof SubzeroError) || error.code !== 'not_found') throw error;
        throw new SubzeroError(
          'not_found',
          `${index} names the shard ${quote(shardName)}, which is missing; download it into ${directory}`,
          { parameter: shardName, cause: error },
        );
      }
    }
    const tensors = new Map<string, TensorEntry>();
    const shardOf = new Map<string, OpenedSafetensors>();
    for (const [name, shardName] of shardNameOf) {
      const shard = shards.get(shardName)!;
      const entry = shard.tensors.get(name);
      if (entry === undefined) {
        throw invalid(index, `expected tensor ${quote(name)} in ${shard.file}, which does not have it`);
      }
      tensors.set(name, entry);
      shardOf.set(name, shard);
    }
    for (const shard of shards.values()) {
      for (const [name, entry] of shard.tensors) {
        const other = shardOf.get(name);
        if (other === shard) continue;
        if (other !== undefined) {
          throw invalid(
            index,
            `tensor ${quote(name)} is in ${other.file} and in ${shard.file}; expected one of them only`,
          );
        }
        tensors.set(name, entry);
        shardOf.set(name, shard);
      }
    }
    return new OpenedWeights([...shards.values()], tensors, shardOf);
  } catch (error) {
    for (const shard of shards.values()) await shard.close();
    throw error;
  }
}

/** Returns the shard's file name by tensor name. */
async function readIndex(index: string): Promise<Map<string, string>> {
  let bytes: Uint8Array;
  try {
    const { size } = await stat(index);
    if (size > maxHeaderBytes) throw invalid(index, `expected at most ${maxHeaderBytes} bytes, got ${size}`);
    bytes = await readFile(index);
  } catch (error) {
    throw diskError(error, index, 'read');
  }
  const parsed = parseJsonFile(bytes, index, parseJsonWithUniqueKeys);
  const map = (parsed as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw invalid(index, `expected "weight_map", an object from tensor name to file name, got ${quote(map)}`);
  }
  const shardNameOf = new Map<string, string>();
  for (const [name, shardName] of Object.entries(map)) {
    if (!isPlainFileName(shardName)) {
      throw invalid(
        index,
        `tensor ${quote(name)}: expected the plain name of a .safetensors file in the same directory, got ` +
          `${quote(shardName)}`,
      );
    }
    shardNameOf.set(name, shardName);
  }
  if (shardNameOf.size === 0) throw invalid(index, 'expected at least one tensor in "weight_map", got none');
  return shardNameOf;
}

/**
 * A name that cannot lead out of the directory on any system: no separators, drives, dots alone or control characters.
 */
function isPlainFileName(name: unknown): name is string {
  return typeof name === 'string' && /^[^/\\:\p{Cc}]+\.safetensors$/u.test(name);
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    const failure = diskError(error, file, 'open');
    if (failure.code === 'not_found') return false;
    throw failure;
  }
}

async function noWeights(directory: string): Promise<SubzeroError> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    return diskError(error, directory, 'open the model directory');
  }
  const gguf = names.find((name) => /\.gguf$/i.test(name));
  const pickled = names.find((name) => /\.(bin|pt|pth)$/.test(name));
  return new SubzeroError(
    'not_found',
    `${directory}: expected ${singleName} or ${indexName}, got neither` +
      (gguf !== undefined
        ? ` but ${quote(gguf)}; give that file itself as the model`
        : pickled === undefined
          ? '; is it a model directory?'
          : ` but ${quote(pickled)}; convert it to safetensors first`),
    { parameter: directory },
  );
}

function invalid(file: string, reason: string, cause?: unknown): SubzeroError {
  return new SubzeroError('invalid_data', `${file}: ${reason}`, { parameter: file, cause });
}
