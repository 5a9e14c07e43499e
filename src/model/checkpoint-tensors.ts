/**
 * Which tensor of a checkpoint is which parameter. Every tensor is used, known to change nothing, a copy, or an error:
 * one that is dropped would leave another function than its author's.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { plural } from '../format.ts';
import { equalBytes } from '../platform/index.ts';
import { bytesToF32 } from '../safetensors/index.ts';
import type { StoredTensor, TensorSource } from '../tensor-source.ts';
import { isBlocks } from '../weights/index.ts';
import type { Decoder } from './decoder.ts';
import { type ParameterShape, parameterShapes, parametersLeftOut } from './parameters.ts';
import { withStoredExperts } from './separate-experts.ts';

/** Element types that parameters load from. */
const loadable = ['F64', 'F32', 'F16', 'BF16'];

/** Bytes of a tensor that are compared at a time. */
const compareBytes = 16 * 1024 * 1024;

/** Most names in an error. */
const namesShown = 4;

const bertTypes = ['bert', 'roberta', 'xlm-roberta'];

/**
 * Tensors that checkpoints of the supported architectures hold beside their parameters and that change nothing.
 * `transformers` 5.24 leaves the first out as well; the others are never looked up by any of its language models.
 */
const ignorable: readonly { pattern: RegExp; why: string; types?: readonly string[] }[] = [
  { pattern: /(^|\.)rotary_emb\.inv_freq$/, why: 'frequencies of the rotary embedding, computed from config.json' },
  {
    pattern: /(^|\.)rotary_emb\.(cos|sin)_cached$/,
    why: 'the rotary table itself, which early files of Llama and Mistral hold; computed from config.json',
  },
  { pattern: /(^|\.)decoder\.version$/, why: "number of fairseq's file format, left by the conversion of OPT" },
  { pattern: /(^|\.)embeddings\.position_ids$/, why: 'the numbers of positions, counted anew', types: bertTypes },
  {
    pattern: /^(bert|roberta)\.pooler\.dense\.(weight|bias)$/,
    why: 'the pooler of classifiers, which a masked language model does not have',
    types: bertTypes,
  },
  { pattern: /^cls\.seq_relationship\.(weight|bias)$/, why: 'the head for the next sentence', types: ['bert'] },
  {
    pattern: /^(lm_head|cls\.predictions)\.bias$/,
    why: 'a parameter that the class of an untied model has and does not add; tied, it is the bias itself',
    types: bertTypes,
  },
  {
    pattern: /(^|\.)(h|layers)\.\d+\.(attn|attention|attn\.attention)\.(masked_)?bias$/,
    why: 'the causal mask and what it writes, which early files of GPT-2, GPT-J, GPT-Neo and GPT-NeoX hold',
  },
];

/** A parameter and the tensor that it loads from. */
export interface MatchedTensor
  extends Pick<ParameterShape, 'name' | 'shape' | 'axes' | 'transposed' | 'stack' | 'within'> {
  stored: StoredTensor;
}

/** What a checkpoint holds for a decoder. */
export interface MatchedCheckpoint {
  /**
   * The given one, or with an output head of its own where the file holds one that differs from the embedding, and with
   * the form of experts that it holds.
   */
  decoder: Decoder;
  /** In the order of `parameterShapes`. */
  parameters: MatchedTensor[];
  /** For whoever runs the process. */
  warnings: string[];
}

/**
 * Matches the tensors of a checkpoint with the parameters of its decoder.
 *
 * A tied model whose file holds an output head other than its embedding keeps both, with a warning, as in transformers
 * 5.24.
 *
 * @throws SubzeroError `invalid_data` for tensors that lack, have another shape, or belong to nothing; `unsupported`
 *   for an element type
 */
export async function matchTensors(
  directory: string,
  described: Decoder,
  source: TensorSource,
): Promise<MatchedCheckpoint> {
  const given = withStoredExperts(described, (name) => storedNames(name, described, source).length > 0);
  refuseLeftOut(directory, given, source);
  const decoder = await withOwnHead(given, source);
  const warnings =
    decoder === given
      ? []
      : [
          `${directory}: config.json ties the output head to the embedding, but the file holds a ` +
            `"${given.head.weight}" that differs from it; both are kept, as in transformers. ` +
            'Write "tie_word_embeddings": false to config.json, or take the tensor out of the file',
        ];
  const parameters: MatchedTensor[] = [];
  const missing: string[] = [];
  for (const { optional, ...parameter } of parameterShapes(decoder)) {
    const [stored] = storedNames(parameter.within?.tensor ?? parameter.name, decoder, source);
    if (stored !== undefined) parameters.push(asStored(parameter, source.tensors.get(stored)!));
    else if (!optional) missing.push(parameter.within?.tensor ?? parameter.name);
  }
  if (missing.length > 0) {
    const names = [...new Set(missing)];
    throw new SubzeroError(
      'invalid_data',
      `${directory}: the weights lack ${plural(names.length, 'tensor')} of a ${decoder.architecture} model: ` +
        some(names),
    );
  }
  for (const parameter of parameters) checkEntry(directory, parameter);
  await refuseUnread(directory, decoder, parameters, source);
  const others = leftOutTensors(decoder, source).filter(({ name }) => constantOf(decoder, name) === undefined);
  if (others.length > 0) {
    warnings.push(
      `${directory}: the tensors of other parts than the language model are left out (${others.length}, as ` +
        `${others[0]!.name}); it reads text only`,
    );
  }
  return { decoder, parameters, warnings };
}

function asStored({ transposed, ...parameter }: Omit<ParameterShape, 'optional'>, stored: StoredTensor): MatchedTensor {
  return { ...parameter, ...(transposed && !stored.outFirst ? { transposed } : {}), stored };
}

/**
 * The keys of a checkpoint that may hold a parameter, best first. Files of a model without its head leave the prefix
 * out (OPT, GPT-2), those of BERT have older names of norms, and some tied models store the shared matrix, or the
 * head's bias, as the output head, alone or once more.
 */
function storedNames(name: ParameterShape['name'], decoder: Decoder, source: TensorSource): string[] {
  const older = (decoder.stored?.prefixes ?? []).filter((prefix) => name.startsWith(prefix.name));
  const candidates = [
    name,
    ...older.map((prefix) => prefix.older + name.slice(prefix.name.length)),
    name.replace(/^(model|transformer|gpt_neox)\./, ''),
    name.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta'),
    ...(name === decoder.head.bias ? [`${decoder.head.name}.bias`] : []),
  ];
  const found = [...new Set(candidates)].filter((candidate) => source.tensors.has(candidate));
  const shared = decoder.head.tied && name === decoder.embedding.weight;
  return shared ? [...found, ...storedNames(decoder.head.weight, decoder, source)] : found;
}

/** The name of a parameter in the files of an export. */
export function exportedName({ stored }: Pick<Decoder, 'stored'>, name: string): string {
  const prefix = stored?.exported ? stored.prefixes.find((each) => name.startsWith(each.name)) : undefined;
  return prefix ? prefix.older + name.slice(prefix.name.length) : name;
}

/** What a tensor of one number must hold, if it is such a constant. */
function constantOf({ stored }: Pick<Decoder, 'stored'>, name: string): number | undefined {
  return stored?.constants?.find(({ pattern }) => pattern.test(name))?.value;
}

/**
 * Tensors of a checkpoint that no parameter loads from and that go with it: of other parts than its decoder, constants.
 */
export function leftOutTensors({ stored }: Pick<Decoder, 'stored'>, source: TensorSource): StoredTensor[] {
  return [...source.tensors.values()].filter(
    ({ name }) => stored?.leftOut?.test(name) || constantOf({ stored }, name) !== undefined,
  );
}

/** The decoder, not tied where the file holds both matrices with different values. */
async function withOwnHead(decoder: Decoder, source: TensorSource): Promise<Decoder> {
  if (!decoder.head.tied) return decoder;
  const [head] = storedNames(decoder.head.weight, decoder, source);
  const [embedding] = storedNames(decoder.embedding.weight, decoder, source);
  if (head === undefined || embedding === undefined || embedding === head) return decoder;
  return (await sameValues(source, embedding, head)) ? decoder : { ...decoder, head: { ...decoder.head, tied: false } };
}

function checkEntry(directory: string, { shape, transposed, within, stored }: MatchedTensor): void {
  const expected = [...(within ? [within.count] : []), ...(transposed ? shape.toReversed() : shape)];
  if (stored.shape.join() !== expected.join()) {
    throw new SubzeroError(
      'invalid_data',
      `${directory}: "${stored.name}" has shape [${stored.shape.join(', ')}]; config.json implies ` +
        `[${expected.join(', ')}]`,
    );
  }
  if (transposed && isBlocks(stored.dtype)) {
    throw new SubzeroError(
      'unsupported',
      `${directory}: "${stored.name}" is quantised, and this architecture has its matrices as [in, out]; ` +
        'give the model in F32, F16 or BF16',
    );
  }
  if (!loadable.includes(stored.dtype) && !isBlocks(stored.dtype)) {
    throw new SubzeroError(
      'unsupported',
      `${directory}: "${stored.name}" is stored as ${stored.dtype}; supported are F32, F16, BF16 and F64. ` +
        'Save the model in one of them',
    );
  }
}

/** Refuses tensors that config.json leaves out: transformers drops them with a warning, and their author meant them. */
function refuseLeftOut(directory: string, decoder: Decoder, source: TensorSource): void {
  const found = parametersLeftOut(decoder).filter((name) => storedNames(name, decoder, source).length > 0);
  if (found.length === 0) return;
  throw new SubzeroError(
    'invalid_data',
    `${directory}: the weights have ${found.length} tensors that config.json leaves out: ${some(found)}` +
      '. Switch them on there ("attention_bias", "mlp_bias"; "enable_bias", ' +
      '"layer_norm_elementwise_affine" in OPT), or take them out of the file',
  );
}

/** Refuses what no parameter loads from, unless it is known to change nothing or is one more copy of a parameter. */
async function refuseUnread(
  directory: string,
  decoder: Decoder,
  parameters: readonly MatchedTensor[],
  source: TensorSource,
): Promise<void> {
  const used = new Set(parameters.map(({ stored }) => stored.name));
  const copies = new Map<string, string>();
  for (const { name, stored } of parameters) {
    for (const other of storedNames(name, decoder, source)) {
      if (!used.has(other)) copies.set(other, stored.name);
    }
  }
  const unread: string[] = [];
  for (const name of source.tensors.keys()) {
    if (used.has(name) || decoder.stored?.leftOut?.test(name)) continue;
    const constant = constantOf(decoder, name);
    if (constant !== undefined) {
      await checkConstant(directory, source, name, constant);
      continue;
    }
    const original = copies.get(name);
    if (original === undefined) {
      if (isIgnorable(name, decoder)) continue;
      unread.push(name);
    } else if (!(await sameValues(source, original, name))) {
      throw new SubzeroError(
        'invalid_data',
        `${directory}: "${original}" and "${name}" name the same parameter and hold different values; ` +
          'take the wrong one out of the file',
      );
    }
  }
  if (unread.length === 0) return;
  throw new SubzeroError(
    'invalid_data',
    `${directory}: the weights have ${unread.length} tensors that a ${decoder.architecture} model of this ` +
      `config.json does not use: ${some(unread)}. Without them it would be another model: check that config.json ` +
      'belongs to these weights ("num_hidden_layers", "architectures"), or take them out of the file',
  );
}

/**
 * Refuses another number than a constant, which files may hold in 16 bits: 10⁻⁶ is no multiple of what F16 counts in.
 */
async function checkConstant(directory: string, source: TensorSource, name: string, constant: number): Promise<void> {
  const { dtype, byteLength } = source.tensors.get(name)!;
  const values = loadable.includes(dtype) ? bytesToF32(dtype, await source.read(name, 0, byteLength)) : [];
  if (values.length === 1 && Math.abs(values[0]! - constant) <= Math.abs(constant) / 16) return;
  throw new SubzeroError(
    'unsupported',
    `${directory}: "${name}" holds ${values.join(', ') || dtype}; the only value that is supported is ${constant}`,
  );
}

function isIgnorable(name: string, { architecture, stored }: Decoder): boolean {
  if (stored?.unread?.test(name)) return true;
  return ignorable.some(({ pattern, types }) => pattern.test(name) && (types?.includes(architecture) ?? true));
}

/** Whether two tensors hold the same numbers, whatever types they are stored as. Reads a piece of each at a time. */
async function sameValues(source: TensorSource, first: string, second: string): Promise<boolean> {
  const [a, b] = [source.tensors.get(first)!, source.tensors.get(second)!];
  if (a.shape.join() !== b.shape.join()) return false;
  if (a.dtype !== b.dtype && !(loadable.includes(a.dtype) && loadable.includes(b.dtype))) return false;
  const elements = a.shape.reduce((product, size) => product * size, 1);
  const widthOf = ({ byteLength }: StoredTensor): number => (elements === 0 ? 0 : byteLength / elements);
  const atOnce = compareBytes / 8;
  for (let at = 0; at < elements; at += atOnce) {
    const count = Math.min(atOnce, elements - at);
    const piece = (entry: StoredTensor): Promise<Uint8Array> =>
      source.read(entry.name, at * widthOf(entry), count * widthOf(entry));
    const [left, right] = [await piece(a), await piece(b)];
    if (a.dtype === b.dtype) {
      if (!equalBytes(left, right)) return false;
      continue;
    }
    const values = bytesToF32(b.dtype, right);
    if (!bytesToF32(a.dtype, left).every((value, index) => value === values[index])) return false;
  }
  return true;
}

/** The first names of a list, and a sign that there are more. */
function some(names: readonly string[]): string {
  return names.slice(0, namesShown).join(', ') + (names.length > namesShown ? ', …' : '');
}
