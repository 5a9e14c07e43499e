/**
 * The folder of an experiment: what it belongs to, and the cells that are measured there.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { join, mkdir, open, readdir, readFile, rm } from '../platform/index.ts';
import { diskError, writeFully, writeWhole } from '../safetensors/disk.ts';
import type { Cell, ExperimentRequest, Finished } from './experiment.ts';
import type { Inputs } from './inputs.ts';

/** What experiment.json says. */
export interface Identity {
  experiment: string;
  /** Which version of the experiment measured the cells, from 2 on. */
  revision?: number;
  request: ExperimentRequest;
}

/** Its lock file. */
export const lockName = 'experiment.lock';

const identityName = 'experiment.json';
const cellsName = 'cells.jsonl';

const newline = 0x0a;

/** What an experiment writes into its folder, and removes there. */
const written = /^(cells\.jsonl|report\.md|work|kept)$|\.svg$/;

/** Most names of files in an error. */
const namesShown = 5;

/** The name of a cell that no other one has. */
export function nameOf(cell: Cell): string {
  return JSON.stringify(Object.entries(cell).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Makes a folder, if there is none. @throws SubzeroError `io` for a file, and where none can be made */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EEXIST') throw diskError(error, folder, 'create the folder');
    throw new SubzeroError('io', `${folder} is a file; name a folder with --out`, { parameter: 'out', cause: error });
  }
}

/**
 * Makes the folder this experiment's.
 * @param earlier what was measured otherwise by earlier versions; none where nothing is measured in the folder
 * @returns what was measured otherwise then, where an earlier version of the experiment filled the folder
 * @throws SubzeroError `conflict` if it is another one's, or holds anything else
 */
export async function claim(
  folder: string,
  identity: Identity,
  earlier?: readonly string[],
): Promise<string | undefined> {
  const before = await readIdentity(folder);
  if (before === undefined) {
    const others = (await readdir(folder)).filter((name) => written.test(name)).sort();
    if (others.length === 0) return write(folder, identity);
    const shown = `${others.slice(0, namesShown).join(', ')}${others.length > namesShown ? ', …' : ''}`;
    throw new SubzeroError(
      'conflict',
      `${folder} holds ${shown} of something else, as it has no ${identityName}: that would be written over or ` +
        'removed; choose a new folder with --out',
      { parameter: 'out' },
    );
  }
  const { experiment, revision = 1, request } = before;
  const { revision: now = 1, ...own } = identity;
  const isSame = JSON.stringify({ experiment, request }) === JSON.stringify(own);
  if (isSame && revision === now) return undefined;
  if (isSame && revision < now) {
    return earlier ? earlier.slice(revision - 1).join('; and then ') : write(folder, identity);
  }
  throw new SubzeroError(
    'conflict',
    `${folder} holds the experiment "${experiment}" with ` +
      `${experiment === identity.experiment ? 'other settings' : 'cells of its own'}; ` +
      `choose another folder with --out, or give the settings of its ${identityName}`,
    { parameter: 'out' },
  );
}

/** Gives up a folder in which nothing is measured. */
export async function disclaim(folder: string): Promise<void> {
  // A first line that was not finished has left an empty file.
  await rm(join(folder, cellsName), { force: true });
  await rm(join(folder, identityName), { force: true });
}

/**
 * Holds what the paths of the request lead to against what they led to when the first cell was measured. Folders that
 * do not say it are gone on with.
 * @param measured cells in the folder; without any what it says is replaced
 * @returns whether it was replaced by something else
 * @throws SubzeroError `conflict` where the model or the data are others
 */
export async function claimInputs(
  folder: string,
  identity: Identity,
  { inputs, measured }: { inputs: Inputs; measured: number },
): Promise<boolean> {
  const before = (await readIdentity(folder))?.inputs;
  if (measured === 0) {
    await write(folder, { ...identity, inputs });
    return before !== undefined && JSON.stringify(before) !== JSON.stringify(inputs);
  }
  const changed = (['model', 'data'] as const).filter((each) => before?.[each] && before[each] !== inputs[each]);
  if (changed.length === 0) return false;
  const what = changed.map((each) =>
    each === 'model' ? `the model ${identity.request.model}` : 'the rows of the data',
  );
  throw new SubzeroError(
    'conflict',
    `${what.join(' and ')} changed since the first of ${measured} cells in ${folder} was measured, so that others ` +
      'would not stand beside them; bring back what was there, or choose another folder with --out',
    { parameter: 'out' },
  );
}

async function readIdentity(folder: string): Promise<(Identity & { inputs?: Inputs }) | undefined> {
  const file = join(folder, identityName);
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as Identity;
  } catch (error) {
    const advice = 'choose another folder with --out, or remove this one';
    throw new SubzeroError('invalid_data', `${file} is no JSON: ${(error as Error).message}; ${advice}`, {
      parameter: 'out',
    });
  }
}

async function write(folder: string, identity: Identity & { inputs?: Inputs }): Promise<undefined> {
  const file = join(folder, identityName);
  const bytes = new TextEncoder().encode(`${JSON.stringify(identity, null, 2)}\n`);
  await writeWhole(file, (handle, partial) => writeFully(handle, partial, 0, bytes));
}

/** Removes a last line without its end, which was being written when the process ended. */
export async function dropHalfLine(folder: string): Promise<void> {
  const file = join(folder, cellsName);
  const bytes = await readFile(file).catch(() => new Uint8Array());
  const end = bytes.lastIndexOf(newline) + 1;
  if (end === bytes.length) return;
  const handle = await open(file, 'r+');
  try {
    await handle.truncate(end);
  } finally {
    await handle.close();
  }
}

/**
 * The finished cells, each once. A last line without its end is none.
 * @throws SubzeroError `invalid_data` for another line that is no cell
 */
export async function readCells(folder: string): Promise<Finished[]> {
  const file = join(folder, cellsName);
  const text = await readFile(file, 'utf8').catch(() => '');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  const cells = new Map<string, Finished>();
  for (const [index, line] of whole.split('\n').entries()) {
    if (line === '') continue;
    const finished = parseLine(line, `${file}:${index + 1}`);
    const name = nameOf(finished.cell);
    if (!cells.has(name)) cells.set(name, finished);
  }
  return [...cells.values()];
}

/** JSON has no word for numbers that are none; null would count as 0. */
const noNumbers: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
};

function parseLine(line: string, place: string): Finished {
  let problem = 'it has no "cell" and "result"';
  try {
    const value = JSON.parse(line, (_, each: unknown) =>
      typeof each === 'string' ? (noNumbers[each] ?? each) : each,
    ) as Finished | null;
    if (typeof value?.cell === 'object' && value.cell !== null && 'result' in value) return value;
  } catch (error) {
    problem = (error as Error).message;
  }
  throw new SubzeroError(
    'invalid_data',
    `${place} is no line of a measured cell: ${problem}; remove the line, and the same command measures its cell again`,
    { parameter: 'out' },
  );
}

/** Adds a cell; it is on the disk when this is done. */
export async function appendCell(folder: string, line: Finished): Promise<void> {
  const file = join(folder, cellsName);
  const text = JSON.stringify(line, (_, each: unknown) =>
    typeof each === 'number' && !Number.isFinite(each) ? String(each) : each,
  );
  const handle = await open(file, 'a');
  try {
    await writeFully(handle, file, 0, new TextEncoder().encode(`${text}\n`));
    await handle.sync();
  } finally {
    await handle.close();
  }
}
