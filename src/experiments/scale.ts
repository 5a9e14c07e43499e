import { join, stat } from '../platform/index.ts';
import { resolveConfiguration } from '../settings/configuration.ts';
import { defineExperiment, type Finished, type Laboratory } from './experiment.ts';
import { grouped } from './groups.ts';
import { plotSvg } from './plot.ts';
import { type ModelScale, writeScaledModel } from './scaled-model.ts';
import { mean, median, slope, studentPoint } from './statistics.ts';
import { trainingRows } from './training-rows.ts';

/** Steps of a cell; the first ones, which compile and allocate, are not timed. */
const steps = 8;
const untimed = 2;

/** What is varied, and the values, as multiples of the base cell's. */
const axes: Readonly<Record<string, readonly number[]>> = {
  'batch size': [1, 2, 4, 8, 16],
  layers: [1, 2, 4],
  width: [1, 2, 4],
  'directions per step': [1, 2, 4, 8],
  rank: [1, 2, 4, 8, 16],
};

/** Exponents up to here count as linear growth; above it the cost grows faster than the work. */
const linear = 1.1;

interface Scaled {
  parameters: number;
  /** Tokens of a step, all probes counted. */
  tokens: number;
  /** Median of the timed steps. */
  stepMilliseconds: number;
  plannedBytes: number;
  journalBytes: number;
  /** Time to load the run again: the base, then a replay of all steps. */
  replayMilliseconds: number;
}

/** What the growth of a cost is fitted to. */
interface Growth {
  exponent: number;
  /** Half of its 95 % interval. */
  halfWidth: number;
}

/** How costs grow, which should be linearly in tokens and parameters. */
export const scale = defineExperiment<Scaled>({
  title: 'How do costs grow?',
  question: 'How do the time of a step, memory, journal and replay grow with tokens, parameters, directions and rank?',
  method:
    `SubZero tunes all parameters of models of the given one's kind with random weights for ${steps} steps; a ` +
    `step's time ` +
    `is the median of the last ${steps - untimed}. One thing at a time is multiplied, from a base cell with batch ` +
    'size 2, one direction and rank 4; layers and width are multiples of the given model’s. Exponents are slopes of ' +
    'a straight line through the logarithms, of all cells or, where a constant part hides the growth, of the two ' +
    'largest. Seeds repeat all of it; intervals are 95 % by Student’s t over the seeds.',
  reads: ['steps'],
  data: ['train'],
  cells: ({ seeds }) =>
    seeds.flatMap((seed) =>
      Object.entries(axes).flatMap(([axis, factors]) => factors.map((factor) => ({ seed, axis, factor }))),
    ),
  async measure(laboratory, { seed, axis, factor }) {
    const times = (name: string): number => (axis === name ? Number(factor) : 1);
    const size = { layers: times('layers'), width: times('width') };
    return await measureRun(laboratory, size, {
      ...{ seed: Number(seed), steps: laboratory.request.steps ?? steps, batchSize: 2 * times('batch size') },
      ...{ queries: times('directions per step'), rank: 4 * times('rank') },
    });
  },
  report(_, finished) {
    const rows: string[][] = [];
    const lead: string[] = [];
    const series = [...grouped(finished, ({ axis }) => String(axis))].map(([axis, cells]) => {
      // The work that an axis multiplies: what the cost should follow.
      const work = (result: Scaled): number =>
        axis === 'layers' || axis === 'width' ? result.parameters * result.tokens : result.tokens;
      const isWork = axis !== 'rank';
      const size = ({ cell, result }: Finished<Scaled>): number => (isWork ? work(result) : Number(cell.factor));
      const whole = growthOf(cells, size, ({ stepMilliseconds }) => stepMilliseconds);
      const last = growthOf(lastTwo(cells), size, ({ stepMilliseconds }) => stepMilliseconds);
      if (isWork) lead.push(`${axis} ${text(last)}`);
      for (const [factor, own] of grouped(cells, (cell) => String(cell.factor))) {
        const of = (value: (result: Scaled) => number): number => mean(own.map(({ result }) => value(result)));
        rows.push([
          axis,
          factor,
          of(({ parameters }) => parameters).toExponential(2),
          of(({ tokens }) => tokens).toFixed(0),
          of(({ stepMilliseconds }) => stepMilliseconds).toFixed(1),
          (of(({ plannedBytes }) => plannedBytes) / 2 ** 20).toFixed(1),
          of(({ journalBytes: bytes }) => bytes).toFixed(0),
          of(({ replayMilliseconds }) => replayMilliseconds).toFixed(0),
        ]);
      }
      return {
        axis,
        growth: [axis, isWork ? 'tokens × parameters' : 'rank', text(whole), text(last)],
        plotted: {
          name: axis,
          points: [...grouped(cells, (cell) => String(cell.factor))].map(([factor, own]) => ({
            x: Number(factor),
            y: mean(own.map(({ result }) => result.stepMilliseconds)),
          })),
        },
        // One seed has no interval, and shows no knee.
        knee: isWork && last.exponent - last.halfWidth > linear,
      };
    });
    const knees = series.filter(({ knee }) => knee).map(({ axis }) => axis);
    return {
      lead:
        `Exponents of a step's time over its work, between the two largest sizes: ${lead.join(', ')}. ` +
        (knees.length === 0
          ? 'Nothing grows faster than its work.'
          : `Faster than its work grows: ${knees.join(', ')}. That is a finding.`),
      sections: [
        {
          title: 'Growth',
          text: 'An exponent of 1 is linear growth with the work; less means that a constant part counts.',
          plot: {
            name: 'scale.svg',
            describes: 'Time of a step over the multiple of each quantity',
            svg: plotSvg({
              title: 'Time of a step',
              xTitle: 'multiple of the base cell',
              yTitle: 'milliseconds',
              xLogarithmic: true,
              yLogarithmic: true,
              series: series.map(({ plotted }) => plotted),
            }),
          },
          table: {
            header: ['multiplied', 'exponent over', 'all sizes', 'two largest'],
            rows: series.map(({ growth }) => growth),
          },
        },
        {
          title: 'All cells',
          table: {
            header: [
              'multiplied',
              '×',
              'parameters',
              'tokens a step',
              'ms a step',
              'MiB',
              'journal bytes',
              'reload ms',
            ],
            rows,
          },
        },
      ],
    };
  },
});

async function measureRun(
  laboratory: Laboratory,
  size: ModelScale,
  settings: { seed: number; steps: number; batchSize: number; queries: number; rank: number },
): Promise<Scaled> {
  const { engine, request, folder, signal } = laboratory;
  const { model } = request;
  const data = await trainingRows(laboratory, request.data);
  const scaled = join(folder, 'model');
  const parameters = await writeScaledModel(model, size, scaled);
  const run = join(folder, 'run');
  const configuration = resolveConfiguration({
    ...settings,
    optimizer: 'subzero',
    evaluateEvery: 0,
    learningRate: 1e-6,
  });
  const times: number[] = [];
  let [plannedBytes, tokens, before] = [0, 0, 0];
  for await (const event of engine.train({ model: scaled, data, configuration, out: run }, signal)) {
    if (event.type === 'start') plannedBytes = event.plan.totalBytes;
    if (event.type !== 'step') continue;
    times.push(1000 * (event.elapsedSeconds - before));
    before = event.elapsedSeconds;
    tokens = (2 * settings.queries * event.trainedTokens) / event.step;
  }
  const { size: journalBytes } = await stat(join(run, 'journal.subzero'));
  const started = performance.now();
  await engine.loadModel({ id: 'scale', path: run });
  const replayMilliseconds = performance.now() - started;
  await engine.unloadModel('scale');
  return {
    ...{ parameters, tokens, plannedBytes, replayMilliseconds },
    stepMilliseconds: median(times.slice(untimed)),
    journalBytes,
  };
}

/** The cells of the two largest factors. */
function lastTwo(cells: readonly Finished<Scaled>[]): Finished<Scaled>[] {
  const factors = [...new Set(cells.map(({ cell }) => Number(cell.factor)))].toSorted((a, b) => a - b).slice(-2);
  return cells.filter(({ cell }) => factors.includes(Number(cell.factor)));
}

/** The slope between logarithms for each seed, and its mean. */
function growthOf(
  cells: readonly Finished<Scaled>[],
  size: (cell: Finished<Scaled>) => number,
  cost: (result: Scaled) => number,
): Growth {
  const slopes = [...grouped(cells, ({ seed }) => String(seed)).values()].map((own) =>
    slope(
      own.map((cell) => Math.log(size(cell))),
      own.map(({ result }) => Math.log(cost(result))),
    ),
  );
  const exponent = mean(slopes);
  const deviation = Math.sqrt(slopes.reduce((sum, each) => sum + (each - exponent) ** 2, 0) / (slopes.length - 1));
  return { exponent, halfWidth: (studentPoint(slopes.length - 1) * deviation) / Math.sqrt(slopes.length) };
}

function text({ exponent, halfWidth }: Growth): string {
  return Number.isNaN(halfWidth) ? exponent.toFixed(2) : `${exponent.toFixed(2)} ± ${halfWidth.toFixed(2)}`;
}
