import { resolveConfiguration, type TrainConfiguration } from '../settings/configuration.ts';
import { type OptimizerName, optimizerNames } from '../settings/methods.ts';
import { type SchemeName, schemeNames } from '../settings/schemes.ts';
import { type Cell, defineExperiment, type ExperimentRequest } from './experiment.ts';
import { grouped, known, scores, scoresOfSeeds, seedsText } from './groups.ts';
import { bestOf, checkNames, rateGrid, searchCells, stepsOfPasses } from './search.ts';
import { interval, mean, pairedDifference, summary } from './statistics.ts';
import { score, scoreName, type TrainedCell, trainCell } from './train-cell.ts';

/** Passes over a batch that every method gets: 300 steps of two points. */
const passes = 600;

/** The settings that differ from the defaults, which are those of large models and long runs. */
const common: Partial<TrainConfiguration> = { rank: 8, refresh: 100 };

/**
 * The learning rate around which the grid lies, for a model of some million parameters and a few hundred steps, and
 * where an optimiser has another.
 */
const centre = 5e-5;
const centres: Readonly<Partial<Record<OptimizerName, number>>> = { 'subzero-plus': 5e-3, 'sparse-mezo': 1e-4 };

function configurationOf({ optimizer, scheme, learningRate, seed }: Cell, request: ExperimentRequest) {
  const settings = { ...common, optimizer, scheme, learningRate, seed } as Partial<TrainConfiguration>;
  return { ...settings, steps: stepsOfPasses(settings, request.steps === undefined ? passes : 2 * request.steps) };
}

/** Optimisers and schemes on one task, with the same passes and the same search for the learning rate for each. */
export const methodsExperiment = defineExperiment<TrainedCell>({
  title: 'Methods on one task',
  question: 'Which optimiser and scheme reaches most with the same number of passes over a batch?',
  method:
    `Every method gets the same number of passes (2 × --steps, ${passes} by default): one that looks at three points ` +
    'a step makes two thirds of the steps. Its learning rate is searched for alike: the first seed runs with 1/4, 1 ' +
    'and 4 times a value that is declared for the method, all seeds with the best of them by the validation data. ' +
    'The first seed is thus chosen a little in favour of every method. Intervals are 95 % by Student’s t over the ' +
    'seeds; differences from SubZero are paired by seed.',
  reads: ['steps', 'optimizers', 'schemes', 'limit'],
  earlier: ['the seconds of training had those in them that evaluations of the validation rows took'],
  data: ['train', 'evaluation'],
  cells(request, finished) {
    const { seeds, optimizers = optimizerNames, schemes = ['full'] } = request;
    checkNames('optimizers', optimizers, optimizerNames);
    checkNames('schemes', schemes, schemeNames);
    return schemes.flatMap((scheme) =>
      optimizers.flatMap((name) => {
        const optimizer = name as OptimizerName;
        const middle =
          scheme === 'full'
            ? (centres[optimizer] ?? centre)
            : resolveConfiguration({ optimizer, scheme: scheme as SchemeName }).learningRate;
        const cellOf = (learningRate: number, seed: number): Cell => ({ optimizer, scheme, learningRate, seed });
        return searchCells(finished, { rates: rateGrid.map((factor) => middle * factor), seeds, cellOf }, score);
      }),
    );
  },
  measure: (laboratory, cell) => trainCell(laboratory, configurationOf(cell, laboratory.request)),
  report(request, finished) {
    const name = scoreName(finished.map(({ result }) => result));
    const groups = [...grouped(finished, ({ optimizer, scheme }) => `${optimizer}, ${scheme}`)].map(
      ([title, cells]) => {
        const searched = cells.filter(({ cell }) => cell.seed === request.seeds[0]);
        const chosen = searched[bestOf(searched.map(({ result }) => score(result)))]!.cell.learningRate;
        return { title, searched, chosen, own: cells.filter(({ cell }) => cell.learningRate === chosen) };
      },
    );
    const base = groups.find(({ title }) => title === 'subzero, full') ?? groups[0]!;
    const rows = groups.map(({ title, chosen, own }) => [
      title,
      String(chosen),
      String(own[0]!.result.steps),
      seedsText(own),
      interval(summary(known(scores(own)))),
      title === base.title ? '' : interval(pairedDifference(scores(own), scoresOfSeeds(base.own, own))),
      mean(own.map(({ result }) => result.trainSeconds)).toFixed(0),
    ]);
    const best = groups[bestOf(groups.map(({ own }) => mean(known(scores(own)))))]!;
    const failures = best.own.filter(({ result }) => result.failed).length;
    const reached =
      `${best.title} reaches the highest mean ${name}, ${interval(summary(known(scores(best.own))))}` +
      (failures > 0 ? ` (${failures} of ${best.own.length} runs failed)` : '');
    const lead = pairedDifference(scores(best.own), scoresOfSeeds(base.own, best.own));
    return {
      lead:
        best === base
          ? `${reached}.`
          : `${reached}, ${interval(lead)} above ${base.title}${
              Number.isNaN(lead.halfWidth95)
                ? '; fewer than two pairs of runs say nothing of how sure that is.'
                : lead.mean - lead.halfWidth95 > 0
                  ? '.'
                  : ': within its 95 % interval, so not shown to be better.'
            }`,
      sections: [
        {
          title: 'All methods',
          table: {
            header: ['method', 'η', 'steps', 'seeds', name, `against ${base.title}`, 'seconds of training'],
            rows,
          },
        },
        {
          title: 'The search for the learning rate (first seed)',
          table: {
            header: ['method', ...rateGrid.map((factor) => `${factor} × η`)],
            rows: groups.map(({ title, searched }) => [
              title,
              ...searched.map(({ cell, result }) => `${score(result).toFixed(4)} (${cell.learningRate})`),
            ]),
          },
        },
      ],
    };
  },
});
