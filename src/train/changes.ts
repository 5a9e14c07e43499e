/**
 * changes.json: what was decided about a run after its journal's header was written, which never changes.
 *
 * @module
 */

import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { SubzeroError } from '../errors.ts';
import { diskError, syncDirectoryOf, writeFully } from '../safetensors/disk.ts';

/** Settings that replace those of the header. */
export interface RunChanges {
  /** A new number of steps in all. */
  steps?: number;
}

const fileOf = (folder: string): string => join(folder, 'changes.json');

/**
 * What was changed about a run; nothing for most.
 * @throws SubzeroError `io`, or `invalid_data` if the file is not what {@link writeChanges} writes
 */
export async function readChanges(folder: string): Promise<RunChanges> {
  const file = fileOf(folder);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return {};
    throw diskError(error, file, 'read');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const steps = (value as { steps?: unknown } | null | undefined)?.steps;
  if (!Number.isSafeInteger(steps)) {
    throw new SubzeroError(
      'invalid_data',
      `${file}: expected a JSON object such as {"steps": 300}; repair it, or delete it to go back to the number of steps that the run began with`,
      { parameter: file },
    );
  }
  return { steps: steps as number };
}

/** Replaces the changes of a run; a crash leaves the old ones or the new ones. @throws SubzeroError `io` */
export async function writeChanges(folder: string, changes: RunChanges): Promise<void> {
  const file = fileOf(folder);
  const partial = `${file}.partial`;
  try {
    const handle = await open(partial, 'w');
    try {
      await writeFully(handle, partial, 0, new TextEncoder().encode(`${JSON.stringify(changes)}\n`));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, file);
  } catch (error) {
    throw diskError(error, file, 'write');
  }
  await syncDirectoryOf(file);
}
