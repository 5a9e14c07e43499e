/**
 * The weights of a GGUF file as the tensors of a Hugging Face checkpoint: their names, their shapes, and rows of
 * queries and keys in the order of transformers.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { isSafetensorsDtype } from '../safetensors/dtype.ts';
import { fingerprintFiles } from '../safetensors/fingerprint.ts';
import { quote } from '../safetensors/json.ts';
import { tensorRange } from '../safetensors/tensor-range.ts';
import type { ModelSource } from '../tensor-source.ts';
import { blockFormat, blockFormats } from '../weights/block-formats.ts';
import { inLayer, layerNames } from './architecture.ts';
import { outerTensors } from './architectures.ts';
import { isConfigurationKey, type KnownGguf, readGgufConfiguration } from './configuration.ts';
import { ExpertReader, type ReadableTensor } from './experts.ts';
import { GgufModel } from './file.ts';
import { type StoredPart, withoutFusion } from './fused.ts';
import type { GgufTensor } from './header.ts';
import { keptTensors } from './kept-in-keys.ts';
import { headsInOrder, mapped, partOf, type ReadRange } from './ranges.ts';
import { RearrangedReader } from './rearranged-reader.ts';
import { ropeTensors } from './rope.ts';

/**
 * Opens the weights of a GGUF file. Types of blocks are called as ggml calls them.
 * @throws SubzeroError `not_found`, `io`, `invalid_data`, `unsupported`; the message names the file and the tensor
 */
export async function openGgufWeights(path: string): Promise<ModelSource> {
  const model = await GgufModel.open(path, isConfigurationKey);
  try {
    return new GgufWeights(model, await readGgufConfiguration(model));
  } catch (error) {
    await model.close();
    throw error;
  }
}

/** The config.json that a GGUF file stands for. */
export async function openGgufConfiguration(path: string): Promise<Record<string, unknown>> {
  const model = await GgufModel.open(path, isConfigurationKey);
  try {
    return (await readGgufConfiguration(model)).config;
  } finally {
    await model.close();
  }
}

class GgufWeights implements ModelSource {
  readonly tensors: ReadonlyMap<string, ReadableTensor>;
  readonly metadata = {};
  readonly files: readonly string[];
  readonly #model: GgufModel;
  #fingerprint: Promise<string> | undefined;

  constructor(model: GgufModel, known: KnownGguf) {
    this.#model = model;
    this.files = model.files.map(({ file }) => file);
    const rangeOf = ({ name }: GgufTensor): ReadRange => {
      return (byteOffset, byteLength) => model.read(name, byteOffset, byteLength);
    };
    const experts = new ExpertReader(model.path, known.architecture, model.tensors, rangeOf);
    const orders = new RearrangedReader(model, known, rangeOf);
    const tensors = new Map(keptTensors(model, known).map((tensor) => [tensor.name, tensor] as const));
    for (const stored of model.tensors.values()) {
      if ((ropeTensors as readonly string[]).includes(stored.name) || isBehind(stored, known)) continue;
      checkType(model.path, stored);
      const whole =
        orders.tensorsOf(stored) ??
        withoutFusion(model.path, stored, known).map(({ from, ...part }) =>
          tensorOf(model.path, part, known, from === 0 ? rangeOf(stored) : partOf(rangeOf(stored), from)),
        );
      for (const tensor of experts.tensorsOf(stored) ?? whole.map((it) => valuesOf(model.path, stored, known, it))) {
        if (tensors.has(tensor.name)) {
          throw new SubzeroError(
            'invalid_data',
            `${model.path}: tensor ${quote(stored.name)}: another one is called ${quote(tensor.name)} already`,
            { parameter: model.path },
          );
        }
        tensors.set(tensor.name, tensor);
      }
    }
    this.tensors = tensors;
  }

  async read(name: string, byteOffset = 0, byteLength?: number): Promise<Uint8Array<ArrayBuffer>> {
    const { tensor, length } = tensorRange(this.#model.path, this.tensors, name, byteOffset, byteLength);
    return await tensor.range(byteOffset, length);
  }

  fingerprint(): Promise<string> {
    this.#fingerprint ??= fingerprintFiles(this.#model.files);
    return this.#fingerprint;
  }

  async close(): Promise<void> {
    await this.#model.close();
  }
}

/** The name in transformers; a tensor that is not known keeps its own, under which it is refused. */
function nameOf(name: string, { architecture, config }: KnownGguf): string {
  const { outer, unsuffixed = {} } = architecture;
  const [, number = '', inside = ''] = /^blk\.(\d+)\.(.+)$/.exec(name) ?? [];
  if (Object.hasOwn(unsuffixed, inside)) return inLayer(architecture, number, unsuffixed[inside]!);
  const [, block, module = '', suffix] = /^(?:blk\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(name) ?? [];
  const table = block === undefined ? { ...outerTensors, ...outer } : layerNames(architecture, config);
  if (!Object.hasOwn(table, module)) return name;
  const own = `${table[module]}.${suffix}`;
  return block === undefined ? own : inLayer(architecture, block, own);
}

function checkType(path: string, { name, type }: GgufTensor): void {
  if (isSafetensorsDtype(type.name) || blockFormat(type.name)) return;
  throw new SubzeroError(
    'unsupported',
    `${path}: tensor ${quote(name)} is stored as ${type.name}; supported are F32, F16, BF16, ` +
      `${Object.keys(blockFormats).join(', ')}. Quantize the model to one of them`,
    { parameter: path },
  );
}

function tensorOf(path: string, stored: StoredPart, known: KnownGguf, range: ReadRange): ReadableTensor {
  const { type, shape, byteLength } = stored;
  const name = nameOf(stored.name, known);
  const entry = { name, dtype: type.name, shape, byteLength, outFirst: true, range } as const;
  const count = known.architecture.permuted && headsOf(name, known.heads);
  if (!count) return entry;
  const rows = shape[0] ?? 0;
  if (rows % (2 * count) !== 0) {
    throw new SubzeroError(
      'invalid_data',
      `${path}: tensor ${quote(stored.name)}: expected rows for ${count} heads of an even width, got ${rows}`,
      { parameter: path },
    );
  }
  return { ...entry, range: headsInOrder(range, byteLength / rows, rows / count) };
}

/** A tensor with the sides and the values that transformers has. */
function valuesOf(path: string, stored: GgufTensor, { architecture }: KnownGguf, read: ReadableTensor): ReadableTensor {
  const { type } = stored;
  const entry = { ...read, shape: shapeOf(read.name, read.shape) };
  const isGain = architecture.gainsFromZero?.test(read.name);
  if (!isGain && !negated.test(stored.name)) return entry;
  const refuse = (code: 'unsupported' | 'invalid_data', expected: string, got: unknown): never => {
    const message = `${path}: tensor ${quote(stored.name)}: expected ${expected}, got ${String(got)}`;
    throw new SubzeroError(code, message, { parameter: path });
  };
  if (type.name !== 'F32') refuse('unsupported', `${isGain ? 'gains of norms' : 'rates'} in F32`, type.name);
  const logarithm = (rate: number): number =>
    rate < 0 ? Math.log(-rate) : refuse('invalid_data', 'rates below 0', rate);
  return { ...entry, range: mapped(read.range, isGain ? lessOne : logarithm) };
}

const lessOne = (value: number): number => value - 1;

/** What files have as negated exponentials. */
const negated = /^blk\.\d+\.ssm_a$/;

/** Matrices of one row, which files have as vectors, and convolutions, which they have as matrices. */
function shapeOf(name: string, shape: readonly number[]): readonly number[] {
  if (shape.length === 1 && /\.(shared_expert_gate\.weight|moe_statics\.e_score_correction_bias)$/.test(name)) {
    return [1, ...shape];
  }
  return shape.length === 2 && /\.(conv1d|conv\.conv)\.weight$/.test(name) ? [shape[0]!, 1, shape[1]!] : shape;
}

/** Whether a tensor is of a layer behind the last one, which guesses further tokens. */
function isBehind({ name }: GgufTensor, { layers, blocks }: KnownGguf): boolean {
  const block = Number(/^blk\.(\d+)\./.exec(name)?.[1]);
  return block >= layers && block < blocks;
}

/** How many heads a tensor of queries or keys has; none for other tensors. */
function headsOf(name: string, { heads, keyHeads }: KnownGguf['heads']): number {
  if (/\.q_proj\.(weight|bias)$/.test(name)) return heads;
  return /\.k_proj\.(weight|bias)$/.test(name) ? keyHeads : 0;
}
