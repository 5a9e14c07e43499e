/**
 * Going on with a run.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { SubzeroError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { GraderServices } from '../graders/index.ts';
import { batchRows } from '../model/batch.ts';
import { leadingTokens, withLeading } from '../model/virtual-tokens.ts';
import { join, resolve } from '../platform/index.ts';
import { comparesWithBase, resolveConfiguration, type TrainConfiguration } from '../settings/configuration.ts';
import { type JournalHeader, resumeJournal } from '../zo/journal.ts';
import { BaseScores } from './base-scores.ts';
import { EvaluationHistory } from './best.ts';
import { type RunChanges, readChanges } from './changes.ts';
import { comparedRows } from './compared-rows.ts';
import type { TrainEvent } from './events.ts';
import { loadAsBegun, samplerOf } from './examples.ts';
import { drawnExamples } from './goal.ts';
import { restoreLines, takeUpMetrics } from './history.ts';
import { trainFrom } from './loop.ts';
import { close, destroy, ResourceStack } from './resource-stack.ts';
import { rewardOf } from './rewards.ts';
import { loadBase, type RunSources, restoreRun } from './run.ts';
import { journalFile, runFiles } from './run-folder.ts';
import { Scorer } from './score.ts';
import type { ShareRun } from './sharing.ts';

/**
 * Continues a run where its journal ends. An evaluation that was due and did not get done is done first.
 * @param options.changes a new number of steps in all, another memory budget; kept for later resumptions
 */
export async function* resumeRun(
  gpu: Gpu,
  options: {
    folder: string;
    changes?: RunChanges;
    share?: ShareRun | undefined;
    /** What graders that ask a model need. */
    graderServices?: GraderServices;
  },
  signal?: AbortSignal,
): AsyncGenerator<TrainEvent> {
  const folder = resolve(options.folder);
  const { journal, writer } = await resumeJournal(await journalFile(folder));
  const resources = new ResourceStack();
  resources.own(writer, close);
  try {
    const { records, torn } = journal;
    const changed = await readChanges(folder);
    const before = { ...journal.header.configuration, ...changed };
    const configuration = resolveConfiguration({ ...before, ...options.changes });
    const header = { ...journal.header, configuration };
    if (records.length > configuration.steps) {
      throw new SubzeroError(
        'invalid_argument',
        `${folder} already has ${records.length} steps; it cannot be continued to step ${configuration.steps}. ` +
          'Name a higher number of steps.',
        { parameter: 'steps' },
      );
    }
    const sources = header.extra.sources as RunSources;
    const data = yield* loadAsBegun(header, sources, signal);
    if (!data) {
      throw new SubzeroError(
        'conflict',
        `the training data of ${folder} has changed since the run began; it cannot be continued on it`,
      );
    }
    const { examples } = data.train;
    const base = await openBase(folder, header);
    // What the base is to be asked about in more steps than the run was to have, or where its answers were lost.
    if (base && records.length > 0) {
      const range = { from: records.length, to: configuration.steps };
      const drawn = drawnExamples(examples, samplerOf(configuration, examples), range);
      const wanted = comparedRows(configuration, [...drawn, ...data.validation]);
      if (base.missing(wanted).length > 0) yield* askBase(gpu, folder, header, { base, wanted, signal });
    }
    const restored = await restoreRun(gpu, folder, { journal: { ...journal, header }, share: options.share });
    const { model, optimizer, step } = restored;
    resources.own(model, destroy);
    resources.own(optimizer, destroy);
    const seen = withLeading(examples, leadingTokens(model, optimizer.current));
    const lines = await takeUpMetrics(join(folder, runFiles.metrics), step);
    const sampler = samplerOf(configuration, examples);
    await restoreLines(join(folder, runFiles.metrics), lines, records, {
      steps: configuration.steps,
      rowsOf: (index) => batchRows(sampler.batch(index).map((example) => seen[example]!)),
    });
    const notes = [...data.notes, ...restored.notes];
    if (torn)
      notes.push(`the journal ended in the middle of a record; ${torn.bytes} bytes of an unfinished step were cut off`);
    if (configuration.memory !== before.memory) notes.push(otherMemory(before, configuration));
    const { validation, summary } = data;
    const fork = header.extra.fork as { step: number } | undefined;
    const evaluations = EvaluationHistory.of(lines, fork?.step);
    yield* trainFrom(
      gpu,
      {
        ...{ folder, model, optimizer, configuration, log: writer, examples, validation, base, notes, summary },
        share: options.share,
        reward: rewardOf(sources, options.graderServices),
        ...{ step, evaluations, records: records.slice(fork?.step ?? 0), changes: { ...changed, ...options.changes } },
      },
      signal,
    );
  } catch (error) {
    throw await resources.fail(error);
  } finally {
    await resources.close();
  }
}

async function openBase(folder: string, header: JournalHeader): Promise<BaseScores | undefined> {
  const { configuration, baseFingerprint: fingerprint } = header;
  if (!comparesWithBase(configuration)) return undefined;
  return BaseScores.open(folder, { fingerprint, storage: configuration.storage });
}

/** Asks a base model that is loaded for this alone: the run's own may have moved. */
async function* askBase(
  gpu: Gpu,
  folder: string,
  header: JournalHeader,
  { base, wanted, signal }: { base: BaseScores; wanted: TokenizedExample[]; signal: AbortSignal | undefined },
): AsyncGenerator<TrainEvent> {
  const resources = new ResourceStack();
  try {
    const model = resources.own(await loadBase(gpu, folder, header), destroy);
    const scorer = resources.own(new Scorer(model, header.configuration.maxRows), destroy);
    yield* base.ask({ model, scorer }, wanted, signal);
  } catch (error) {
    throw await resources.fail(error);
  } finally {
    await resources.close();
  }
}

function otherMemory({ memory: before }: TrainConfiguration, { memory }: TrainConfiguration): string {
  const named = (bytes: number): string => (bytes === 0 ? 'without a limit' : formatBytes(bytes));
  return (
    `the memory of the run is now ${named(memory)}; it was ${named(before)}. Steps from here on may be cut into ` +
    'other passes: the estimates are the same, their last bits may not be those of the run as it was set up'
  );
}
