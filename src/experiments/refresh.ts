import { type Cell, defineExperiment, type Finished } from './experiment.ts';
import { grouped, lossesOfSeeds, scores } from './groups.ts';
import { plotSvg } from './plot.ts';
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
          ? `After ${given} steps, ${summaryOf(groups)}.`
          : `After ${given} steps: ${groups.map(verdictOf).join('; ')}.`,
      sections: [
        {
          title: 'Loss by period',
          ...(groups.length > mostVerdicts ? { text: groups.map((each) => `- ${verdictOf(each)}.`).join('\n') } : {}),
          plot: {
            name: 'refresh.svg',
            describes: 'Loss over the refresh period',
            svg: plotSvg({
              title: `Loss of the evaluated rows after ${given} steps`,
              xTitle: 'steps that a subspace is kept (F)',
              yTitle: 'loss',
              xLogarithmic: true,
              series: groups.map(({ name, periods }) => ({
                name,
                points: periods.map(({ every, losses }) => {
                  const { mean: y, halfWidth95: error } = summary(losses);
                  return { x: every, y, ...(Number.isNaN(error) ? {} : { error }) };
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
                String(period.own.length),
                interval(summary(period.losses)),
                period === best
                  ? 'best'
                  : interval(pairedDifference(period.losses, lossesOfSeeds(best.own, period.own))),
                period === best || Number.isNaN(period.probability) ? '' : period.probability.toFixed(3),
                ...(accuracies ? [interval(summary(scores(period.own)))] : []),
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
  best: Period;
  steps: number;
}

function groupName({ rank, learningRate, stage }: Cell): string {
  return `rank ${rank}, η ${learningRate}${stage === undefined ? '' : `, from step ${stage}`}`;
}

function groupOf(name: string, cells: readonly Finished<TrainedCell>[], given: number): Group {
  const periods: Period[] = [...grouped(cells, ({ refresh: every }) => String(every))].map(([every, own]) => ({
    ...{ every: Number(every), own, losses: lossesOfSeeds(own), probability: Number.NaN },
  }));
  const meanOf = ({ losses }: Period): number => {
    const loss = mean(losses);
    return Number.isNaN(loss) ? Number.POSITIVE_INFINITY : loss;
  };
  const best = periods.reduce((a, b) => (meanOf(b) < meanOf(a) ? b : a));
  // The best one is chosen by the same losses, so any two periods might have been compared.
  const pairs = periods.flatMap((one, index) => periods.slice(index + 1).map((other) => [one, other] as const));
  const corrected = holm(
    pairs.map(([one, other]) => {
      const against = lossesOfSeeds(other.own, one.own);
      return studentProbability(one.losses.map((loss, index) => loss - against[index]!).filter(Number.isFinite));
    }),
  );
  for (const [index, pair] of pairs.entries()) {
    if (!pair.includes(best)) continue;
    for (const period of pair) if (period !== best) period.probability = corrected[index]!;
  }
  return { name, periods, best, steps: given };
}

/** Groups whose verdicts a sentence holds; those of more are a list under it. */
const mostVerdicts = 2;

/** How many groups come to which verdict. */
function summaryOf(groups: readonly Group[]): string {
  const count = (holds: (group: Group) => boolean): string => {
    const own = groups.filter(holds);
    const names = own.length > 0 ? ` (${own.map(({ name }) => name).join('; ')})` : '';
    return `${own.length} of ${groups.length} groups${names}`;
  };
  const lowest = [...new Set(groups.map(({ best }) => best.every))].map((every) => {
    const own = groups.filter(({ best }) => best.every === every);
    return `F = ${periodText(every, groups[0]!.steps)} in ${own.length}`;
  });
  return (
    `the seeds show an F to be worse than the best one in ` +
    `${count(({ periods }) => periods.some(({ probability }) => probability < 0.05))}, ` +
    `and a trend over F in ${count(({ periods }) => isShown(trendOf(periods)))}; ` +
    `the lowest mean loss has ${lowest.join(', ')}`
  );
}

/** The recommendation, and how sure it is. */
function verdictOf({ name, periods, best, steps: given }: Group): string {
  const seeds = best.own.length;
  const text = (chosen: readonly Period[]): string => chosen.map(({ every }) => periodText(every, given)).join(', ');
  const reached = `F = ${periodText(best.every, given)} has the lowest mean loss (${interval(summary(best.losses))})`;
  if (seeds < 2) return `${name}: ${reached}; one seed says nothing of how sure that is`;
  const worse = periods.filter(({ probability }) => probability < 0.05);
  const alike = periods.filter((period) => period !== best && !worse.includes(period));
  if (worse.length === 0) {
    const others = `${seeds} seeds tell no other F apart from it (${text(alike)})`;
    return `${name}: ${reached}, but ${others}${trendText(periods)}`;
  }
  return (
    `${name}: ${reached}; ${seeds} seeds show F = ${text(worse)} to be worse` +
    (alike.length === 0 ? '' : ` and do not tell ${text(alike)} apart from it`) +
    trendText(periods)
  );
}

/** How the loss goes with ten times F as a whole, which asks less of the seeds than to tell two periods apart. */
function trendOf(periods: readonly Period[]): Summary {
  const seeds = periods[0]!.own.map(({ cell }) => cell.seed);
  return summary(
    seeds
      .map((seed) => {
        const points = periods.flatMap(({ every, own }) => {
          const loss = own.find(({ cell }) => cell.seed === seed)?.result.loss;
          return typeof loss === 'number' ? [{ x: Math.log10(every), loss }] : [];
        });
        return slope(
          points.map(({ x }) => x),
          points.map(({ loss }) => loss),
        );
      })
      .filter(Number.isFinite),
  );
}

const isShown = (trend: Summary): boolean => Math.abs(trend.mean) > trend.halfWidth95;

function trendText(periods: readonly Period[]): string {
  const trend = trendOf(periods);
  if (periods.length < 3 || Number.isNaN(trend.halfWidth95)) return '';
  return (
    `, while ten times the period changes the loss by ${interval(trend)}: ` +
    (isShown(trend) ? `${trend.mean > 0 ? 'shorter' : 'longer'} periods are better` : 'no trend beyond its interval')
  );
}

function periodText(every: number, given: number): string {
  return every < given ? String(every) : `${every} (∞)`;
}
