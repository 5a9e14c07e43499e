/**
 * Writing a run as files that other programs read: a merged model directory, or a PEFT adapter.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { isGgufPath } from '../gguf/path.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { makeFolders } from '../make-folders.ts';
import { exportedName, leftOutTensors } from '../model/checkpoint-tensors.ts';
import { generates } from '../model/decoder.ts';
import { openWeights } from '../model/load.ts';
import type { Model } from '../model/model.ts';
import { parameterShapes, transposedWeights } from '../model/parameters.ts';
import { dirname, join } from '../platform/index.ts';
import { diskError } from '../safetensors/disk.ts';
import { isSafetensorsDtype } from '../safetensors/dtype.ts';
import { dtypeBytes, type FloatDtype, f32ToBytes, type TensorToWrite, writeSafetensors } from '../safetensors/index.ts';
import { methods } from '../settings/methods.ts';
import { schemes } from '../settings/schemes.ts';
import { shapeOf } from '../tensor/weight.ts';
import { codecs } from '../weights/index.ts';
import { SubZero } from '../zo/subzero.ts';
import type { StepChoice } from './best.ts';
import { writeCompanions } from './export-companions.ts';
import { writeGgufLora, writeMergedGguf } from './export-gguf.ts';
import { bankedBytes, loraPeft, mergedBytes, pairTerms } from './export-lora.ts';
import { factoredPeft } from './export-peft.ts';
import { prefixPeft, promptPeft } from './export-virtual.ts';
import { type PeftAdapter, writePeft } from './peft.ts';
import { copyOf, ggufTarget, refuseWeights } from './quantize.ts';
import { type RestoredRun, restoreRun } from './run.ts';
import { transposedBytes, weightBytes } from './weight-bytes.ts';
import type { WrittenStorage } from './written-tensor.ts';

/** What is written of a run. */
export interface ExportRequest {
  run: string;
  format: ExportFormat;
  /** The folder; of GGUF also the path of the file. */
  out: string;
  step?: StepChoice;
  /** What the matrices of `gguf` are written as; f16 by default. */
  storage?: WrittenStorage;
}

const exportFormats = ['safetensors', 'peft', 'gguf', 'gguf-lora'] as const;
export type ExportFormat = (typeof exportFormats)[number];

/**
 * Exports a run at a step.
 *
 * `safetensors`: the model with the change, or the LoRA, folded in, in the storage type that it was trained in, with
 * config and tokenizer files. `peft`: a LoRA, prompt or prefix run as it is; of full tuning the change alone as a LoRA
 * adapter: within the first period, while nothing has been folded, or with a bank at any step. `gguf`: the merged model
 * as a file of llama.cpp. `gguf-lora`: what `peft` writes of LoRA and of full tuning, as an adapter of llama.cpp.
 *
 * @returns the files written
 * @throws SubzeroError `conflict` if the folder has a model already, `unsupported` where the format cannot hold the
 *   run: an adapter after a fold, weights of virtual tokens
 */
export async function exportRun(gpu: Gpu, request: ExportRequest): Promise<string[]> {
  const { format } = request;
  const isGguf = format === 'gguf' || format === 'gguf-lora';
  const ggufFile = isGguf && (await ggufTarget(request.out, format === 'gguf' ? 'model.gguf' : 'adapter.gguf'));
  if (!ggufFile) await refuseWeights(request.out);
  const restored = await restoreRun(gpu, request.run, request.step === undefined ? {} : { step: request.step });
  try {
    // Nothing is made on the disk before it is known that the format can hold the run.
    if (request.format === 'peft') {
      const adapter = await peftOf(restored);
      await makeFolders(request.out);
      return await writePeft(adapter, restored.journal.header.basePath, request.out, taskOf(restored));
    }
    if (ggufFile && format === 'gguf-lora') {
      refuseWhatNoPairHolds(restored);
      await makeFolders(dirname(ggufFile));
      await writeGgufLora(restored, ggufFile);
      return [ggufFile];
    }
    refuseVirtualTokens(restored);
    if (ggufFile) {
      await makeFolders(dirname(ggufFile));
      await writeMergedGguf(restored, request.storage ?? 'f16', ggufFile);
      return [ggufFile];
    }
    await makeFolders(request.out);
    return [
      await writeWeights(gpu, restored, request.out),
      ...(await writeCompanions(restored.model, mainDtype(restored.model), request.out)),
    ];
  } catch (error) {
    throw isFileError(error) ? diskError(error, request.out, 'write to') : error;
  } finally {
    restored.optimizer.destroy();
    restored.model.destroy();
  }
}

/**
 * What PEFT calls the task of a model. It has no name for masked language models: none makes it wrap the model as it
 * is, and where virtual tokens are put in front of texts, the wrapper for features does that and no more.
 */
function taskOf({ model, journal }: RestoredRun): string | null {
  if (generates(model.decoder)) return 'CAUSAL_LM';
  return schemes[journal.header.configuration.scheme].adds === 'tokens' ? 'FEATURE_EXTRACTION' : null;
}

function refuseVirtualTokens({ journal }: RestoredRun): void {
  const { scheme } = journal.header.configuration;
  if (schemes[scheme].adds !== 'tokens') return;
  throw new SubzeroError(
    'unsupported',
    `${scheme} tuning adds virtual tokens to a text, which the weights of a model cannot hold; export as peft`,
    { parameter: 'format' },
  );
}

/** The type in which exports write vectors, which config.json names: that of the embedding. */
function mainDtype(model: Model): FloatDtype {
  return codecs[model.weight(model.decoder.embedding.weight).storage].dtype;
}

/** Folds the run and writes all tensors into one file, whose path it returns. */
async function writeWeights(gpu: Gpu, { model, optimizer }: RestoredRun, out: string): Promise<string> {
  const lora = optimizer.current.adapter?.lora;
  const adapterValues = await optimizer.adapterValues();
  const vectors = new Map([...model.vectors, ...(await optimizer.vectorValues())]);
  optimizer.foldAll();
  const banked = optimizer instanceof SubZero && optimizer.hasBank ? optimizer : undefined;
  const dtype = mainDtype(model);
  const transposed = transposedWeights(model.decoder);
  const parameters = new Map(parameterShapes(model.decoder).map((parameter) => [parameter.name, parameter]));
  const tensors: TensorToWrite[] = [];
  /** What is written of the tensors that hold several matrices, by name. */
  const whole = new Map<string, TensorToWrite[]>();
  for (const weight of model.weights.values()) {
    const { within } = parameters.get(weight.name)!;
    const shape = shapeOf(weight);
    const inOrder = (): AsyncGenerator<Uint8Array> => {
      const pair = lora?.get(weight.name);
      if (pair) return mergedBytes(gpu, weight, pairTerms(pair, adapterValues, shape), pair.scale);
      return banked ? bankedBytes(gpu, weight, banked) : weightBytes(gpu, weight);
    };
    const tensor: TensorToWrite = {
      name: exportedName(model.decoder, within?.tensor ?? weight.name),
      dtype: codecs[weight.storage].dtype,
      ...(transposed.has(weight.name)
        ? {
            shape: shape.toReversed(),
            data: () => transposedBytes(inOrder(), shape, dtypeBytes[codecs[weight.storage].dtype]),
          }
        : { shape, data: inOrder }),
    };
    const members = whole.get(tensor.name);
    if (!within) tensors.push(tensor);
    else if (members) members.push(tensor);
    else whole.set(tensor.name, [tensor]);
  }
  for (const members of whole.values()) tensors.push(oneBehindTheOther(members));
  for (const [name, values] of vectors) {
    tensors.push({ name, dtype, shape: parameters.get(name)!.shape, data: () => [f32ToBytes(dtype, values)] });
  }
  const file = join(out, 'model.safetensors');
  // A GGUF file holds no parts that are not read.
  const source = isGgufPath(model.directory) ? undefined : await openWeights(model.directory);
  try {
    if (source) {
      // The parts that are not read come along as they are.
      for (const { name } of leftOutTensors(model.decoder, source)) {
        if (!isSafetensorsDtype(source.tensors.get(name)!.dtype)) {
          throw new SubzeroError(
            'unsupported',
            `${model.directory}: tensor "${name}" of a part that is not read is quantised, and exports are not; ` +
              `export as peft`,
            { parameter: 'format' },
          );
        }
        tensors.push(copyOf(source, source.tensors.get(name)!));
      }
    }
    await writeSafetensors(file, tensors, { format: 'pt' });
  } finally {
    await source?.close();
  }
  return file;
}

/** Tensors of one shape as one of another dimension. */
function oneBehindTheOther(members: readonly TensorToWrite[]): TensorToWrite {
  const [{ name, dtype, shape }] = members as [TensorToWrite];
  return {
    ...{ name, dtype, shape: [members.length, ...shape] },
    data: async function* () {
      for (const { data } of members) yield* data();
    },
  };
}

/** The run as an adapter. @throws SubzeroError `unsupported` where none can hold it */
async function peftOf(run: RestoredRun): Promise<PeftAdapter> {
  const { model, optimizer } = run;
  const { adapter } = optimizer.current;
  if (adapter?.lora) return loraPeft(adapter.lora, model, await optimizer.adapterValues());
  if (adapter?.prompt) return promptPeft(model.decoder, adapter.prompt, await optimizer.adapterValues());
  if (adapter?.prefix) return prefixPeft(model.decoder, adapter.prefix, await optimizer.adapterValues());
  return await factoredPeft(run, refuseWhatNoPairHolds(run)!);
}

/**
 * The optimiser of a run whose change is a low-rank one beside the weights; `undefined` for LoRA.
 * @throws SubzeroError `unsupported` where pairs cannot hold what a run changes
 */
function refuseWhatNoPairHolds(run: RestoredRun): SubZero | undefined {
  const { optimizer, journal, step } = run;
  const { optimizer: name, refresh, weightDecay, scheme } = journal.header.configuration;
  if (optimizer.current.adapter?.lora) return undefined;
  if (schemes[scheme].adds === 'tokens') {
    throw new SubzeroError('unsupported', `${scheme} tuning adds virtual tokens to a text; export as peft`, {
      parameter: 'format',
    });
  }
  if (!(optimizer instanceof SubZero)) {
    throw new SubzeroError(
      'unsupported',
      `${methods[name].title} changes every weight, which a low-rank adapter cannot hold; export as safetensors`,
      { parameter: 'format' },
    );
  }
  if (step > refresh && !optimizer.hasBank) {
    throw new SubzeroError(
      'unsupported',
      `an adapter holds the change of one period only; step ${step} is beyond the first fold at step ${refresh}. ` +
        'Export as safetensors, or an earlier step (--step).',
      { parameter: 'format' },
    );
  }
  if (step > 0 && weightDecay > 0) {
    throw new SubzeroError(
      'unsupported',
      'weight decay shrinks the base weights, which an adapter cannot say; export as safetensors',
      { parameter: 'format' },
    );
  }
  return optimizer;
}

/** Whether the file system threw it, as opposed to us or the GPU. */
function isFileError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}
