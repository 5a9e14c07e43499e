/**
 * Folders and files that requests name.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { isGgufPath } from '../gguf/path.ts';
import { resolve, stat } from '../platform/index.ts';
import { isRunFolder } from '../train/run-folder.ts';
import type { LoadedModels } from './loaded-models.ts';

/** The directory of a base model, by the id of a loaded one or by its path. */
export async function baseDirectory(models: LoadedModels, model: string): Promise<string> {
  const loaded = models.get(model)?.information;
  if (loaded?.lora !== undefined) {
    throw new SubzeroError(
      'unsupported',
      `"${model}" is a model with the adapter ${loaded.lora}; train on its base model, or merge the adapter into it ` +
        `first`,
      { parameter: 'model' },
    );
  }
  const directory = loaded?.path ?? resolve(model);
  await checkDirectory(directory);
  if (await isRunFolder(directory)) {
    throw new SubzeroError(
      'unsupported',
      `${directory} is a run; export it as safetensors to train on top of it, or continue it with --resume`,
      { parameter: 'model' },
    );
  }
  return directory;
}

/** Checks that a path is there. @throws SubzeroError `not_found` unless it is a folder or a GGUF file */
export async function checkDirectory(path: string): Promise<void> {
  const status = await stat(path).catch(() => undefined);
  if (status?.isDirectory() || (status?.isFile() && isGgufPath(path))) return;
  throw new SubzeroError(
    'not_found',
    `there is no folder ${path}; expected a model directory, a GGUF file (.gguf) or a run folder`,
    { parameter: 'model' },
  );
}
