/**
 * Rebuilding a run: a base model and a journal are the model of any step.
 *
 * @module
 */

import type { DataSource } from '../data/source.ts';
import { SubzeroError } from '../errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Grader } from '../graders/index.ts';
import { loadModel } from '../model/load.ts';
import type { Model } from '../model/model.ts';
import { writesWeights } from '../settings/configuration.ts';
import { createOptimizer } from '../zo/create-optimizer.ts';
import { type Journal, type JournalHeader, openJournal } from '../zo/journal.ts';
import type { AppliedStep, ZerothOrderOptimizer } from '../zo/optimizer.ts';
import { resolveStep, type StepChoice } from './best.ts';
import { journalFile } from './run-folder.ts';
import { plansOfRun } from './run-plans.ts';
import type { ShareRun } from './sharing.ts';
import { startAdapterOfRun } from './start-adapter.ts';

/** Where the rows of a run come from; kept in the journal's header. */
export interface RunSources {
  data: DataSource;
  validation?: DataSource;
  /** What generated answers are worth, for the objective `reward`. */
  grader?: Grader;
}

/** A run's model on the GPU at some step. */
export interface RestoredRun {
  journal: Journal;
  model: Model;
  optimizer: ZerothOrderOptimizer;
  /** Steps applied. */
  step: number;
  /** What there is to tell of how it was done. */
  notes: string[];
  /** Whether the model's weights are those of the base still; the change lies beside them. */
  asLoaded: boolean;
}

/** The update of a journal record. */
export function appliedSteps(journal: Journal, count: number): AppliedStep[] {
  return journal.records.slice(0, count).map(({ step, loss: _, ...applied }) => ({ ...applied, step: step - 1 }));
}

/**
 * Rebuilds a run: loads the base model, checks that it is the one that the run began with, and replays the journal.
 *
 * @param options.step how many steps to replay, `best` for those up to the lowest validation loss; all by default
 * @param options.shared finds the base model among those in memory, for a run that does not write its weights; a user
 *   more of it
 * @param options.share may have what the run had become, from which the rest is replayed
 * @throws SubzeroError `conflict` for another base model, `invalid_argument` for a step that the journal does not have
 */
export async function restoreRun(
  gpu: Gpu,
  folder: string,
  options: {
    step?: StepChoice;
    onProgress?: (done: number, total: number) => void;
    journal?: Journal;
    shared?: (header: JournalHeader) => Model | undefined;
    share?: Pick<ShareRun, 'takeUp'> | undefined;
  } = {},
): Promise<RestoredRun> {
  const journal = options.journal ?? (await openJournal(await journalFile(folder)));
  const { header, records } = journal;
  const step = (await resolveStep(folder, options.step)) ?? records.length;
  if (step < 0 || step > records.length || !Number.isInteger(step)) {
    throw new SubzeroError(
      'invalid_argument',
      `${folder} has steps 0 to ${records.length}; step ${step} was asked for`,
      {
        parameter: 'step',
      },
    );
  }
  const asLoaded = !writesWeights(header.configuration, step);
  const model = (asLoaded && options.shared?.(header)) || (await loadBase(gpu, folder, header));
  let optimizer: ZerothOrderOptimizer | undefined;
  try {
    const start = await startAdapterOfRun(folder, header, model.decoder);
    optimizer = await createOptimizer(model, header.configuration, start);
    await gpu.checkAllocations();
    const taken = await options.share?.takeUp({ gpu, folder, journal, optimizer });
    const { step: first, notes } = taken ?? { step: 0, notes: [] };
    const rest = appliedSteps(journal, step).slice(first);
    await optimizer.replay(rest, (done) => options.onProgress?.(first + done, step));
    // A run that has not begun still needs factors to be looked at. One at the end of a period is left as the live run
    // was: unfolded.
    if (step === 0) optimizer.beginStep(0);
    return { journal, model, optimizer, step, notes, asLoaded };
  } catch (error) {
    optimizer?.destroy();
    model.destroy();
    throw error;
  }
}

/** Loads the base model of a run. @throws SubzeroError `not_found`; `conflict` for another model */
export async function loadBase(gpu: Gpu, folder: string, header: JournalHeader): Promise<Model> {
  let model: Model;
  try {
    model = await loadModel(gpu, header.basePath, {
      storage: header.configuration.storage,
      begun: true,
      ...plansOfRun(gpu, folder, header),
    });
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
