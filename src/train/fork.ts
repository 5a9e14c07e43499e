/**
 * Forks: a new run that shares the first steps of another and goes on with other settings.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { GraderServices } from '../graders/index.ts';
import { join, readFile, resolve, rm, writeFile } from '../platform/index.ts';
import { resolveConfiguration, type TrainConfiguration } from '../settings/configuration.ts';
import { objectives } from '../settings/objectives.ts';
import { readingSettings, settingNames, settingOf } from '../settings/settings.ts';
import { packageVersion } from '../version.ts';
import { parameter, words } from '../words.ts';
import { createJournal, type Journal, type JournalHeader, openJournal, type StepRecord } from '../zo/journal.ts';
import { resolveStep, type StepChoice } from './best.ts';
import { readChanges } from './changes.ts';
import { checkValidation } from './due-evaluations.ts';
import type { TrainEvent } from './events.ts';
import { absoluteSources, fingerprintOf, readExamples } from './examples.ts';
import { objectiveFor, objectiveWith } from './goal.ts';
import { metricsOf } from './history.ts';
import { openMetrics } from './metrics.ts';
import type { ReadingEvent } from './reading-clock.ts';
import { resumeRun } from './resume.ts';
import type { RunSources } from './run.ts';
import { createRunFolder, journalFile, runFiles } from './run-folder.ts';
import type { ShareRun } from './sharing.ts';

export interface ForkOptions {
  /** The run to fork. */
  run: string;
  /** The last step that both have; the run's last by default. */
  step?: StepChoice;
  /** Settings to change: those whose rows in settings.ts have `changes`. */
  configuration: Partial<TrainConfiguration>;
  /** Data to change. */
  sources?: Partial<RunSources>;
  /** The new run's folder. */
  out: string;
  share?: ShareRun | undefined;
  /** What graders that ask a model need. */
  graderServices?: GraderServices;
}

/**
 * Starts a run with the steps of another, and trains to its last step. The new run needs the base model only, not the
 * run that it came from.
 *
 * @throws SubzeroError `invalid_argument` for settings that cannot change inside a run or a step that it does not have;
 *   as `resumeRun`
 */
export async function* forkRun(gpu: Gpu, options: ForkOptions, signal?: AbortSignal): AsyncGenerator<TrainEvent> {
  const folder = resolve(options.out);
  yield* makeFork(options, folder, signal);
  const { share, graderServices } = options;
  yield* resumeRun(gpu, { folder, share, ...(graderServices ? { graderServices } : {}) }, signal);
}

async function* makeFork(
  options: ForkOptions,
  folder: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ReadingEvent, void> {
  const from = resolve(options.run);
  const journal = await openJournal(await journalFile(from));
  const step = (await resolveStep(from, options.step)) ?? journal.records.length;
  const header = yield* forkedHeader(options, { journal, step, from, signal });
  await createRunFolder(folder);
  const files = (['journal', 'metrics', 'baseScores'] as const).map((name) => join(folder, runFiles[name])) as [
    string,
    string,
    string,
  ];
  try {
    await copyRecords(files[0], header, journal.records.slice(0, step));
    await copyBaseScores(from, files[2]);
    const { configuration } = journal.header;
    await copyMetrics(from, files[1], step, isJudgedAlike(options.sources, configuration, header.configuration));
  } catch (error) {
    // Half of the steps would look like a run of its own.
    for (const file of files) await rm(file, { force: true });
    throw error;
  }
}

/** The header of the new run, after all checks. */
async function* forkedHeader(
  { configuration, sources }: ForkOptions,
  { journal, step, from, signal }: { journal: Journal; step: number; from: string; signal: AbortSignal | undefined },
): AsyncGenerator<ReadingEvent, JournalHeader> {
  const { header, records } = journal;
  if (!Number.isInteger(step) || step < 0 || step > records.length) {
    throw new SubzeroError('invalid_argument', `${from} has steps 0 to ${records.length}; step ${step} was asked for`, {
      parameter: 'step',
    });
  }
  const before: TrainConfiguration = { ...header.configuration, ...(await readChanges(from)) };
  const after = resolveConfiguration({ ...before, ...configuration });
  for (const key of settingNames) {
    if (settingOf(key).changes || String(after[key]) === String(before[key])) continue;
    const why =
      `the steps of ${from} were made with ${String(before[key])}, not ${String(after[key])}. ` +
      'To go on with it, export the run as safetensors and train on that model.';
    throw new SubzeroError('invalid_argument', words`${parameter(key)} cannot change inside a run: ${why}`, {
      parameter: key,
    });
  }
  if (step >= after.steps) {
    throw new SubzeroError(
      'invalid_argument',
      `step ${step} is the last of ${after.steps}, so the fork would have nothing to do; name a higher number of steps`,
      { parameter: 'steps' },
    );
  }
  const { grader, ...inherited } = header.extra.sources as RunSources;
  // An objective that asks no grader leaves behind the one that the run was begun with.
  const kept = grader && objectives[after.objective].generates ? { grader } : {};
  const all: RunSources = { ...inherited, ...kept, ...sources };
  after.objective = objectiveWith(after, all.grader);
  const { train, validation } = yield* readExamples(header.basePath, all, after, { signal });
  checkValidation(after, validation);
  after.objective = objectiveFor(after, train.examples);
  return {
    ...header,
    packageVersion: packageVersion(),
    configuration: after,
    // Data that changed by themselves are refused when the run goes on.
    dataFingerprint:
      sources?.data || isReadOtherwise(before, after) ? fingerprintOf(train.examples) : header.dataFingerprint,
    extra: { ...header.extra, sources: absoluteSources(all), fork: { run: from, step } },
  };
}

/** Whether the rows of a file become other examples. */
function isReadOtherwise(before: TrainConfiguration, after: TrainConfiguration): boolean {
  const asksBefore = objectives[before.objective].generates;
  if (asksBefore !== objectives[after.objective].generates) return true;
  return readingSettings.some((name) => String(after[name]) !== String(before[name]));
}

/** The settings that a validation loss depends on besides weights and data. */
const judging = [
  'objective',
  'dpoBeta',
  'dpoLabelSmoothing',
  'anchor',
  'rewardTokens',
  'rewardTemperature',
  'rewardStop',
] as const;

/** Whether validation losses of both runs can be compared, so that the best step may be one before the fork. */
function isJudgedAlike(
  changed: Partial<RunSources> | undefined,
  before: TrainConfiguration,
  after: TrainConfiguration,
): boolean {
  if (changed?.validation !== undefined || changed?.grader !== undefined || isReadOtherwise(before, after))
    return false;
  return judging.every((name) => String(after[name]) === String(before[name]));
}

async function copyRecords(file: string, header: JournalHeader, records: readonly StepRecord[]): Promise<void> {
  const writer = await createJournal(file, header, { sync: 'interval' });
  try {
    for (const record of records) await writer.append(record);
  } finally {
    await writer.close();
  }
}

/** What the base said of examples, so that it is not asked again. */
async function copyBaseScores(from: string, file: string): Promise<void> {
  const content = await readFile(join(from, runFiles.baseScores)).catch(() => undefined);
  if (content) await writeFile(file, content);
}

/** @param evaluations whether theirs are to be compared with the new run's */
async function copyMetrics(from: string, file: string, lastStep: number, evaluations: boolean): Promise<void> {
  const writer = await openMetrics(file);
  try {
    for (const line of await metricsOf(join(from, runFiles.metrics))) {
      if (line.step <= lastStep && (evaluations || line.type !== 'evaluation')) await writer.append(line);
    }
  } finally {
    await writer.close();
  }
}
