/**
 * Models on their way: the given one after some steps of tuning.
 *
 * @module
 */

import { join, mkdir, rename, stat } from '../platform/index.ts';
import { resolveConfiguration } from '../settings/configuration.ts';
import type { Cell, Laboratory } from './experiment.ts';
import { centreRate, isSmallModel } from './search.ts';
import { trainingRows } from './training-rows.ts';

/** SubZero as the other experiments have it. */
const tuning = { optimizer: 'subzero', scheme: 'full', rank: 8, refresh: 100 } as const;

/** What a report says of how the models were made. */
export const aboutStages =
  'With --stages cells begin with the model after so many steps of tuning: SubZero on all parameters, rank ' +
  `${tuning.rank}, F = ${tuning.refresh}, with the cell's seed.`;

/** The cells at each stage; as they are without stages. */
export function atStages(cells: readonly Cell[], stages: readonly number[] | undefined): Cell[] {
  return stages ? stages.flatMap((stage) => cells.map((cell) => ({ ...cell, stage }))) : [...cells];
}

/** The stage of a cell, for a table. */
export function stageText({ stage }: Cell): string {
  return String(stage ?? 0);
}

/**
 * The model that a cell begins with: the given one, or a folder with what it became. One run of each seed is made for
 * all stages and cells, and kept until the experiment is through.
 */
export async function modelAt(laboratory: Laboratory, cell: Cell): Promise<string> {
  const { engine, request, folder, kept, signal } = laboratory;
  const { model, reading, stages = [] } = request;
  const [stage, seed] = [Number(cell.stage ?? 0), Number(cell.seed)];
  if (stage === 0) return model;
  const made = join(kept, `seed-${seed}-step-${stage}`);
  if (await exists(made)) return made;
  const run = join(kept, `seed-${seed}`);
  if (!(await exists(run))) {
    const learningRate = centreRate('subzero', 'full', await isSmallModel(model));
    const steps = Math.max(...stages);
    const configuration = resolveConfiguration({ ...reading, ...tuning, learningRate, steps, seed, evaluateEvery: 0 });
    const data = await trainingRows(laboratory, request.data);
    const begun = join(folder, 'tuning');
    for await (const _ of engine.train({ model, data, configuration, out: begun }, signal));
    signal.throwIfAborted();
    await mkdir(kept, { recursive: true });
    await rename(begun, run);
  }
  const written = join(folder, 'model');
  await engine.exportRun({ run, format: 'safetensors', out: written, step: stage });
  await rename(written, made);
  return made;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
