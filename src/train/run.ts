/**
 * Run folders: a base model and a journal rebuild the model of any step.
 *
 * @module
 */

import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { DataSource } from '../engine/types.ts';
import { SubzeroError } from '../errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { Model } from '../model/model.ts';
import { type Journal, type JournalHeader, openJournal } from '../zo/journal.ts';
import { type AppliedStep, createOptimizer, type ZerothOrderOptimizer } from '../zo/optimizer.ts';
import { curvePoints, lossCurveSvg } from './curve.ts';
import { readMetrics } from './metrics.ts';

/** The files of a run folder. */
export const runFiles = { journal: 'journal.subzero', metrics: 'metrics.jsonl', curve: 'loss-curve.svg' } as const;

/** Where the rows of a run come from; kept in the journal's header. */
export interface RunSources {
  data: DataSource;
  validation?: DataSource;
}

/** A run's model on the GPU at some step. */
export interface RestoredRun {
  journal: Journal;
  model: Model;
  optimizer: ZerothOrderOptimizer;
  /** Steps applied. */
  step: number;
}

/** Whether a folder is a run: it holds a journal. */
export async function isRunFolder(folder: string): Promise<boolean> {
  return (await readdir(folder).catch(() => [] as string[])).includes(runFiles.journal);
}

/** Makes the folder of a new run. @throws SubzeroError `conflict` if it holds a run already, `io` if it cannot be made */
export async function createRunFolder(folder: string): Promise<void> {
  try {
    await makeFolders(folder);
  } catch (error) {
    throw new SubzeroError('io', `the run folder ${folder} cannot be made: ${(error as Error).message}`, {
      parameter: 'out',
    });
  }
  if (await isRunFolder(folder)) {
    throw new SubzeroError(
      'conflict',
      `${folder} already holds a run; choose another folder, or continue it with --resume ${folder}`,
      { parameter: 'out' },
    );
  }
}

/** Makes a folder and its parents. Node's own `recursive` never returns where a parent refuses children with ENOENT, as /proc does. */
export async function makeFolders(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'EEXIST' && (await stat(folder)).isDirectory()) return;
    if (code !== 'ENOENT' || (await stat(dirname(folder)).catch(() => undefined)) !== undefined) throw error;
    await makeFolders(dirname(folder));
    await mkdir(folder);
  }
}

/** The update of a journal record. */
export function appliedSteps(journal: Journal, count: number): AppliedStep[] {
  return journal.records.slice(0, count).map(({ step, loss: _, ...applied }) => ({ ...applied, step: step - 1 }));
}

/**
 * Rebuilds a run: loads the base model, checks that it is the one that the run began with, and replays the journal.
 *
 * @param options.step how many steps to replay; all by default
 * @throws SubzeroError `conflict` for another base model, `invalid_argument` for a step that the journal does not have
 */
export async function restoreRun(
  gpu: Gpu,
  folder: string,
  options: { step?: number; onProgress?: (done: number, total: number) => void; journal?: Journal } = {},
): Promise<RestoredRun> {
  const journal = options.journal ?? (await openJournal(join(folder, runFiles.journal)));
  const { header, records } = journal;
  const step = options.step ?? records.length;
  if (step < 0 || step > records.length || !Number.isInteger(step)) {
    throw new SubzeroError(
      'invalid_argument',
      `${folder} has steps 0 to ${records.length}; step ${step} was asked for`,
      {
        parameter: 'step',
      },
    );
  }
  const model = await loadBase(gpu, folder, header);
  let optimizer: ZerothOrderOptimizer | undefined;
  try {
    optimizer = await createOptimizer(model, header.configuration);
    await gpu.checkAllocations();
    await optimizer.replay(appliedSteps(journal, step), (done) => options.onProgress?.(done, step));
    // A run that has not begun still needs factors to be looked at. One at the end of a period is left as the live run was: unfolded.
    if (step === 0) optimizer.beginStep(0);
    return { journal, model, optimizer, step };
  } catch (error) {
    optimizer?.destroy();
    model.destroy();
    throw error;
  }
}

async function loadBase(gpu: Gpu, folder: string, header: JournalHeader): Promise<Model> {
  let model: Model;
  try {
    model = await Model.load(gpu, header.basePath, { storage: header.configuration.storage });
  } catch (error) {
    if (error instanceof SubzeroError && error.code === 'not_found') {
      throw new SubzeroError(
        'not_found',
        `the run ${folder} was made on the base model ${header.basePath}, which cannot be read: ${error.message}`,
      );
    }
    throw error;
  }
  if (model.fingerprint !== header.baseFingerprint) {
    model.destroy();
    throw new SubzeroError(
      'conflict',
      `the base model ${header.basePath} is not the one that ${folder} was trained on: its weights hash to ` +
        `${model.fingerprint.slice(0, 16)}…, the journal expects ${header.baseFingerprint.slice(0, 16)}…`,
    );
  }
  return model;
}

/** Draws the loss curve of a run from its metrics. */
export async function writeCurve(folder: string, title: string): Promise<void> {
  const points = curvePoints(await readMetrics(join(folder, runFiles.metrics)));
  await writeFile(join(folder, runFiles.curve), lossCurveSvg(points, { title }));
}
