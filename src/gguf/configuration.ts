/**
 * The config.json that a GGUF file stands for: its hyper-parameters under the names of Hugging Face transformers.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { Architecture, Config, HeadSizes, TensorNames } from './architecture.ts';
import { architectures, unsupported } from './architectures.ts';
import { expertTensorName } from './experts.ts';
import type { GgufModel } from './file.ts';
import { fusedName } from './fused.ts';
import { type GgufTensor, type MetadataValue, quoteValue } from './header.ts';
import { Keys, layersOf } from './keys.ts';
import { type ReadDivisors, readRope, type ropeTensors } from './rope.ts';

/** A GGUF model whose architecture is known. */
export interface KnownGguf {
  architecture: Architecture;
  heads: HeadSizes;
  /** Layers that are read; a file may have others behind them, which guess further tokens. */
  layers: number;
  blocks: number;
  /** As config.json would have it. */
  config: Config;
}

/** What a configuration is read from. */
export type GgufContents = Pick<GgufModel, 'path' | 'metadata' | 'read'> & {
  readonly tensors: ReadonlyMap<string, Pick<GgufTensor, 'name' | 'type' | 'shape' | 'byteLength'>>;
};

/** The keys of a file that its configuration is made from. */
export function isConfigurationKey(key: string): boolean {
  return !key.startsWith('tokenizer.') || key.endsWith('_token_id');
}

/**
 * Reads the hyper-parameters of a file.
 *
 * @throws SubzeroError `unsupported` for an architecture or a key that is not known, `invalid_data` for values that are
 *   missing or wrong; the message names the key
 */
export async function readGgufConfiguration(model: GgufContents): Promise<KnownGguf> {
  const { metadata, tensors, path } = model;
  checkGeneral(model);
  const name = metadata.get('general.architecture');
  const architecture = typeof name === 'string' && Object.hasOwn(architectures, name) ? architectures[name] : undefined;
  if (!architecture) {
    const missing = typeof name === 'string' && Object.hasOwn(unsupported, name) ? unsupported[name] : undefined;
    const why = missing === undefined ? '' : `: ${missing}`;
    throw new SubzeroError(
      'unsupported',
      `${path}: the architecture ${quoteValue(name)} is not supported in GGUF${why}; supported are ` +
        Object.keys(architectures).join(', '),
      { parameter: path },
    );
  }
  const keys = new Keys(metadata, name as string, path);
  const hidden = keys.whole('embedding_length');
  const count = keys.whole('attention.head_count');
  const own = architecture.sizes?.(keys) ?? {};
  const keyCount = own.keyHeads ?? keys.whole('attention.head_count_kv', count);
  const keyWidth = keys.whole('attention.key_length', hidden / count);
  const width = own.headWidth ?? keyWidth;
  if (count === 0 || keyCount === 0 || !Number.isInteger(width)) {
    throw keys.error('invalid_data', 'attention.head_count', `is ${count}, which does not divide ${hidden} evenly`);
  }
  const valueWidth = keys.whole('attention.value_length', keyWidth);
  if (valueWidth !== keyWidth) {
    throw keys.error('unsupported', 'attention.value_length', `is ${valueWidth}, and keys have ${keyWidth} elements`);
  }
  const context = keys.whole('context_length');
  const blocks = keys.whole('block_count');
  if (blocks > tensors.size) {
    throw keys.error('invalid_data', 'block_count', `is ${blocks}, and the file has ${tensors.size} tensors in all`);
  }
  const layers = layersOf(keys);
  checkExperts(keys, tensors);
  const type = architecture.type(keys);
  const read: ReadDivisors = async (tensor) => await readVector(model, tensor);
  const config = {
    architectures: [architecture.className[type]],
    model_type: type,
    vocab_size: keys.whole('vocab_size', tensors.get('token_embd.weight')?.shape[0] ?? 0),
    hidden_size: hidden,
    intermediate_size: own.inner ?? keys.whole('feed_forward_length'),
    num_hidden_layers: layers,
    num_attention_heads: count,
    num_key_value_heads: keyCount,
    head_dim: width,
    hidden_act: 'silu',
    max_position_embeddings: context,
    rms_norm_eps: architecture.epsilon ? architecture.epsilon(keys) : keys.real('attention.layer_norm_rms_epsilon'),
    tie_word_embeddings: !tensors.has('output.weight'),
    ...(architecture.rope
      ? await architecture.rope(keys, read)
      : withYarn(await readRope(keys, { width, context }, read), architecture)),
    ...architecture.own?.(keys, namesOf(tensors)),
    ...tokenIds(model),
  };
  keys.done();
  const given = Object.entries(config).filter(([, value]) => value !== undefined);
  return {
    architecture,
    heads: { heads: count, keyHeads: keyCount, headWidth: width },
    layers,
    blocks,
    config: Object.fromEntries(given),
  };
}

function namesOf(tensors: GgufContents['tensors']): TensorNames {
  return {
    has: (name) => tensors.has(name) || tensors.has(fusedName(name)),
    rows: (name) => tensors.get(name)?.shape[0] ?? 0,
  };
}

/** The most experts of a layer that are read; the largest published layers have some hundreds. */
const maxExperts = 4096;

/** Bounds what a description of the experts takes. */
function checkExperts(keys: Keys, tensors: GgufContents['tensors']): void {
  const count = keys.whole('expert_count', 0);
  if (count > maxExperts)
    throw keys.error('unsupported', 'expert_count', `is ${count}; at most ${maxExperts} are read`);
  const stack = tensors.get(expertTensorName('0', 'down', 'weight'));
  if (!stack || stack.shape[0] === count) return;
  throw keys.error(
    'invalid_data',
    'expert_count',
    `is ${count}, and "${stack.name}" has the shape [${stack.shape.join(', ')}]`,
  );
}

/** The rotary settings with those that all models of the architecture have. */
function withYarn(rope: Record<string, unknown>, { yarn }: Architecture): Record<string, unknown> {
  const scaling = rope.rope_scaling as Record<string, unknown> | null;
  return yarn && scaling?.rope_type === 'yarn' ? { ...rope, rope_scaling: { ...scaling, ...yarn } } : rope;
}

/** Refuses what is no language model, or would be read otherwise. */
function checkGeneral({ metadata, tensors, path }: GgufContents): void {
  const refuse = (key: string, expected: string, value: MetadataValue | undefined): SubzeroError =>
    new SubzeroError('unsupported', `${path}: "${key}" is ${quoteValue(value)}; expected ${expected}`, {
      parameter: path,
    });
  const type = metadata.get('general.type') ?? 'model';
  if (type !== 'model') throw refuse('general.type', '"model": a file of another kind adds to a model', type);
  const isQuantized = [...tensors.values()].some(({ type: { values } }) => values > 1);
  const version = metadata.get('general.quantization_version') ?? 2;
  if (isQuantized && version !== 2) {
    throw refuse('general.quantization_version', '2, whose blocks are known; quantize the model anew', version);
  }
}

/** Ids of BOS, EOS and padding. */
function tokenIds({ metadata }: GgufContents): Record<string, number> {
  const ids: Record<string, number> = {};
  for (const [name, key] of [
    ['bos_token_id', 'bos_token_id'],
    ['eos_token_id', 'eos_token_id'],
    ['pad_token_id', 'padding_token_id'],
  ] as const) {
    const id = metadata.get(`tokenizer.ggml.${key}`);
    // 2³² − 1 stands for no token.
    if (typeof id === 'number' && id !== 0xffffffff) ids[name] = id;
  }
  return ids;
}

async function readVector(model: GgufContents, name: (typeof ropeTensors)[number]): Promise<Float32Array | undefined> {
  const tensor = model.tensors.get(name);
  if (tensor === undefined) return undefined;
  if (tensor.type.name !== 'F32' || tensor.shape.length !== 1) {
    throw new SubzeroError(
      'unsupported',
      `${model.path}: tensor "${name}": expected a list of F32, got ${tensor.type.name}`,
      { parameter: model.path },
    );
  }
  return new Float32Array((await model.read(name, 0, tensor.byteLength)).buffer);
}
