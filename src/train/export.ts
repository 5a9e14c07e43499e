/**
 * Writing a run as files that other programs read: a merged model directory, or a PEFT adapter.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { exportedName, leftOutTensors } from '../model/checkpoint-tensors.ts';
import { generates } from '../model/decoder.ts';
import type { Model } from '../model/model.ts';
import { parameterShapes, transposedWeights } from '../model/parameters.ts';
import { copyFile, join, readdir, readFile, writeFile } from '../platform/index.ts';
import { diskError } from '../safetensors/disk.ts';
import {
  f32ToBytes,
  openModelWeights,
  type TensorSource,
  type TensorToWrite,
  writeSafetensors,
} from '../safetensors/index.ts';
import { methods } from '../settings/methods.ts';
import { schemes } from '../settings/schemes.ts';
import { shapeOf } from '../tensor/weight.ts';
import { codecs, rowBytes } from '../weights/index.ts';
import { SubZero } from '../zo/subzero.ts';
import type { StepChoice } from './best.ts';
import { loraPeft, mergedBytes } from './export-lora.ts';
import { periodPeft } from './export-peft.ts';
import { prefixPeft, promptPeft } from './export-virtual.ts';
import { type PeftAdapter, writePeft } from './peft.ts';
import { type RestoredRun, restoreRun } from './run.ts';
import { makeFolders } from './run-folder.ts';
import { transposedBytes, weightBytes } from './weight-bytes.ts';

const torchDtype = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

/**
 * Exports a run at a step.
 *
 * `safetensors`: the model with the change, or the LoRA, folded in, in the storage type that it was trained in, with
 * config and tokenizer files. `peft`: a LoRA, prompt or prefix run as it is; of full tuning the change alone as a LoRA
 * adapter, only within the first period, while nothing has been folded.
 *
 * @returns the files written
 * @throws SubzeroError `conflict` if the folder has a model already, `unsupported` where the format cannot hold the
 *   run: an adapter after a fold, weights of virtual tokens
 */
export async function exportRun(
  gpu: Gpu,
  request: { run: string; format: 'safetensors' | 'peft'; out: string; step?: StepChoice },
): Promise<string[]> {
  const existing = await readdir(request.out).catch(() => [] as string[]);
  if (existing.some((name) => name.endsWith('.safetensors'))) {
    throw new SubzeroError('conflict', `${request.out} already holds weights; choose another folder`, {
      parameter: 'out',
    });
  }
  const restored = await restoreRun(gpu, request.run, request.step === undefined ? {} : { step: request.step });
  try {
    // Nothing is made on the disk before it is known that the format can hold the run.
    if (request.format === 'peft') {
      const adapter = await peftOf(restored);
      await makeFolders(request.out);
      return await writePeft(adapter, restored.journal.header.basePath, request.out, taskOf(restored));
    }
    refuseVirtualTokens(restored);
    await makeFolders(request.out);
    return [await writeWeights(gpu, restored, request.out), ...(await copyCompanions(restored.model, request.out))];
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

/** Folds the run and writes all tensors into one file, whose path it returns. */
async function writeWeights(gpu: Gpu, { model, optimizer }: RestoredRun, out: string): Promise<string> {
  const lora = optimizer.current.adapter?.lora;
  const adapterValues = await optimizer.adapterValues();
  const vectors = new Map([...model.vectors, ...(await optimizer.vectorValues())]);
  optimizer.foldAll();
  const dtype = codecs[model.storage].dtype;
  const transposed = transposedWeights(model.decoder);
  const tensors: TensorToWrite[] = [];
  for (const weight of model.weights.values()) {
    const shape = shapeOf(weight);
    const inOrder = (): AsyncGenerator<Uint8Array> => {
      const pair = lora?.get(weight.name);
      return pair ? mergedBytes(gpu, weight, pair, adapterValues) : weightBytes(gpu, weight);
    };
    tensors.push({
      name: exportedName(model.decoder, weight.name),
      dtype: codecs[weight.storage].dtype,
      ...(transposed.has(weight.name)
        ? { shape: shape.toReversed(), data: () => transposedBytes(inOrder(), shape, rowBytes(weight.storage, 1)) }
        : { shape, data: inOrder }),
    });
  }
  const shapes = new Map(parameterShapes(model.decoder).map(({ name, shape }) => [name, shape]));
  for (const [name, values] of vectors) {
    tensors.push({ name, dtype, shape: shapes.get(name)!, data: () => [f32ToBytes(dtype, values)] });
  }
  const file = join(out, 'model.safetensors');
  const source = await openModelWeights(model.directory);
  try {
    // The parts that are not read come along as they are.
    for (const { name, dtype: type, shape } of leftOutTensors(model.decoder, source)) {
      tensors.push({ name, dtype: type, shape, data: () => tensorBytes(source, name) });
    }
    await writeSafetensors(file, tensors, { format: 'pt' });
  } finally {
    await source.close();
  }
  return file;
}

/** Bytes of a tensor that are copied at a time. */
const copyBytes = 16 * 1024 * 1024;

async function* tensorBytes(source: TensorSource, name: string): AsyncGenerator<Uint8Array> {
  const { byteLength } = source.tensors.get(name)!;
  for (let at = 0; at < byteLength; at += copyBytes) {
    yield await source.read(name, at, Math.min(copyBytes, byteLength - at));
  }
}

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
 * Copies what lies beside the base model's weights: tokenizer and configuration, which names the storage type of the
 * new weights.
 */
async function copyCompanions({ directory, storage, decoder }: Model, out: string): Promise<string[]> {
  const written: string[] = [];
  for (const name of await readdir(directory)) {
    if (!companions.some((pattern) => pattern.test(name))) continue;
    const target = join(out, name);
    if (name === 'config.json') {
      const config = JSON.parse(await readFile(join(directory, name), 'utf8')) as Record<string, unknown>;
      config['dtype' in config ? 'dtype' : 'torch_dtype'] = torchDtype[codecs[storage].dtype];
      // A file may hold a head of its own though its config.json says that it has none.
      if (!decoder.head.tied) config.tie_word_embeddings = false;
      await writeFile(target, `${JSON.stringify(config, null, 2)}\n`);
    } else {
      await copyFile(join(directory, name), target);
    }
    written.push(target);
  }
  return written;
}

/** The run as an adapter. @throws SubzeroError `unsupported` where none can hold it */
async function peftOf(run: RestoredRun): Promise<PeftAdapter> {
  const { model, optimizer, journal, step } = run;
  const { optimizer: name, refresh, weightDecay } = journal.header.configuration;
  const { adapter } = optimizer.current;
  if (adapter?.lora) return loraPeft(adapter.lora, model, await optimizer.adapterValues());
  if (adapter?.prompt) return promptPeft(model.decoder, adapter.prompt, await optimizer.adapterValues());
  if (adapter?.prefix) return prefixPeft(model.decoder, adapter.prefix, await optimizer.adapterValues());
  if (!(optimizer instanceof SubZero)) {
    throw new SubzeroError(
      'unsupported',
      `${methods[name].title} changes every weight, which a low-rank adapter cannot hold; export as safetensors`,
      { parameter: 'format' },
    );
  }
  if (step > refresh) {
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
  return await periodPeft(run, optimizer);
}

/** Whether the file system threw it, as opposed to us or the GPU. */
function isFileError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}
