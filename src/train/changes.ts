/**
 * changes.json: what was decided about a run after its journal's header was written, which never changes.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { join, readFile } from '../platform/index.ts';
import { diskError, writeFully, writeWhole } from '../safetensors/disk.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { isSetting, type ResumeSetting, settingOf } from '../settings/settings.ts';

/**
 * Settings that replace those of the header, such as a new number of steps or what the run may take on another
 * machine.
 */
export type RunChanges = Partial<Pick<TrainConfiguration, ResumeSetting>>;

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
  const changes = parseChanges(text);
  if (changes) return changes;
  throw new SubzeroError(
    'invalid_data',
    `${file}: expected a JSON object with whole numbers, such as {"steps": 300, "memory": 0}; repair it, or delete ` +
      `it to go back to the settings that the run began with`,
    { parameter: file },
  );
}

/** `undefined` for anything that is not an object with at least one of the settings, and no others. */
function parseChanges(text: string): RunChanges | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const entries = Object.entries(value);
  const known = ([name, number]: [string, unknown]): boolean =>
    isSetting(name) && settingOf(name).changes === 'resume' && Number.isSafeInteger(number);
  return entries.length > 0 && entries.every(known) ? (value as RunChanges) : undefined;
}

/**
 * Replaces the changes of a run, if there are any; a crash leaves the old ones or the new ones.
 * @throws SubzeroError `io`
 */
export async function writeChanges(folder: string, changes: RunChanges): Promise<void> {
  if (Object.keys(changes).length === 0) return;
  const bytes = new TextEncoder().encode(`${JSON.stringify(changes)}\n`);
  await writeWhole(fileOf(folder), (handle, partial) => writeFully(handle, partial, 0, bytes));
}
