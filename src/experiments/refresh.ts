import { plural } from '../format.ts';
import { type Cell, defineExperiment, type Finished } from './experiment.ts';
import { grouped, known, lossesOfSeeds, scores, seedsText } from './groups.ts';
import { plotSvg, pointOf } from './plot.ts';
import { aboutStages, atStages, modelAt } from './stages.ts';
import {
  holm,
  interval,
  mean,
  pairedDifference,
  type Summary,
  slope,
  studentProbability,
  summary,
} from './statistics.ts';
import { type TrainedCell, trainCell } from './train-cell.ts';

const steps = 300;

/** How often SubZero should draw new subspaces: an open question of the paper (arXiv 2410.08989). */
export const refresh = defineExperiment<TrainedCell>({
  title: 'How long should a subspace be kept?',
  question: 'How does the period F, after which SubZero draws new factors U and V, change what training reaches?',
  method:
    'Each cell trains the whole model with SubZero and evaluates it after the last step. Cells differ in F, rank and ' +
    'seed alone. A period as long as the run or longer keeps one subspace for all of it (∞). Intervals are 95 % by ' +
    'Student’s t over the seeds; differences are paired by seed. A period is told apart from the best one by its ' +
    'loss where Student’s paired test says so, corrected after Holm for all pairs of its group, since the best one ' +
    'is chosen by the same losses. The paper (arXiv 2410.08989) keeps a subspace for 1000 of 20 000 steps and leaves ' +
    `the best period open. ${aboutStages}`,
  reads: ['steps', 'ranks', 'refreshes', 'learningRates', 'stages', 'limit'],
  data: ['train', 'evaluation'],
  cells: ({ seeds, stages, ranks = [8], refreshes = [1, 10, 50, 100, 300], learningRates = [5e-5] }) =>
    atStages(
      seeds.flatMap((seed) =>
        ranks.flatMap((rank) =>
          refreshes.flatMap((every) =>
            learningRates.map((learningRate) => ({ seed, rank, refresh: every, learningRate })),
          ),
        ),
      ),
      stages,
    ),
  async measure(laboratory, cell) {
    const { seed, rank, refresh: every, learningRate } = cell;
    const model = await modelAt(laboratory, cell);
    return trainCell(
      { ...laboratory, request: { ...laboratory.request, model } },
      {
        ...{ seed: Number(seed), rank: Number(rank), refresh: Number(every), learningRate: Number(learningRate) },
        steps: laboratory.request.steps ?? steps,
      },
    );
  },
  report({ steps: given = steps }, finished) {
    const groups = [...grouped(finished, groupName)].map(([name, cells]) => groupOf(name, cells, given));
    const accuracies = finished.some(({ result }) => result.accuracy !== null);
    return {
      lead:
        groups.length > mostVerdicts
          ? `After ${plural(given, 'step')}, ${summaryOf(groups)}.`
          : `After ${plural(given, 'step')}: ${groups.map(verdictOf).join('; ')}.`,
      sections: [
        {
          title: 'Loss by period',
          ...(groups.length > mostVerdicts ? { text: groups.map((each) => `- ${verdictOf(each)}.`).join('\n') } : {}),
          plot: {
            name: 'refresh.svg',
            describes: 'Loss over the refresh period',
            svg: plotSvg({
              title: `Loss of the evaluated rows after ${plural(given, 'step')}`,
              xTitle: 'steps that a subspace is kept (F)',
              yTitle: 'loss',
              xLogarithmic: true,
              series: groups.map(({ name, periods }) => ({
                name,
                points: periods.map(({ every, losses }) => {
                  return pointOf(every, summary(known(losses)));
                }),
              })),
            }),
          },
          table: {
            header: [
              ...['group', 'F', 'seeds', 'loss', 'above the best of the group', 'after Holm'],
              ...(accuracies ? ['accuracy'] : []),
            ],
            rows: groups.flatMap(({ name, periods, best }) =>
              periods.map((period) => [
                name,
                periodText(period.every, given),
                seedsText(period.own),
                interval(summary(known(period.losses))),
                aboveBest(period, best),
                period === best || Number.isNaN(period.probability) ? '' : period.probability.toFixed(3),
                ...(accuracies ? [interval(summary(known(scores(period.own))))] : []),
              ]),
            ),
          },
        },
      ],
    };
  },
});

interface Period {
  every: number;
  own: readonly Finished<TrainedCell>[];
  losses: number[];
  /** That it is as good as the best one, after Holm for all pairs; NaN of that itself, and of one seed. */
  probability: number;
}

interface Group {
  name: string;
  periods: Period[];
  /** The period of the lowest mean loss; none where each has a run that failed. */
  best: Period | undefined;
  /** Steps of a run. */
  steps: number;
}

function groupName({ rank, learningRate, stage }: Cell): string {
  return `rank ${rank}, η ${learningRate}${stage === undefined ? '' : `, from step ${stage}`}`;
}

function groupOf(name: string, cells: readonly Finished<TrainedCell>[], given: number): Group {
  const periods: Period[] = [...grouped(cells, ({ refresh: every }) => String(every))].map(([every, own]) => ({
    ...{ every: Number(every), own, losses: lossesOfSeeds(own), probability: Number.NaN },
  }));
  const [best] = periods.filter((each) => !hasFailed(each)).toSorted((a, b) => mean(a.losses) - mean(b.losses));
  // The best one is chosen by the same losses, so any two periods might have been compared.
  const pairs = periods.flatMap((one, index) => periods.slice(index + 1).map((other) => [one, other] as const));
  const corrected = holm(
    pairs.map(([one, other]) => {
      const against = lossesOfSeeds(other.own, one.own);
      return studentProbability(known(one.losses.map((loss, index) => loss - against[index]!)));
    }),
  );
  for (const [index, pair] of pairs.entries()) {
    if (!best || !pair.includes(best)) continue;
    for (const period of pair) if (period !== best) period.probability = corrected[index]!;
  }
  return { name, periods, best, steps: given };
}

/** Groups whose verdicts a sentence holds; those of more are a list under it. */
const mostVerdicts = 2;

/** Says how many groups come to which verdict. */
function summaryOf(groups: readonly Group[]): string {
  const count = (holds: (group: Group) => boolean): string => {
    const own = groups.filter(holds);
    const names = own.length > 0 ? ` (${own.map(({ name }) => name).join('; ')})` : '';
    return `${own.length} of ${groups.length} groups${names}`;
  };
  const lowest = [...new Set(groups.map(({ best }) => best?.every))].map((every) => {
    const own = groups.filter(({ best }) => best?.every === every);
    return `${every === undefined ? 'none' : `F = ${periodText(every, groups[0]!.steps)}`} in ${own.length}`;
  });
  return (
    `the seeds show an F to be worse than the best one in ` +
    `${count(({ periods }) => periods.some(({ probability }) => probability < 0.05))}, ` +
    `and a trend over F in ${count(({ periods }) => isShown(trendOf(periods, groups[0]!.steps)))}; ` +
    `the lowest mean loss has ${lowest.join(', ')}`
  );
}

/** How far a period's loss lies above that of the best one, as text. */
function aboveBest(period: Period, best: Period | undefined): string {
  if (period === best) return 'best';
  return best ? interval(pairedDifference(period.losses, lossesOfSeeds(best.own, period.own))) : '';
}

function hasFailed({ own }: Period): boolean {
  return own.some(({ result }) => result.failed);
}

/** The recommendation, and how sure it is. */
function verdictOf({ name, periods, best, steps: given }: Group): string {
  const text = (chosen: readonly Period[]): string => chosen.map(({ every }) => periodText(every, given)).join(', ');
  const failed = periods.filter(hasFailed);
  if (!best) return `${name}: runs failed at every F (${text(failed)}), so that none can be recommended`;
  const seeds = best.own.length;
  const failures = failed.length === 0 ? '' : `, where runs of F = ${text(failed)} failed`;
  const lowest = interval(summary(best.losses));
  const reached = `F = ${periodText(best.every, given)} has the lowest mean loss (${lowest})${failures}`;
  if (seeds < 2) return `${name}: ${reached}; one seed says nothing of how sure that is`;
  const worse = periods.filter(({ probability }) => probability < 0.05);
  const alike = periods.filter((period) => period !== best && !worse.includes(period) && !failed.includes(period));
  if (worse.length === 0 && alike.length === 0) return `${name}: ${reached}`;
  if (worse.length === 0) {
    const others = `${seeds} seeds tell no other F apart from it (${text(alike)})`;
    return `${name}: ${reached}, but ${others}${trendText(periods, given)}`;
  }
  return (
    `${name}: ${reached}; ${seeds} seeds show F = ${text(worse)} to be worse` +
    (alike.length === 0 ? '' : ` and do not tell ${text(alike)} apart from it`) +
    trendText(periods, given)
  );
}

/** How the loss goes with ten times F as a whole, which asks less of the seeds than to tell two periods apart. */
function trendOf(periods: readonly Period[], given: number): Summary {
  const seeds = periods[0]!.own.map(({ cell }) => cell.seed);
  // No subspace is kept for longer than the run.
  const xs = periods.map(({ every }) => Math.log10(Math.min(every, given)));
  const slopes = seeds.map((seed) => {
    const losses = periods.map(({ own }) => own.find(({ cell }) => cell.seed === seed)?.result.loss ?? Number.NaN);
    return slope(xs, losses);
  });
  return summary(known(slopes));
}

const isShown = (trend: Summary): boolean => Math.abs(trend.mean) > trend.halfWidth95;

function trendText(periods: readonly Period[], given: number): string {
  const trend = trendOf(periods, given);
  if (periods.length < 3 || Number.isNaN(trend.halfWidth95)) return '';
  return (
    `, while ten times the period changes the loss by ${interval(trend)}: ` +
    (isShown(trend) ? `${trend.mean > 0 ? 'shorter' : 'longer'} periods are better` : 'no trend beyond its interval')
  );
}

function periodText(every: number, given: number): string {
  return every < given ? String(every) : `${every} (∞)`;
}
