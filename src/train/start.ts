/**
 * The beginning of a run.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import type { GraderServices } from '../graders/index.ts';
import { loadModel } from '../model/load.ts';
import { join, resolve } from '../platform/index.ts';
import { comparesWithBase, resolveConfiguration, type TrainConfiguration } from '../settings/configuration.ts';
import { stepsOfEpochs } from '../settings/epochs.ts';
import { packageVersion } from '../version.ts';
import { exactConfiguration } from '../zo/change.ts';
import { createOptimizer } from '../zo/create-optimizer.ts';
import { createJournal } from '../zo/journal.ts';
import { BaseScores } from './base-scores.ts';
import { EvaluationHistory } from './best.ts';
import { checkValidation } from './due-evaluations.ts';
import type { TrainEvent } from './events.ts';
import { absoluteSources, fingerprintOf, readExamples } from './examples.ts';
import { objectiveFor, objectiveWith } from './goal.ts';
import { trainFrom } from './loop.ts';
import { close, destroy, ResourceStack } from './resource-stack.ts';
import { rewardOf } from './rewards.ts';
import type { RunSources } from './run.ts';
import { createRunFolder, removeRun, runFiles } from './run-folder.ts';
import { adapterName, planRecord } from './run-plans.ts';
import type { ShareRun } from './sharing.ts';
import { startAdapter } from './start-adapter.ts';

export interface StartOptions {
  modelDirectory: string;
  sources: RunSources;
  configuration: Partial<TrainConfiguration>;
  /** Instead of a number of steps: how often each example is seen, on average. */
  epochs?: number;
  out: string;
  /** The folder of a PEFT LoRA that a run with scheme `lora` begins with. */
  lora?: string;
  share?: ShareRun | undefined;
  /** What graders that ask a model need. */
  graderServices?: GraderServices;
}

/**
 * Starts a run in a new folder and trains, as {@link trainFrom} does. A run that could not begin leaves nothing behind.
 * @throws SubzeroError `conflict` if the folder holds a run, `invalid_argument` for settings that fit neither model nor
 * data
 */
export async function* startRun(gpu: Gpu, options: StartOptions, signal?: AbortSignal): AsyncGenerator<TrainEvent> {
  const asked = resolveConfiguration(options.configuration);
  const wanted = { ...asked, objective: objectiveWith(asked, options.sources.grader) };
  const folder = resolve(options.out);
  const made = { folder: await createRunFolder(folder), files: false };
  const resources = new ResourceStack();
  let begun = false;
  try {
    const data = yield* readExamples(options.modelDirectory, options.sources, wanted, { signal });
    checkValidation(wanted, data.validation);
    const model = resources.own(await loadModel(gpu, options.modelDirectory, { storage: wanted.storage }), destroy);
    // From here on the run says exactly what it is; "auto" would mean another thing on another adapter.
    const configuration: TrainConfiguration = {
      ...exactConfiguration(wanted, model),
      objective: objectiveFor(wanted, data.train.examples),
      ...(options.epochs === undefined ? {} : { steps: stepsFor(options.epochs, wanted, data.train.examples.length) }),
    };
    const start = await startAdapter(options.lora, model.decoder, configuration);
    const optimizer = resources.own(await createOptimizer(model, configuration, start.adapter), destroy);
    optimizer.beginStep(0);
    await gpu.checkAllocations();
    const journal = await createJournal(join(folder, runFiles.journal), {
      packageVersion: packageVersion(),
      basePath: resolve(options.modelDirectory),
      baseFingerprint: model.fingerprint,
      dataFingerprint: fingerprintOf(data.train.examples),
      configuration,
      adapter: adapterName(gpu),
      extra: { sources: absoluteSources(options.sources), ...planRecord(model.plans), ...start.record },
    });
    made.files = true;
    const log = resources.own(journal, close);
    const { validation, notes, summary } = data;
    const { examples } = data.train;
    const { share, sources, graderServices } = options;
    const reward = rewardOf(sources, graderServices);
    const run = { folder, model, optimizer, configuration, log, examples, validation, notes, summary, share, reward };
    const base = comparesWithBase(configuration)
      ? await BaseScores.open(folder, { fingerprint: model.fingerprint, storage: configuration.storage })
      : undefined;
    const opened = { ...run, base, step: 0, evaluations: new EvaluationHistory(), records: [], changes: {} };
    for await (const event of trainFrom(gpu, opened, signal)) {
      begun = true;
      yield event;
    }
  } catch (error) {
    await resources.fail(error);
    // A run that could not begin would be in the way of the next attempt, with what was wrong put right.
    if (!begun) await removeRun(folder, made);
    throw error;
  } finally {
    await resources.close();
  }
}

/** @throws SubzeroError `invalid_argument` if there is no such number of steps */
function stepsFor(epochs: number, configuration: TrainConfiguration, examples: number): number {
  return resolveConfiguration({ ...configuration, steps: stepsOfEpochs(epochs, examples, configuration) }).steps;
}
