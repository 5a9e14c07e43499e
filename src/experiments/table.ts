import { bestTokenF1 } from '../data/answer-score.ts';
import type { DataSource } from '../data/source.ts';
import type { Outcome } from '../evaluation/outcome.ts';
import { generates } from '../model/decoder.ts';
import { readConfigurationFile } from '../model/load.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { methods, type OptimizerName, optimizerNames } from '../settings/methods.ts';
import { type SchemeName, schemeNames } from '../settings/schemes.ts';
import { type Cell, defineExperiment, type ExperimentRequest, type Laboratory } from './experiment.ts';
import { sparseClaim } from './published-scores.ts';
import { centreRate, checkNames, chosenRate, isSmallModel, rateGrid, searchCells, stepsOfPasses } from './search.ts';
import { tableReport } from './table-report.ts';
import { checkPrompts, taskSources } from './task-folders.ts';
import { trainRun, withModel } from './train-cell.ts';
import { splitRows } from './training-rows.ts';

/** Passes over a batch that every method gets: 300 steps of two points. */
const passes = 600;

/** Share of the training rows that learning rates are chosen on, and how many at most where --limit says nothing. */
const heldOut = 0.2;
const mostHeldOut = 500;

/** Fewest steps of a run of SubZero+, whose own number of directions would leave it one or two of a short run. */
const fewestSteps = 10;

/** The settings that differ from the defaults, which are those of large models and long runs. */
const common: Partial<TrainConfiguration> = { rank: 8, refresh: 100 };

/** The result of a run, or of the model as it is. */
export interface TaskCell {
  /** On the rows held out from training; null where the run failed, and where nothing is chosen by it. */
  validationLoss: number | null;
  /** One for each evaluated example: 1 where it is right, or the F1 of its answer. Empty where the run failed. */
  scores: number[];
  /** The share of the examples that always the same option gets right, the best one; of the model as it is alone. */
  constant?: number;
  steps: number;
  passes: number;
  trainSeconds: number;
  failed: boolean;
}

/** Optimiser × scheme × task × seed, as the papers' tables have it. */
export const table = defineExperiment<TaskCell>({
  title: 'Optimisers and schemes on the tasks of the papers',
  question: 'Which optimiser and scheme reaches most on each task, with the same passes and the same search for all?',
  method:
    `Every method gets the same passes over a batch (2 × --steps, ${passes} by default) and the same search: the ` +
    `first ` +
    `seed runs with three rates, 1/4, 1 and 4 times the method's default (times 50 for models below 50 M parameters, ` +
    'those of Adam excepted), or with --learning-rates, and all seeds with the rate of the lowest loss on ' +
    `${100 * heldOut} % of the training rows (at most --limit, ${mostHeldOut} by default), which are held out: the ` +
    'same for all methods and seeds, evaluated once, after the last step. The evaluation rows choose nothing; the ' +
    `model is that of the last step. SubZero+ has as many directions a step as leave it ${fewestSteps} steps, its ` +
    'own 99 at most. Intervals are 95 % by Student’s t over the seeds. A difference from SubZero of the same ' +
    'scheme is paired by seed. It stands where neither the luck of seeds (Student’s paired test) nor that of ' +
    'examples (a paired bootstrap, each example with its mean over the seeds) makes it likely, corrected after Holm ' +
    'for all comparisons.',
  reads: ['steps', 'optimizers', 'schemes', 'tasks', 'learningRates', 'batchSize', 'limit'],
  earlier: [
    'each seed drew its own held-out rows, a fifth of the training rows; all runs were evaluated on all of them, ' +
      'also on the way; and SubZero+ had 99 directions a step',
  ],
  data: ['train', 'evaluation'],
  sources: async (request) => [...(await taskSources(request)).values()],
  async cells(request, finished) {
    const { seeds, model, optimizers = optimizerNames, schemes = ['full'] } = request;
    checkNames('optimizers', optimizers, optimizerNames);
    checkNames('schemes', schemes, schemeNames);
    const sources = await taskSources(request);
    checkPrompts(sources, !generates(await readConfigurationFile(model)));
    const small = await isSmallModel(model);
    return [...sources.keys()].flatMap((task) => [
      { task, asItIs: true },
      ...(schemes as SchemeName[]).flatMap((scheme) =>
        (optimizers as OptimizerName[]).flatMap((optimizer) => {
          const steps = stepsOfPasses(methodOf(request, { optimizer, scheme }), passesOf(request));
          const cellOf = (learningRate: number, seed: number): Cell => ({
            ...{ task, scheme, optimizer, learningRate, seed, steps },
          });
          const centre = centreRate(optimizer, scheme, small);
          const rates = request.learningRates ?? rateGrid.map((factor) => Number((factor * centre).toPrecision(3)));
          const search = { rates, seeds, cellOf };
          const cells = searchCells(finished, search, judged);
          const chosen = chosenRate(finished, search, judged);
          const claimed = task === sparseClaim.task && scheme === 'full' && optimizer === 'sparse-mezo';
          // It takes fewer steps by the factor that the paper says it is faster by.
          const fewer = Math.floor(steps / sparseClaim.speedup);
          if (!claimed || chosen === undefined || !optimizers.includes('mezo') || fewer === 0) return cells;
          return [...cells, ...seeds.map((seed) => ({ ...cellOf(chosen, seed), steps: fewer, short: true }))];
        }),
      ),
    ]);
  },
  async measure(laboratory, cell) {
    const { request, signal } = laboratory;
    const data = (await taskSources(request)).get(String(cell.task))!;
    if (cell.asItIs) {
      const outcomes = await evaluate(laboratory, request.model, data);
      const own = { scores: outcomes.map(scoreOf), ...constantAnswer(outcomes) };
      return { validationLoss: null, ...own, steps: 0, passes: 0, trainSeconds: 0, failed: false };
    }
    const rows = await splitRows(laboratory, data, { share: heldOut, most: request.limit ?? mostHeldOut });
    // Rates are chosen by the first seed alone.
    const validation = cell.seed === request.seeds[0] && !cell.short ? rows : undefined;
    const { learningRate, seed, steps } = cell as Record<string, number>;
    const settings = { ...methodOf(request, cell), learningRate: learningRate!, seed: seed!, steps: steps! };
    const { run, ...result } = await trainRun(laboratory, { data: rows, validation }, settings);
    const outcomes = result.failed || signal.aborted ? [] : await evaluate(laboratory, run, data);
    return { scores: outcomes.map(scoreOf), ...result };
  },
  report: tableReport,
});

/** A finished search by its validation loss; the higher the better. */
function judged({ validationLoss }: TaskCell): number {
  return validationLoss === null ? Number.NaN : -validationLoss;
}

function passesOf({ steps }: Pick<ExperimentRequest, 'steps'>): number {
  return steps === undefined ? passes : 2 * steps;
}

/** What a method's runs have in common. */
function methodOf(request: ExperimentRequest, { optimizer, scheme }: Cell): Partial<TrainConfiguration> {
  const { batchSize } = request;
  const { queries } = methods[optimizer as OptimizerName].defaults;
  const most = Math.floor(passesOf(request) / fewestSteps) - 1;
  return {
    ...{ ...common, optimizer: optimizer as OptimizerName, scheme: scheme as SchemeName },
    ...(queries === undefined ? {} : { queries: Math.max(1, Math.min(queries, most)) }),
    ...(batchSize === undefined ? {} : { batchSize }),
  };
}

async function evaluate(laboratory: Laboratory, path: string, data: DataSource): Promise<readonly Outcome[]> {
  const { engine, request, signal } = laboratory;
  const limit = request.limit === undefined ? {} : { limit: request.limit };
  return withModel(laboratory, path, async (model) => {
    const { outcomes } = await engine.evaluate(
      { ...request.reading, model, data, ...limit, outcomes: 'scores' },
      undefined,
      signal,
    );
    return outcomes ?? [];
  });
}

/** What the option does that is right most often, given whatever is asked; nothing of generated answers. */
export function constantAnswer(outcomes: readonly Pick<Outcome, 'correct'>[]): { constant?: number } {
  const counts: number[] = [];
  for (const { correct = [] } of outcomes) for (const option of correct) counts[option] = (counts[option] ?? 0) + 1;
  if (counts.length === 0) return {};
  return { constant: Math.max(...Object.values(counts)) / outcomes.length };
}

function scoreOf({ chosen, correct, answer, references }: Outcome): number {
  if (chosen !== undefined) return correct!.includes(chosen) ? 1 : 0;
  return Number(bestTokenF1(answer ?? '', references ?? []).toFixed(4));
}
