/**
 * A model as a GGUF file: its tensors as llama.cpp's converter has them, its configuration and its tokenizer.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import {
  columnsForFile,
  type GgufContents,
  type GgufTensorToWrite,
  interleaved,
  isGgufPath,
  type ModelSizes,
  openGgufConfiguration,
  readBack,
  readGgufConfiguration,
  rowsForFile,
  type TypedMetadata,
  WrittenArchitecture,
  type WrittenTensor,
  writeGguf,
} from '../gguf/index.ts';
import { readConfiguration } from '../model/configuration.ts';
import { attentions, type Decoder, sublayersOf } from '../model/decoder.ts';
import { parameterShapes } from '../model/parameters.ts';
import { basename, join, resolve } from '../platform/index.ts';
import { axisLength } from '../tensor/axis.ts';
import { readOptionalJson } from '../tokenizer/files.ts';
import { ggufTokenizerKeys } from '../tokenizer/to-gguf.ts';
import { withoutOwnQuantization } from '../weights/own-blocks.ts';
import { collectExperts } from './write-gguf-experts.ts';
import {
  type ModelTensor,
  type TensorError,
  type WrittenStorage,
  writtenBytes,
  writtenType,
} from './written-tensor.ts';

/** What is written besides the tensors. */
interface Described {
  directory: string;
  decoder: Decoder;
}

/** Numbers of `general.file_type`, which say what most matrices are. */
const fileTypes: Readonly<Record<WrittenStorage, number>> = { f32: 0, f16: 1, q4: 2, q8: 7 };

/**
 * Writes a model.
 * @param file its path
 * @param told gets the error of each tensor
 * @throws SubzeroError `unsupported` for a model or a tokenizer that such a file cannot say, before anything is written
 */
export async function writeGgufModel(
  model: Described,
  tensors: readonly ModelTensor[],
  storage: WrittenStorage,
  file: string,
  told?: (error: TensorError) => void,
): Promise<void> {
  const { architecture, sizes, config, decoder } = await ggufArchitecture(model);
  const keys = architecture.keys(config, sizes, titleOf(model.directory));
  const kept = await numbersOf(tensors.filter(({ name }) => architecture.isKept(name)));
  for (const [key, value] of architecture.kept(kept, sizes.layers)) keys.set(key, value);
  keys.set('general.file_type', { kind: 'u32', value: fileTypes[storage] });
  for (const [key, value] of await ggufTokenizerKeys(model.directory, sizes.vocabulary)) keys.set(key, value);
  const [stacks, others] = collectExperts(
    architecture,
    tensors.filter(({ name }) => !kept.has(name)),
  );
  const written = others.flatMap((tensor) =>
    architecture
      .tensors(tensor.name, tensor.shape[0]!, config, sizes)
      .map((place) => placed(tensor, place, storage, told)),
  );
  for (const { biases, ...stack } of stacks) {
    const type = writtenType(biases ? { shape: [] } : stack, storage, 'F32');
    written.push({ name: stack.name, type, shape: stack.shape, data: () => writtenBytes(stack, type, told) });
  }
  const divisors = architecture.divisors(config, sizes);
  if (divisors) {
    const data = () => [new Uint8Array(divisors.buffer)];
    written.push({ name: 'rope_freqs.weight', type: 'F32', shape: [divisors.length], data });
  }
  await checkReadBack({ ...model, decoder }, keys, written, divisors);
  await writeGguf(file, keys, written);
}

/** How the files of a model are written. @throws SubzeroError `unsupported` */
export async function ggufArchitecture({ directory, decoder }: Described): Promise<{
  architecture: WrittenArchitecture;
  sizes: ModelSizes;
  config: Record<string, unknown>;
  decoder: Decoder;
}> {
  const whole = await configurationOf(directory);
  const config = languageModel(whole);
  const architecture = new WrittenArchitecture(config);
  // A language model that lies inside of another is written by itself.
  const own = config === whole ? decoder : await readConfiguration(config, directory);
  return { architecture, sizes: sizesOf(own), config, decoder: own };
}

async function configurationOf(directory: string): Promise<Record<string, unknown>> {
  if (isGgufPath(directory)) return await openGgufConfiguration(directory);
  const file = join(directory, 'config.json');
  return withoutOwnQuantization((await readOptionalJson(file)) ?? {}, file);
}

/** The configuration of the language model inside of one that sees or hears. */
function languageModel(config: Record<string, unknown>): Record<string, unknown> {
  const inside = config.text_config;
  if (typeof inside !== 'object' || inside === null) return config;
  const { tie_word_embeddings: tied } = config;
  return { ...inside, ...(tied === undefined ? {} : { tie_word_embeddings: tied }) };
}

function titleOf(directory: string): string {
  return basename(resolve(directory)).replace(/\.gguf$/i, '');
}

function sizesOf(decoder: Decoder): ModelSizes {
  const attention = attentions(decoder)[0]!;
  const turned = attentions(decoder).filter(({ rotation }) => rotation);
  const theta = (turned.find(({ window }) => window === undefined) ?? turned[0])?.rotation?.theta;
  const down = parameterShapes(decoder).find(({ name }) =>
    /\.((mlp|ffn)\.(down_proj|c_proj|dense_4h_to_h)|feed_forward\.w2)\.weight$/.test(name),
  );
  const sparse = sublayersOf(decoder).find((sublayer) => sublayer.kind === 'experts');
  const inner = sparse ? axisLength(sparse.down.matrices[0]!.columns) : 0;
  return {
    hidden: axisLength(decoder.embedding.columns),
    layers: decoder.blocks.length,
    heads: attention.heads,
    keyHeads: attention.keyHeads,
    headWidth: attention.headWidth,
    feedForward: down?.shape[1] ?? inner,
    context: decoder.contextLength,
    vocabulary: axisLength(decoder.embedding.rows),
    epsilon: decoder.finalNorm?.epsilon ?? 1e-5,
    ...(theta === undefined ? {} : { theta }),
    ...(sparse
      ? {
          experts: {
            ...{ count: sparse.routing.experts, chosen: sparse.routing.chosen, inner },
            ...(sparse.shared ? { shared: axisLength(sparse.shared.down.columns) } : {}),
          },
        }
      : {}),
  };
}

/** The numbers of parameters that have one each. */
async function numbersOf(tensors: readonly ModelTensor[]): Promise<Map<string, Float32Array>> {
  const numbers = new Map<string, Float32Array>();
  for (const { name, values } of tensors) for await (const each of values()) numbers.set(name, each);
  return numbers;
}

/** A parameter where it lies in the file. */
function placed(
  tensor: ModelTensor,
  place: WrittenTensor,
  storage: WrittenStorage,
  told?: (error: TensorError) => void,
): GgufTensorToWrite {
  const { name, isExact, isVector, isMatrix, map, order, interleaved: head } = place;
  const [rows = 1, ...sides] = tensor.shape;
  const type = writtenType(isExact ? { shape: [] } : tensor, storage, 'F32');
  const bytes = () => writtenBytes({ ...tensor, values: () => changed(tensor, map, order) }, type, told);
  const ofFile = (whole: Uint8Array): Uint8Array => {
    const width = whole.byteLength / rows;
    if (head !== undefined) return interleaved(whole, width, head);
    return order?.along === 'rows' ? rowsForFile(whole, width, order.runs, order.which) : whole;
  };
  const isWhole = head !== undefined || order?.along === 'rows';
  const count = order?.along === 'rows' ? ownRows(order) : rows;
  const shape = isVector ? sides : isMatrix ? [count, sides.at(-1)!] : [count, ...sides];
  return { name, type, shape, data: isWhole ? () => joined(bytes(), ofFile) : bytes };
}

/** Counts the rows of a parameter that lie in one tensor of the file. */
function ownRows({ runs, which }: NonNullable<WrittenTensor['order']>): number {
  return runs.reduce((sum, { count, which: of = 0 }) => sum + (of === which ? count : 0), 0);
}

async function* changed(
  { shape, values }: ModelTensor,
  map: WrittenTensor['map'],
  order: WrittenTensor['order'],
): AsyncGenerator<Float32Array> {
  for await (const each of values()) {
    if (map) yield each.map(map);
    else yield order?.along === 'columns' ? columnsForFile(each, shape[1]!, order.runs) : each;
  }
}

/** A tensor whose rows lie in another order, which takes the whole of it. */
async function* joined(
  pieces: AsyncIterable<Uint8Array>,
  ofFile: (whole: Uint8Array) => Uint8Array,
): AsyncGenerator<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  const whole = new Uint8Array(all.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let filled = 0;
  for (const piece of all) {
    whole.set(piece, filled);
    filled += piece.byteLength;
  }
  yield ofFile(whole);
}

/** @throws SubzeroError `unsupported` if a reader would make another model of the keys */
async function checkReadBack(
  { directory, decoder }: Described,
  keys: TypedMetadata,
  tensors: readonly GgufTensorToWrite[],
  divisors: Float32Array<ArrayBuffer> | undefined,
): Promise<void> {
  const contents: GgufContents = {
    path: directory,
    metadata: readBack(keys),
    tensors: new Map(
      tensors.map(({ name, type, shape }) => {
        const entry = { name, type: { name: type, values: 1, bytes: 4 }, shape, byteLength: 4 * shape[0]! };
        return [name, entry] as const;
      }),
    ),
    read: async () => new Uint8Array(divisors!.buffer),
  };
  const cannotSay = (what: string): SubzeroError =>
    new SubzeroError(
      'unsupported',
      `${directory}: a GGUF file of "${String(keys.get('general.architecture')?.value)}" cannot say what this ` +
        `model's configuration does (${what}); export as safetensors`,
      { parameter: 'format' },
    );
  const read = readGgufConfiguration(contents).then(({ config }) => readConfiguration(config, directory));
  const back = await read.catch((error: unknown) => {
    if (!(error instanceof SubzeroError)) throw error;
    throw cannotSay(error.message.replace(`${directory}: `, ''));
  });
  const differing = differences(decoder, back);
  if (differing.length > 0) throw cannotSay(`${differing.slice(0, 4).join(', ')} would differ`);
}

/** Paths of values that are not the same. */
function differences(one: unknown, other: unknown, path = ''): string[] {
  if (Object.is(one, other) || (typeof one === 'function' && typeof other === 'function')) return [];
  const areObjects = typeof one === 'object' && typeof other === 'object' && one !== null && other !== null;
  if (!areObjects) return typeof one === 'number' && typeof other === 'number' && near(one, other) ? [] : [path];
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].flatMap((name) =>
    differences(
      (one as Record<string, unknown>)[name],
      (other as Record<string, unknown>)[name],
      path === '' ? name : `${path}.${name}`,
    ),
  );
}

/** Whether numbers are the same f32. */
function near(one: number, other: number): boolean {
  return Math.fround(one) === Math.fround(other);
}
