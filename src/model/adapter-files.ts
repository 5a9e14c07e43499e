/**
 * A PEFT adapter in a model's folder.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { readdir } from '../platform/index.ts';

/** Files of an adapter, by the names that peft gives them; large ones come in shards. */
const adapterFile = /^adapter_(config\.json|model.*\.(safetensors|bin))$/;

/**
 * Refuses a folder with an adapter: transformers would apply it where peft is installed, and its author meant it.
 *
 * @throws SubzeroError `unsupported` naming the files
 */
export async function refuseAdapterFiles(directory: string): Promise<void> {
  // A folder that cannot be read is told by whoever reads its files.
  const found = (await readdir(directory).catch(() => [])).filter((name) => adapterFile.test(name)).sort();
  if (found.length === 0) return;
  throw new SubzeroError(
    'unsupported',
    `${directory} holds a PEFT adapter (${found.join(', ')}), which changes the model and is not applied here. ` +
      `Merge it ` +
      "first with peft's merge_and_unload() and save the result to a folder of its own, or remove these files to use " +
      'the base model alone',
    { parameter: directory },
  );
}
