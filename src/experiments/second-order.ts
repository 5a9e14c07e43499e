import { loadDataset } from '../data/load.ts';
import { formatBytes } from '../format.ts';
import { generates } from '../model/decoder.ts';
import { readConfigurationFile } from '../model/load.ts';
import { join, writeFile } from '../platform/index.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { settings } from '../settings/settings.ts';
import { rowOf } from './batch.ts';
import { type Cell, defineExperiment, type ExperimentRequest, type Finished, type Laboratory } from './experiment.ts';
import { grouped, known, seedsText } from './groups.ts';
import { plotSvg, pointOf } from './plot.ts';
import {
  centreRate,
  chosenRate,
  endsOfSearches,
  isSmallModel,
  rateGrid,
  searchCells,
  stepsOfPasses,
} from './search.ts';
import { interval, median, pairedDifference, summary } from './statistics.ts';
import { evaluated, trainRun } from './train-cell.ts';

/** Passes over a batch that every method gets: 300 steps of two points. */
const passes = 600;

const optimizers = ['subzero', 'mezo', 'hizoo'] as const;
type Optimizer = (typeof optimizers)[number];

const rank = 8;
const refresh = 100;

/** Evaluations on the way, the last one included, and how many examples they have. */
const evaluations = 6;
const evaluatedExamples = 300;

interface Curve {
  /** The loss of the evaluated rows after some steps; up to the last one, unless the run failed. */
  curve: { step: number; loss: number }[];
  steps: number;
  stepMilliseconds: number;
  /** What the run takes on the device, and what of this its optimiser keeps. */
  plannedBytes: number;
  factorBytes: number;
  failed: boolean;
}

/** Second-order information at the same price: HiZOO against SubZero and MeZO. */
export const secondOrder = defineExperiment<Curve>({
  title: 'Does curvature pay?',
  question:
    'Does HiZOO, which measures curvature with a third pass a step and keeps it for every parameter, reach more than ' +
    'SubZero and MeZO with the same passes, the same time and the same bytes?',
  method:
    `All parameters are tuned. Every method gets the same passes over a batch (2 × --steps, ${passes} by default), ` +
    `HiZOO in two thirds of the steps, and is evaluated ${evaluations} times on the same ${evaluatedExamples} ` +
    'examples (or --limit). Each searches alike for its learning rate: the first seed runs with 1/4, 1 and 4 times ' +
    'its default (times 50 for models below 50 M parameters), or with --learning-rates, all seeds with the rate of ' +
    'the lowest loss of these examples; the first seed is thus chosen a little in favour of every method. At the ' +
    'same time: each method where it stands when the fastest has made all of its steps, by the median time of a ' +
    'step, evaluations left out, on a straight line between two evaluations. At the same bytes: SubZero with the ' +
    `rank whose factors take what HiZOO keeps, ${settings.rank.maximum} at most, at the rate of rank ${rank}. ` +
    'Intervals are 95 % by Student’s t over the seeds; differences are paired by seed. Published: HiZOO takes fewer ' +
    'steps than MeZO, an eighth on SST-2, and reaches more (arXiv 2402.15173; RoBERTa, OPT, Phi-2 and LLaMA 3, 350 M ' +
    'to 66 B).',
  reads: ['steps', 'learningRates', 'limit'],
  data: ['train', 'evaluation'],
  async cells(request, finished) {
    const { seeds, model } = request;
    const small = await isSmallModel(model);
    const searches = optimizers.map((optimizer) => {
      const centre = centreRate(optimizer, 'full', small);
      const rates = request.learningRates ?? rateGrid.map((factor) => Number((factor * centre).toPrecision(3)));
      return {
        rates,
        seeds,
        cellOf: (learningRate: number, seed: number): Cell => ({ optimizer, rank, learningRate, seed }),
      };
    });
    const cells = searches.flatMap((search) => searchCells(finished, search, judged));
    const learningRate = chosenRate(finished, searches[0]!, judged);
    const wide = widerRank(finished);
    if (learningRate === undefined || wide === undefined) return cells;
    return [...cells, ...seeds.map((seed): Cell => ({ optimizer: 'subzero', rank: wide, learningRate, seed }))];
  },
  measure,
  report,
});

/** A finished search by the last loss; the higher the better. */
function judged(result: Curve): number {
  return -lastLoss(result);
}

function lastLoss({ curve, failed }: Curve): number {
  return failed ? Number.NaN : (curve.at(-1)?.loss ?? Number.NaN);
}

/** The rank whose factors take as many bytes as HiZOO's curvature, or the highest; undefined until both are known. */
function widerRank(finished: readonly Finished<Curve>[]): number | undefined {
  const [own, other] = ['subzero', 'hizoo'].map((name) =>
    finished.find(({ cell }) => cell.optimizer === name && cell.rank === rank),
  );
  if (!own || !other) return undefined;
  // Factors grow with the rank, and what else optimisers keep does not: the rank errs to the low side, and whole
  // vectors of kernels are as fast as it gets.
  const multiple = Math.floor(other.result.factorBytes / own.result.factorBytes);
  return Math.min(settings.rank.maximum, rank * Math.max(2, multiple));
}

async function measure(laboratory: Laboratory, cell: Cell): Promise<Curve> {
  const { request, folder } = laboratory;
  const own = {
    ...{ optimizer: cell.optimizer as Optimizer, rank: Number(cell.rank), refresh },
    ...{ learningRate: Number(cell.learningRate), seed: Number(cell.seed) },
  } satisfies Partial<TrainConfiguration>;
  const steps = stepsOfPasses(own, request.steps === undefined ? passes : 2 * request.steps);
  const curve: { step: number; loss: number }[] = [];
  const times: number[] = [];
  let [plannedBytes, factorBytes, before] = [0, 0, 0];
  const file = join(folder, 'evaluated.jsonl');
  await writeFile(file, await rowsOf(request));
  const { failed } = await trainRun(
    laboratory,
    { data: request.data, validation: { file } },
    { ...own, steps, evaluateEvery: Math.ceil(steps / evaluations) },
    (event) => {
      if (event.type === 'start') ({ totalBytes: plannedBytes, factorBytes } = event.plan);
      if (event.type === 'evaluation') curve.push({ step: event.step, loss: event.loss });
      if (event.type === 'step') {
        times.push(1000 * (event.elapsedSeconds - before));
        before = event.elapsedSeconds;
      }
    },
  );
  return { curve, steps, stepMilliseconds: median(times), plannedBytes, factorBytes, failed };
}

/** The evaluated examples as lines of data: those of a task as it has them, other rows as they are. */
export async function rowsOf(request: ExperimentRequest): Promise<string> {
  const source = evaluated(request);
  const { examples } = await loadDataset(source, {
    ...request.reading,
    split: 'evaluation',
    limit: request.limit ?? evaluatedExamples,
    masked: !generates(await readConfigurationFile(request.model)),
    withItems: true,
  });
  return examples.map((example) => JSON.stringify('task' in source ? rowOf(example) : example.item)).join('\n');
}

/** The loss of a run after so many milliseconds of steps, between two evaluations on a straight line. */
export function lossAfter({ curve, stepMilliseconds, failed }: Curve, milliseconds: number): number {
  const step = milliseconds / stepMilliseconds;
  const next = curve.findIndex((point) => point.step >= step);
  const [from, to] = [curve[next - 1], curve[next]];
  if (failed || curve.length === 0) return Number.NaN;
  if (!to) return curve.at(-1)!.loss;
  if (!from) return to.loss;
  return from.loss + ((to.loss - from.loss) * (step - from.step)) / (to.step - from.step);
}

interface Method {
  title: string;
  optimizer: string;
  learningRate: number;
  /** One for each seed. */
  own: Finished<Curve>[];
  searched: Finished<Curve>[];
}

function methodsOf({ seeds }: ExperimentRequest, finished: readonly Finished<Curve>[]): Method[] {
  return [...grouped(finished, ({ optimizer, rank: given }) => `${optimizer} ${given}`).values()].map((cells) => {
    const searched = cells.filter(({ cell }) => cell.seed === seeds[0]);
    const [best] = searched.toSorted((a, b) => rankable(lastLoss(a.result)) - rankable(lastLoss(b.result)));
    const { optimizer, rank: given, learningRate } = (best ?? cells[0]!).cell;
    return {
      title: optimizer === 'subzero' ? `subzero, r ${given}` : String(optimizer),
      optimizer: String(optimizer),
      learningRate: Number(learningRate),
      searched,
      own: cells.filter(({ cell }) => cell.learningRate === learningRate),
    };
  });
}

const rankable = (loss: number): number => (Number.isNaN(loss) ? Number.POSITIVE_INFINITY : loss);

function report(request: ExperimentRequest, finished: readonly Finished<Curve>[]) {
  const methods = methodsOf(request, finished);
  const stepTime = ({ own }: Method): number =>
    median(own.flatMap(({ result }) => (result.failed ? [] : [result.stepMilliseconds])));
  // Runs that failed have made few steps, or none.
  const times = methods.map((each) => stepTime(each) * each.own[0]!.result.steps).filter(Number.isFinite);
  const time = Math.min(...times);
  const timeText = Number.isFinite(time) ? `The time is ${(time / 1000).toFixed(0)} s of steps.` : 'All runs failed.';
  const atEnd = (each: Method): Map<unknown, number> =>
    new Map(each.own.map(({ cell, result }) => [cell.seed, lastLoss(result)]));
  const atTime = (each: Method): Map<unknown, number> =>
    new Map(
      each.own.map(({ cell, result }) => [cell.seed, lossAfter({ ...result, stepMilliseconds: stepTime(each) }, time)]),
    );
  const hizoo = methods.find(({ optimizer }) => optimizer === 'hizoo');
  const against = (each: Method, lossesOf: (method: Method) => Map<unknown, number>) => {
    if (!hizoo || each === hizoo) return undefined;
    const [own, other] = [lossesOf(each), lossesOf(hizoo)];
    return pairedDifference(
      [...other.values()],
      [...other.keys()].map((seed) => own.get(seed) ?? Number.NaN),
    );
  };
  const text = (difference: ReturnType<typeof against>): string => (difference ? interval(difference) : '');
  const others = methods.filter((each) => each !== hizoo);
  const verdict = (each: Method, lossesOf: (method: Method) => Map<unknown, number>): string => {
    const difference = against(each, lossesOf);
    if (!difference || Number.isNaN(difference.halfWidth95)) return 'is not measured over several seeds';
    if (Math.abs(difference.mean) <= difference.halfWidth95) return `is not told apart (${interval(difference)})`;
    return (
      `is ${difference.mean < 0 ? 'lower' : 'higher'} by ` +
      `${interval({ ...difference, mean: Math.abs(difference.mean) })}`
    );
  };
  const mezo = methods.find(({ optimizer }) => optimizer === 'mezo');
  const difference = mezo && against(mezo, atEnd);
  const searches = methods.map(({ title, learningRate, searched }) => ({
    ...{ title, learningRate },
    tried: searched.map(({ cell }) => Number(cell.learningRate)),
  }));
  const isSearched = endsOfSearches(searches.filter((_, index) => methods[index] === hizoo)) === '';
  // A method that might do better with another rate contradicts nobody.
  const contradicts = isSearched && difference !== undefined && difference.mean - difference.halfWidth95 > 0;
  const verdicts = (each: (typeof others)[number]): string =>
    `against ${each.title} ${verdict(each, atEnd)} with the same passes and ` +
    `${verdict(each, atTime)} in the same time`;
  return {
    lead: [
      contradicts ? 'Contradicts HiZOO’s paper, at this size and in so few steps: HiZOO’s loss' : 'HiZOO’s loss',
      `${others.map(verdicts).join('; ')}.`,
      ...(isSearched ? [] : [endsOfSearches(searches)]),
    ].join(' '),
    sections: [
      {
        title: 'With the same passes and the same time',
        text:
          'Loss of the evaluated rows. Differences are HiZOO’s loss minus the method’s: above 0 the method is ' +
          `better. ${timeText}`,
        plot: {
          name: 'second-order.svg',
          describes: 'Loss over passes, by method',
          svg: plotSvg({
            title: 'Loss of the evaluated rows over passes',
            xTitle: 'passes over a batch',
            yTitle: 'loss',
            series: methods.map(({ title, own }) => ({ name: title, points: curveOf(own) })),
          }),
        },
        table: {
          header: [
            ...['method', 'η', 'seeds', 'steps', 'ms a step', 'planned bytes'],
            ...['same passes', 'HiZOO’s minus it', 'same time', 'HiZOO’s minus it'],
          ],
          rows: methods.map((each) => [
            each.title,
            String(each.learningRate),
            seedsText(each.own),
            String(each.own[0]!.result.steps),
            stepTime(each).toFixed(0),
            formatBytes(each.own[0]!.result.plannedBytes),
            interval(summary(known([...atEnd(each).values()]))),
            text(against(each, atEnd)),
            interval(summary(known([...atTime(each).values()]))),
            text(against(each, atTime)),
          ]),
        },
      },
      {
        title: 'The search for the learning rate (first seed)',
        text: endsOfSearches(searches),
        table: {
          header: ['method', 'loss by rate'],
          rows: methods.map(({ title, searched }) => [
            title,
            searched
              .toSorted((a, b) => Number(a.cell.learningRate) - Number(b.cell.learningRate))
              .map(
                ({ cell, result }) => `${cell.learningRate}: ${result.failed ? 'failed' : lastLoss(result).toFixed(4)}`,
              )
              .join(', '),
          ]),
        },
      },
    ],
  };
}

/** Means over the seeds, over the passes that a method has made. */
function curveOf(own: readonly Finished<Curve>[]) {
  const whole = own.filter(({ result }) => !result.failed);
  const points = whole[0]?.result.curve ?? [];
  return points.map(({ step }, index) => {
    const losses = whole.map(({ result }) => result.curve[index]?.loss ?? Number.NaN);
    const perStep = own[0]!.cell.optimizer === 'hizoo' ? 3 : 2;
    return pointOf(perStep * step, summary(losses));
  });
}
