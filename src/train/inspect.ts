/**
 * What a model is and what it would take, from its files' headers alone; what rounding does to it, from its weights.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { isGgufPath } from '../gguf/path.ts';
import type { SizingLimits } from '../gpu/sizing-device.ts';
import { matchTensors } from '../model/checkpoint-tensors.ts';
import { attentions, sublayersOf, windowOf } from '../model/decoder.ts';
import { chooseStorage, openWeights, readConfigurationFile, unfitWarning } from '../model/load.ts';
import { parameterKinds } from '../model/parameters.ts';
import { join } from '../platform/index.ts';
import { type OptimizerName, optimizerNames } from '../settings/methods.ts';
import { type SchemeName, schemeNames } from '../settings/schemes.ts';
import { axisLength } from '../tensor/axis.ts';
import { readOptionalJson } from '../tokenizer/files.ts';
import { readGgufTokenizer } from '../tokenizer/gguf.ts';
import { loadTokenizer } from '../tokenizer/index.ts';
import { modelTypeOf } from '../tokenizer/model.ts';
import type { StorageWish } from '../weights/index.ts';
import { isBlockWritten } from '../weights/write-blocks.ts';
import { openJournal } from '../zo/journal.ts';
import { type InferenceEstimate, MemoryEstimator, type TrainingEstimate } from './estimate.ts';
import { quantizationErrors, type TensorError } from './quantize.ts';
import { isRunFolder, journalFile } from './run-folder.ts';

/** The heads of an attention layer. */
interface Heads {
  heads: number;
  keyHeads: number;
  headWidth: number;
}

export interface Inspection {
  /** The model's folder; of a run that of its base model. */
  directory: string;
  run?: { steps: number; optimizer: OptimizerName; scheme: SchemeName };
  architecture: string;
  contextLength: number;
  /** Keys that layers with a window see. */
  window?: number;
  embeddingWidth: number;
  /** How many sublayers of each kind there are. */
  layers: Record<string, number>;
  attention: Heads;
  /** The heads of layers that have others than the first. */
  otherAttention?: Heads[];
  parameters: { total: number; byKind: Record<string, number>; tiedHead: boolean };
  stored: {
    bytes: number;
    files: number;
    tensors: number;
    bytesByDtype: Record<string, number>;
    /** How config.json says that they are quantised. */
    quantization?: string;
  };
  tokenizer:
    | { kind: string; vocabularySize: number; addsBosToken: boolean; specialTokens: Record<string, string> }
    | { problem: string };
  chatTemplate: boolean;
  memory: {
    /** `auto` where matrices of the file have types of their own. */
    storage: StorageWish;
    inference: InferenceEstimate;
    /** What a batch of the default size takes, with the default settings of each optimiser and scheme. */
    training: { tokens: number; estimates: TrainingEstimate[] };
  };
  warnings: string[];
  /** What rounding to the type that was asked for does to each matrix. */
  quantization?: TensorError[];
}

export interface InspectOptions {
  storage?: StorageWish;
  /** Tokens of an example that is trained on. */
  tokens?: number;
  /** Limits of a device; usual ones by default. */
  limits?: SizingLimits;
}

/**
 * Inspects a model directory, or a run's folder.
 * @throws SubzeroError as loading it does, but for what only weights and tokenizers decide
 */
export async function inspectModel(path: string, options: InspectOptions = {}): Promise<Inspection> {
  const run = (await isRunFolder(path)) ? await openJournal(await journalFile(path)) : undefined;
  const directory = run?.header.basePath ?? path;
  const given = await readConfigurationFile(directory);
  const source = await openWeights(directory);
  try {
    const checkpoint = await matchTensors(directory, given, source);
    const { decoder, parameters, warnings } = checkpoint;
    const kinds = parameterKinds(decoder);
    const byKind: Record<string, number> = {};
    const bytesByDtype: Record<string, number> = {};
    for (const { name, shape, stored, within } of parameters) {
      const count = shape.reduce((product, size) => product * size, 1);
      const kind = kinds.get(name)!;
      byKind[kind] = (byKind[kind] ?? 0) + count;
      bytesByDtype[stored.dtype] = (bytesByDtype[stored.dtype] ?? 0) + stored.byteLength / (within?.count ?? 1);
    }
    const sum = (values: Record<string, number>): number =>
      Object.values(values).reduce((all, value) => all + value, 0);
    const layers: Record<string, number> = {};
    for (const { kind } of sublayersOf(decoder)) layers[kind] = (layers[kind] ?? 0) + 1;
    const { limits = {} } = options;
    const tokens = Math.min(options.tokens ?? 128, decoder.contextLength);
    const matrixTypes = parameters.filter(({ axes }) => axes.length > 1).map(({ stored }) => stored.dtype);
    const wish = run?.header.configuration.storage ?? options.storage ?? 'auto';
    const choice = chooseStorage(wish, { software: limits.software ?? false }, matrixTypes);
    const matrices = parameters.flatMap(({ axes: [rows, columns], stored }) =>
      columns ? [choice.storageOf({ rows: rows!, columns }, stored.dtype)] : [],
    );
    const unfit = choice.storage === 'auto' ? 0 : matrices.filter((storage) => storage !== choice.storage).length;
    const errors =
      options.storage !== undefined && isBlockWritten(options.storage)
        ? await quantizationErrors(directory, options.storage)
        : undefined;
    const window = windowOf(decoder);
    const [first = { heads: 0, keyHeads: 0, headWidth: 0 }, ...others] = headsOf(decoder);
    return {
      directory,
      ...(run ? { run: describeRun(run) } : {}),
      architecture: decoder.architecture,
      contextLength: decoder.contextLength,
      ...(window === undefined ? {} : { window }),
      embeddingWidth: axisLength(decoder.embedding.columns),
      layers: { blocks: decoder.blocks.length, ...layers },
      attention: first,
      ...(others.length > 0 ? { otherAttention: others } : {}),
      parameters: { total: sum(byKind), byKind, tiedHead: decoder.head.tied },
      stored: {
        bytes: sum(bytesByDtype),
        files: source.files.length,
        tensors: source.tensors.size,
        bytesByDtype,
        ...(source.quantization === undefined ? {} : { quantization: source.quantization }),
      },
      ...(await describeTokenizer(directory)),
      memory: {
        storage: choice.storage,
        ...(await estimateAll(new MemoryEstimator(checkpoint, choice, limits), tokens)),
      },
      warnings: [
        ...warnings,
        ...(source.notes ?? []),
        ...(checkpoint.decoder.notes ?? []),
        ...(unfit === 0 ? [] : [unfitWarning(unfit, matrices.length, choice.storage)]),
      ],
      ...(errors ? { quantization: errors } : {}),
    };
  } finally {
    await source.close();
  }
}

function describeRun({ header, records }: Awaited<ReturnType<typeof openJournal>>): NonNullable<Inspection['run']> {
  const { optimizer, scheme } = header.configuration;
  return { steps: records.length, optimizer, scheme };
}

async function describeTokenizer(directory: string): Promise<Pick<Inspection, 'tokenizer' | 'chatTemplate'>> {
  try {
    const { vocabularySize, addsBosToken, specialTokens, hasChatTemplate } = await loadTokenizer(directory);
    return {
      tokenizer: {
        kind: await tokenizerKind(directory),
        vocabularySize,
        addsBosToken,
        specialTokens: { ...specialTokens },
      },
      chatTemplate: hasChatTemplate,
    };
  } catch (error) {
    if (!(error instanceof SubzeroError)) throw error;
    return { tokenizer: { problem: error.message }, chatTemplate: false };
  }
}

async function tokenizerKind(directory: string): Promise<string> {
  if (isGgufPath(directory)) {
    const { tokenizer } = await readGgufTokenizer(directory);
    return modelTypeOf(tokenizer.model, directory);
  }
  const file = join(directory, 'tokenizer.json');
  const json = await readOptionalJson(file);
  return json ? modelTypeOf(json.model, file) : 'BPE (vocab.json, merges.txt)';
}

async function estimateAll(estimator: MemoryEstimator, tokens: number) {
  try {
    const estimates: TrainingEstimate[] = [];
    for (const scheme of schemeNames) {
      for (const optimizer of optimizerNames) estimates.push(await estimator.training({ optimizer, scheme }, tokens));
    }
    return { inference: estimator.inference(), training: { tokens, estimates } };
  } finally {
    estimator.close();
  }
}

/** The kinds of heads that the layers have, in the order of their first use. */
function headsOf(decoder: Parameters<typeof attentions>[0]): Heads[] {
  const kinds = new Map<string, Heads>();
  for (const { heads, keyHeads, headWidth } of attentions(decoder)) {
    const key = [heads, keyHeads, headWidth].join();
    if (!kinds.has(key)) kinds.set(key, { heads, keyHeads, headWidth });
  }
  return [...kinds.values()];
}
