/**
 * From a request to the parts of a model: a directory or a GGUF file, alone or with an adapter, or a run. Weights that
 * are in memory already, and that nobody writes, are shared.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { loadModel } from '../model/load.ts';
import type { Model } from '../model/model.ts';
import { resolve } from '../platform/index.ts';
import { loadTokenizer } from '../tokenizer/index.ts';
import { isRunFolder } from '../train/run-folder.ts';
import type { AppliedAdapter } from '../tuning/applied-adapter.ts';
import type { JournalHeader } from '../zo/journal-format.ts';
import { checkDirectory } from './directories.ts';
import { destroyParts, type KnownModel, type LoadedModel, type ModelParts } from './loaded-model.ts';
import type { LoadModelRequest } from './types.ts';

/**
 * Reads what a request names into memory.
 *
 * @param path that of the request, resolved
 * @param loaded the models in memory at the time of asking, whose weights may be shared
 * @returns parts that are the caller's to destroy
 */
export async function openModel(
  gpu: Gpu,
  { id, step, lora, storage }: LoadModelRequest,
  path: string,
  loaded: () => readonly LoadedModel[],
): Promise<{ known: KnownModel; parts: ModelParts }> {
  await checkDirectory(path);
  const isRun = await isRunFolder(path);
  if (!isRun && step !== undefined) {
    throw new SubzeroError('invalid_argument', `${path} is a model, not a run; it has no steps`, {
      parameter: 'step',
    });
  }
  if (isRun && lora !== undefined) {
    throw new SubzeroError(
      'unsupported',
      `${path} is a run; an adapter is applied to a model directory. Export the run as safetensors first`,
      { parameter: 'lora' },
    );
  }
  const restored = isRun
    ? await (await import('../train/run.ts')).restoreRun(gpu, path, {
        ...(step === undefined ? {} : { step }),
        shared: (header) => shareBase(loaded(), header),
      })
    : undefined;
  const shared = lora === undefined ? undefined : shareModel(loaded(), path, storage);
  const model = restored?.model ?? shared ?? (await loadModel(gpu, path, storage ? { storage } : {}));
  const optimizer = restored?.optimizer;
  let adapter: AppliedAdapter | undefined;
  try {
    if (lora !== undefined) adapter = await applyLora(gpu, model, lora);
    const tokenizer = await loadTokenizer(model.directory);
    return {
      known: {
        ...{ id, path, kind: isRun ? 'run' : 'base' },
        ...(restored ? { step: restored.step } : {}),
        ...(lora === undefined ? {} : { lora: resolve(lora) }),
      },
      parts: {
        ...{ model, tokenizer, asLoaded: restored?.asLoaded ?? true },
        ...(optimizer ? { optimizer } : {}),
        ...(adapter ? { adapter } : {}),
      },
    };
  } catch (error) {
    destroyParts({ model, ...(optimizer ? { optimizer } : {}), ...(adapter ? { adapter } : {}) });
    throw error;
  }
}

async function applyLora(gpu: Gpu, model: Model, directory: string): Promise<AppliedAdapter> {
  const { readPeftLora } = await import('../tuning/peft-lora.ts');
  const { AppliedAdapter } = await import('../tuning/applied-adapter.ts');
  const adapter = new AppliedAdapter(model, await readPeftLora(directory, model.decoder));
  await gpu.checkAllocations();
  return adapter;
}

/** A loaded model of a folder whose weights nobody writes, with one more user. */
function shareModel(
  loaded: readonly LoadedModel[],
  path: string,
  storage: LoadModelRequest['storage'],
): Model | undefined {
  const found = loaded.find(
    ({ model, asLoaded }) =>
      asLoaded &&
      resolve(model.directory) === path &&
      (storage === undefined || storage === 'auto' || model.storage === storage),
  );
  return found?.model.share();
}

/** The base model of a run among the loaded ones whose weights nobody writes, with the run as one more user. */
function shareBase(
  loaded: readonly LoadedModel[],
  { basePath, baseFingerprint, configuration }: JournalHeader,
): Model | undefined {
  const found = loaded.find(
    ({ model, asLoaded }) =>
      asLoaded &&
      resolve(model.directory) === resolve(basePath) &&
      model.fingerprint === baseFingerprint &&
      model.storage === configuration.storage,
  );
  return found?.model.share();
}
